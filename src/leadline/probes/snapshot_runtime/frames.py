"""Stacks as Go prints them in a ``debug=2`` dump: inlined calls shown, wrappers and the runtime's own frames hidden.

Source: Go, src/runtime/traceback.go (traceback1, traceback2, showfuncinfo, elideWrapperCalling, isExportedRuntime,
printcreatedby1, unwinder.symPC).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.formats.framerole import shown_name
from leadline.model import Malformed, SiteFrame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from leadline.formats.framerole import RoleBook
    from leadline.formats.gopclntab import GoFrame, GoLineTable

__all__ = ["StackNames"]

_TRAPS = frozenset({"runtime.sigpanic", "runtime.asyncPreempt", "runtime.debugCallV2"})
_PANICS = frozenset({"runtime.gopanic", "runtime.sigpanic", "runtime.panicwrap"})
_CALLBACK_RUNNERS = frozenset({"runtime.runFinalizers", "runtime.runCleanups"})


class StackNames:
    """Names the frames of one process's goroutines.

    Args:
        table: its function table, in linked addresses.
        roles: whose code a function is.
        bias: run-time minus linked addresses.
        quantum: bytes of the smallest instruction: 1 on amd64, 4 on arm64.
    """

    def __init__(self, table: GoLineTable, roles: RoleBook, bias: int, *, quantum: int) -> None:
        self._table = table
        self._roles = roles
        self._bias = bias
        self._quantum = quantum
        self._known: dict[tuple[int, bool], tuple[GoFrame, ...]] = {}
        self._shown: dict[GoFrame, SiteFrame] = {}
        self._creators: dict[int, SiteFrame | None] = {}

    def function_at(self, address: int) -> str:
        """Return the function that holds a run-time address, "" outside the Go code."""
        try:
            found = self._table.function_at(address - self._bias)
        except Malformed:
            return ""
        return "" if found is None else found.name

    def functions(self, pcs: Iterable[int]) -> tuple[str, ...]:
        """Return the functions of a stack, leaf first: inlined, hidden and wrapping ones too, with type arguments."""
        return tuple(frame.function for frame in self._frames(pcs))

    def frames(self, pcs: Sequence[int]) -> tuple[SiteFrame, ...]:
        """Return the frames of a stack, leaf first, as a dump shows them.

        When nothing but the runtime's own frames is there, they are shown.
        """
        every = self._frames(pcs)
        shown: list[SiteFrame] = []
        callee = ""
        for frame in every:
            if _is_shown(frame, callee, is_first=not shown):
                shown.append(self._site(frame))
            callee = frame.function
        return tuple(shown or (self._site(frame) for frame in every))

    def creator(self, gopc: int) -> SiteFrame | None:
        """Return the frame of the ``go`` statement behind which an address lies, None when Go would not print it."""
        if gopc not in self._creators:
            self._creators[gopc] = self._creator(gopc)
        return self._creators[gopc]

    def _creator(self, gopc: int) -> SiteFrame | None:
        try:
            code = self._table.code_at(gopc - self._bias)
            if code is None:
                return None
            back = self._quantum if gopc - self._bias > code.entry else 0
            frames = self._table.frames_at(gopc - self._bias - back)
        except Malformed:
            return None
        # Go names the function that was compiled, with the line of what was inlined into it.
        whole = frames[-1]._replace(file=frames[0].file, line=frames[0].line)
        return self._site(whole) if _is_shown(whole, "", is_first=False) else None

    def _frames(self, pcs: Iterable[int]) -> list[GoFrame]:
        found: list[GoFrame] = []
        is_exact = False
        for pc in pcs:
            here = self._at(pc, is_exact=is_exact)
            found += here
            is_exact = bool(here) and here[-1].function in _TRAPS
        return found

    def _at(self, pc: int, *, is_exact: bool) -> tuple[GoFrame, ...]:
        key = (pc, is_exact)
        if key not in self._known:
            self._known[key] = self._look_up(pc - self._bias, is_exact=is_exact)
        return self._known[key]

    def _look_up(self, address: int, *, is_exact: bool) -> tuple[GoFrame, ...]:
        try:
            code = self._table.code_at(address)
            if code is None:
                return ()
            return self._table.frames_at(address - 1 if not is_exact and address > code.entry else address)
        except Malformed:
            return ()

    def _site(self, frame: GoFrame) -> SiteFrame:
        known = self._shown.get(frame)
        if known is None:
            name = "panic" if frame.function == "runtime.gopanic" else shown_name(frame.function)
            known = self._shown[frame] = SiteFrame(
                function=name,
                file=frame.file,
                line=frame.line,
                role=self._roles.role(frame.function, frame.file),
                inlined=frame.inlined,
            )
        return known


def _is_shown(frame: GoFrame, callee: str, *, is_first: bool) -> bool:
    name = frame.function
    if frame.is_wrapper and callee not in _PANICS:
        return False
    if name in _CALLBACK_RUNNERS or (name == "runtime.gopanic" and not is_first):
        return True
    return "." in name and (not name.startswith("runtime.") or _is_exported(name.removeprefix("runtime.")))


def _is_exported(name: str) -> bool:
    """Return whether a name without its package is exported: a function, or a method of an exported type."""
    receiver, _, last = name.rpartition(".")
    if receiver.startswith("(*") and receiver.endswith(")"):
        receiver = receiver[2:-1]
    return last[:1].isupper() and last[:1].isascii() and (not receiver or receiver[:1].isupper())
