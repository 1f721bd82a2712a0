"""What appeared in a descriptor table and what went: pure bookkeeping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.evidence.kinds import DescriptorKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadline.contracts import FdLink

__all__ = ["Seen", "TableTracker"]


@dataclass(slots=True)
class Seen:
    """One descriptor that was seen.

    Attributes:
        link: as it was first seen.
        first_ns, last_ns: looks that saw it first and last.
        is_before: it was there at the first look of all, so its birth was not seen.
        kind: what it refers to.
        group: key of its birthplace; None while its socket is not connected yet.
    """

    link: FdLink
    first_ns: int
    last_ns: int
    is_before: bool
    kind: DescriptorKind = DescriptorKind.OTHER
    group: tuple[str, ...] | None = None


class TableTracker:
    """Keeps the table of the last look.

    A descriptor is the same when number, link target, inode and device are the same. That misses a number that was closed
    and given to the same file (or any other anonymous inode of the kind) between two looks.
    """

    def __init__(self) -> None:
        self.alive: dict[FdLink, Seen] = {}
        self._is_first = True

    def look(self, now_ns: int, links: Iterable[FdLink]) -> tuple[list[Seen], list[Seen]]:
        """Take a table; return those that are new since the last one, and those that are gone."""
        born = []
        alive: dict[FdLink, Seen] = {}
        for link in links:
            seen = self.alive.pop(link, None)
            if seen is None:
                seen = Seen(link, now_ns, now_ns, self._is_first)
                born.append(seen)
            seen.last_ns = now_ns
            alive[link] = seen
        died = list(self.alive.values())
        self.alive = alive
        self._is_first = False
        return born, died
