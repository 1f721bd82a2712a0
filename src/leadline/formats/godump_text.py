"""Goroutines as the text that Go prints for ``debug=2``, so that tools which read such dumps read ours.

Arguments and offsets are not known: a function's arguments are written as ``(...)``, its offset as ``+0x0``; inlined functions
have no offset, as in Go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from leadline.evidence.kinds import Goroutine, Stack
from leadline.model import SiteFrame, printable

__all__ = ["dump_text", "header_line", "iter_dump"]

MINUTE_NS = 60 * 10**9
_PLAIN = re.compile(r"[A-Za-z0-9./_]*")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}


def dump_text(goroutines: Iterable[Goroutine], stacks: Mapping[int, Stack]) -> str:
    r"""Return the dump.

    Args:
        goroutines: in the order in which they are written.
        stacks: by id.

    >>> frame = SiteFrame(function="main.main", file="/a/main.go", line=7, role="app")
    >>> one = Goroutine(pid=0, goid=1, state="chan receive", stack=1, waited_ns=3 * MINUTE_NS)
    >>> print(dump_text([one], {1: Stack(id=1, pid=0, frames=(frame,))}).expandtabs(4), end="")
    goroutine 1 [chan receive, 3 minutes]:
    main.main(...)
        /a/main.go:7 +0x0
    """
    return "".join(iter_dump(goroutines, stacks))


def iter_dump(
    goroutines: Iterable[Goroutine],
    stacks: Mapping[int, Stack],
    note: Callable[[Goroutine], str] | None = None,
) -> Iterator[str]:
    """Yield the text of each goroutine, with the empty line between them.

    Args:
        goroutines: in the order in which they are written.
        stacks: by id.
        note: what to write behind the header, for people; readers of dumps do not expect it.
    """
    bodies: dict[int, str] = {}
    is_first = True
    for one in goroutines:
        body = ""
        if one.stack is not None and one.stack in stacks:
            if one.stack not in bodies:
                bodies[one.stack] = _frames(stacks[one.stack])
            body = bodies[one.stack]
        elif one.stack is None:
            body = "\tgoroutine running on other thread; stack unavailable\n"
        extra = "" if note is None else note(one)
        gap = "" if is_first else "\n"
        is_first = False
        yield f"{gap}{header_line(one)}{extra}\n{body}{_creator(one)}"


def header_line(one: Goroutine) -> str:
    """Return the line above a goroutine's stack, without line break."""
    words = [one.state + (" (leaked)" if one.is_leaked else "")]
    minutes = 0 if one.waited_ns is None else one.waited_ns // MINUTE_NS
    if minutes >= 1:
        words.append(f"{minutes} minutes")
    if one.is_locked:
        words.append("locked to thread")
    labels = ", ".join(f"{_quoted(key)}: {_quoted(value)}" for key, value in one.labels.items())
    return f"goroutine {one.goid} [{printable(', '.join(words))}]{f' {{{labels}}}' if labels else ''}:"


def _frames(stack: Stack) -> str:
    text = "".join(_frame(frame) for frame in stack.frames)
    return f"{text}...additional frames elided...\n" if stack.truncated else text


def _frame(frame: SiteFrame) -> str:
    function = printable(frame.function)
    if frame.role == "native":
        return (
            f"{function}\n\t{_place(frame)} pc=0x0\n" if frame.file is not None else f"{function}\n\tpc=0x0\n"
        )
    return f"{function}(...)\n\t{_place(frame)}{'' if frame.inlined else ' +0x0'}\n"


def _creator(one: Goroutine) -> str:
    if one.created_by is None:
        return ""
    parent = "" if one.parent_goid is None else f" in goroutine {one.parent_goid}"
    return f"created by {printable(one.created_by.function)}{parent}\n\t{_place(one.created_by)} +0x0\n"


def _place(frame: SiteFrame) -> str:
    return f"{'?' if frame.file is None else printable(frame.file)}:{frame.line or 0}"


def _quoted(text: str) -> str:
    """Return a key or value as Go writes it: quoted unless it has letters, digits, ``.``, ``/`` and ``_`` only."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + "".join(_character(one) for one in text) + '"'


def _character(one: str) -> str:
    if one in _ESCAPES:
        return _ESCAPES[one]
    code = ord(one)
    if 0x20 <= code <= 0x7E:
        return one
    if code < 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
