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
        name: on the command line; also of the folder and the binary, unless ``folder`` says otherwise.
        story: what a person would say about it; goes after the name: "accept-leak: accepts connections ...".
        expects: rule codes that must be found; empty for a healthy program.
        healthy: name of the healthy pattern; empty when there is a fault.
        also: codes of consequences that may be found besides; no others may.
        kind: report word of the descriptors it is about (``tcp``, ``file`` ...); None when not about one kind.
        count: faults: how many descriptors of that kind are leaked in all when the program says ``finished``, None
            when not countable. Healthy programs: how many of that kind there are at most at one time, besides those
            that were there before.
        before: how many of the same birthplace are already there when it says ``ready``.
        close_wait: how many sockets are in CLOSE_WAIT in the end.
        goroutines: how many goroutines are stuck in the end at the lines that are marked ``parked``; 0 where none is marked.
        trace_s: seconds of observation, from the moment it is let go, after which the verdict must be reached.
        args: arguments that make it so; the program's own defaults are meant when empty.
        endless: further arguments that make a leak go on as long as the program runs. A leak that stops in the middle of a
            window is no leak any more, so use them where a verdict is wanted and not an exact count.
        watch: options that ``leadline trace`` needs to see it.
        other_end: what its second process does.
        min_go: oldest Go release that builds it.
        mission: rows of the mission, or scenarios of the field notes, that ask for it.
        folder: where its source is; "" when it has the program's name.
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
    goroutines: int = 0
    trace_s: float = 12.0
    args: tuple[str, ...] = ()
    endless: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    other_end: OtherEnd = OtherEnd.NONE
    min_go: tuple[int, int] = (1, 21)
    mission: str = "A2 A3"
    folder: str = ""

    @property
    def source_folder(self) -> str:
        """Return the name of the folder with its source, which is the name of its binary too."""
        return self.folder or self.name

    @property
    def is_healthy(self) -> bool:
        """Return whether nothing may be found."""
        return not self.expects
