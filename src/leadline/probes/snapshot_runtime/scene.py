"""What the readers of connections share during one look."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from leadline.probes.snapshot_runtime.netfds import NetFds
from leadline.probes.snapshot_runtime.sites import Sites
from leadline.probes.snapshot_runtime.stackwords import Object, find_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look, Words

__all__ = ["Scene"]


class Scene:
    """One look, with the descriptors that its goroutines are parked on.

    Attributes:
        process, look, found: as readers get them.
        nets: finds descriptors of connection objects.
        sites: frames.
        reads, writes: the descriptor that a goroutine is parked on until it can read, and until it can write, by its number.
    """

    def __init__(self, process: GoProcess, look: Look, found: Found) -> None:
        self.process = process
        self.look = look
        self.found = found
        self.nets = NetFds(process, found)
        self.sites = Sites(process, look)
        self.reads: dict[int, int] = {}
        self.writes: dict[int, int] = {}
        for fd, use in found.uses.items():
            if use.reader_goid is not None:
                self.reads[use.reader_goid] = fd
            if use.writer_goid is not None:
                self.writes[use.writer_goid] = fd

    def having(self, *names: str) -> NDArray[np.int64]:
        """Return the indices of goroutines with one of these functions on their stack, given by full name."""
        wanted = frozenset(names)
        return self.look.with_function(wanted.__contains__)

    def goid(self, i: int) -> int:
        """Return the number of a goroutine by its index."""
        return int(self.look.goids[i])

    def fd_of(self, i: int) -> int | None:
        """Return the descriptor that a goroutine is parked on, by its index; None when on none."""
        goid = self.goid(i)
        fd = self.reads.get(goid)
        return self.writes.get(goid) if fd is None else fd

    def objects(
        self,
        indices: NDArray[np.int64],
        functions: Sequence[str],
        check: Callable[[Words], NDArray[np.int64]],
        *,
        parked: bool = False,
        unique: bool = True,
    ) -> dict[int, Object]:
        """Return the object that each goroutine has in the frame of a function, by index; see ``find_objects``.

        Args:
            indices: goroutines.
            functions: full names of functions, any of which may hold it.
            check: proves addresses and gives their descriptor.
            parked: the descriptor must be the one that the goroutine is parked on, if it is parked on one.
            unique: an object belongs to one goroutine.
        """
        expected = {}
        if parked:
            expected = {i: fd for i in indices.tolist() if (fd := self.fd_of(i)) is not None}
        wanted = frozenset(functions).__contains__
        return find_objects(self.look, self.sites, indices, wanted, check, expected=expected, unique=unique)

    def known_objects(
        self, indices: NDArray[np.int64], functions: Sequence[str], addresses: Sequence[int]
    ) -> dict[int, int]:
        """Return which of some known objects each goroutine has in the frame of a function, as index into ``addresses``."""
        if not len(addresses) or not len(indices):
            return {}
        order = np.argsort(np.array(addresses, np.uint64))
        known = np.array(addresses, np.uint64)[order]
        wanted = frozenset(functions).__contains__
        # Several goroutines may work with one object, such as the streams of one HTTP/2 connection.
        found = find_objects(
            self.look, self.sites, indices, wanted, partial(_position, known, order), unique=False
        )
        return {i: one.value for i, one in found.items()}


def _position(known: Words, order: NDArray[np.int64], addresses: Words) -> NDArray[np.int64]:
    place = np.minimum(np.searchsorted(known, addresses), len(known) - 1)
    return np.where(known[place] == addresses, order[place], -1).astype(np.int64)
