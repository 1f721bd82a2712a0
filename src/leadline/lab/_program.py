"""The record that describes one lab program."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["LabProgram", "OtherEnd"]


class OtherEnd(StrEnum):
    """What the second process of a program does; it keeps the other end of connections out of the observed process."""

    NONE = "none"
    UPSTREAM = "upstream"  # listens; the program calls it
    CLIENTS = "clients"  # call the program


@dataclass(frozen=True, slots=True, kw_only=True)
class LabProgram:
    """One small Go service with one known fault, or a healthy twin.

    Attributes:
        name: of the folder, the binary and the command line.
        story: one sentence: what a person would tell about it.
        expects: rule codes that must be found; empty for a healthy program.
        healthy: name of the healthy pattern; empty when there is a fault.
        also: codes of consequences that may be found besides; no others may.
        kind: report word of the descriptors it is about (``tcp``, ``file`` ...); None when not about one kind.
        count: how many descriptors of that kind are leaked in all when the program says ``finished``; for healthy
            programs the plateau where there is an exact one; None when not countable.
        before: how many of the same birthplace are already there when it says ``ready``.
        close_wait: how many sockets are in CLOSE_WAIT in the end.
        trace_s: seconds of observation, from the moment it is let go, after which the verdict must be reached.
        args: arguments that make it so; the program's own defaults are meant when empty.
        other_end: what its second process does.
        min_go: oldest Go release that builds it.
        mission: row or section that asks for it.
    """

    name: str
    story: str
    expects: tuple[str, ...] = ()
    healthy: str = ""
    also: tuple[str, ...] = ()
    kind: str | None = None
    count: int | None = None
    before: int = 0
    close_wait: int = 0
    trace_s: float = 12.0
    args: tuple[str, ...] = ()
    other_end: OtherEnd = OtherEnd.NONE
    min_go: tuple[int, int] = (1, 21)
    mission: str = "A2 A3"
