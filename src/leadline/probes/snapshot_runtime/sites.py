"""Which frame of a stack tells a reader whose code it is: the program's nearest one, and the HTTP handler."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leadline.model import SiteFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leadline.probes.snapshot_runtime.looks import GoProcess, Look

__all__ = ["Sites", "handler_of", "site_of"]

_SERVE = re.compile(
    r"^net/http\.serverHandler\.ServeHTTP$|^github\.com/valyala/fasthttp\.\(\*Server\)\.serveConn$"
    r"|^google\.golang\.org/grpc\.\(\*Server\)\.(?:handleStream|process\w+)$"
    r"|^golang\.org/x/net/http2\.\(\*serverConn\)\.runHandler$"
)
# What calls a handler by a variable of function or interface type: the frame that it calls is one.
_DISPATCH = re.compile(
    r"^net/http\.(?:HandlerFunc\.ServeHTTP|\(\*ServeMux\)\.ServeHTTP|serverHandler\.ServeHTTP)$"
    r"|^github\.com/gin-gonic/gin\.\(\*Context\)\.Next$|^github\.com/gofiber/fiber/.*\.(?:next|Next)$"
    r"|^github\.com/labstack/echo/.*\.(?:ServeHTTP|Add\.func1)$|^github\.com/gorilla/mux\.\(\*Router\)\.ServeHTTP$"
    r"|^github\.com/go-chi/chi/.*\.(?:ServeHTTP|routeHTTP)$|^github\.com/valyala/fasthttp\.\(\*Server\)\.serveConn$"
)


def site_of(frames: Sequence[SiteFrame]) -> SiteFrame | None:
    """Return the frame of the program nearest to the leaf, one of a third-party module when there is none; None without both."""
    for role in ("app", "module"):
        for frame in frames:
            if frame.role == role:
                return frame
    return None


def handler_of(frames: Sequence[SiteFrame]) -> SiteFrame | None:
    """Return the handler of the request that a server's goroutine serves; None when its stack shows none.

    It is the innermost frame of the program that a router calls, so that middleware is passed over where the router
    is known; else the outermost frame of the program below the server. Third-party handlers count when there is no other.

    Args:
        frames: of a whole stack, leaf first.
    """
    end = next((i for i, frame in enumerate(frames) if _SERVE.match(frame.function)), None)
    if end is None:
        return None
    for role in ("app", "module"):
        inside = [i for i in range(end) if frames[i].role == role]
        called = [i for i in inside if _DISPATCH.match(frames[i + 1].function)]
        if called:
            return frames[called[0]]
        if inside:
            return frames[inside[-1]]
    return None


class Sites:
    """Frames of the distinct stacks of one look, each looked up once."""

    def __init__(self, process: GoProcess, look: Look) -> None:
        self._names = process.names
        self._look = look
        self._sites: dict[int, SiteFrame | None] = {}
        self._handlers: dict[int, SiteFrame | None] = {}
        self._functions: dict[int, tuple[str, ...]] = {}
        self._has: dict[tuple[int, Callable[[str], bool]], bool] = {}

    def functions(self, i: int) -> tuple[str, ...]:
        """Return the functions on the stack of a goroutine by its index, leaf first; none when it has no stack."""
        stack = int(self._look.stack_of[i])
        known = self._functions.get(stack)
        if known is None:
            known = self._functions[stack] = self._look.functions(stack) if stack >= 0 else ()
        return known

    def has(self, i: int, wanted: Callable[[str], bool]) -> bool:
        """Return whether a function is on the stack of a goroutine; ``wanted`` is asked once per distinct stack."""
        key = (int(self._look.stack_of[i]), wanted)
        known = self._has.get(key)
        if known is None:
            known = self._has[key] = any(map(wanted, self.functions(i)))
        return known

    def site(self, i: int) -> SiteFrame | None:
        """Return the program's frame of a goroutine by its index."""
        return self._frame(i, self._sites, site_of)

    def handler(self, i: int) -> SiteFrame | None:
        """Return the HTTP handler that a goroutine is in, by its index."""
        return self._frame(i, self._handlers, handler_of)

    def _frame(
        self,
        i: int,
        known: dict[int, SiteFrame | None],
        pick: Callable[[Sequence[SiteFrame]], SiteFrame | None],
    ) -> SiteFrame | None:
        stack = int(self._look.stack_of[i])
        if stack < 0:
            return None
        if stack not in known:
            known[stack] = pick(self._look.frames(stack))
        return known[stack]

    def extent(
        self, i: int, wanted: Callable[[str], bool], *, spill_words: int = 12
    ) -> tuple[int, int] | None:
        """Return which words of a goroutine's stack belong to the innermost frame of a function: [first, behind last).

        Args:
            i: index of the goroutine.
            wanted: asked for each function, inlined ones too.
            spill_words: how many words of the caller's frame to take too: arguments are spilled there.
        """
        stack = int(self._look.stack_of[i])
        if stack < 0:
            return None
        places = self._look.frame_pointers(i)
        bottom = self._look.stack_pointer(i)
        for k, functions in enumerate(self._physical(stack)):
            if k < len(places) and any(map(wanted, functions)):
                first = max(places[k] - bottom, 0) // 8
                last = (places[k + 1] - bottom) // 8 if k + 1 < len(places) else first + 512
                return (first, last + spill_words) if first < last else None
        return None

    def _physical(self, stack: int) -> list[list[str]]:
        """Return the functions of each instruction pointer, those inlined there too."""
        pcs = self._look.stacks[stack]
        answer: list[list[str]] = []
        for k, pc in enumerate(pcs):
            # A return address is told from a leaf by what comes before it.
            before = self._names.resolve((pcs[k - 1],)) if k else ()
            skipped = len(before) if any(frame.function != "?" for frame in before) else 0
            frames = self._names.resolve((pcs[k - 1], pc) if k else (pc,))
            answer.append([frame.function for frame in frames[skipped:]])
        return answer
