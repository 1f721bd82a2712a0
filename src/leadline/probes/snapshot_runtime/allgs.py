"""Where a process keeps the list of its goroutines: ``runtime.allgs``, by its symbol or found in its variables.

It is a slice of pointers that never shrinks. While the garbage collector runs, it has a copy of the slice
(``work.stackRoots``), which is never longer and goes when the collection ends. What is found must prove itself: each
element is a ``runtime.g`` whose saved registers name their own goroutine, and the first is the main goroutine.

Source: Go, src/runtime/proc.go (allgadd, newproc1, allGsSnapshot), mgc.go (gcResetMarkState).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from leadline.formats.gooffsets import wait_reasons
from leadline.model import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from leadline.formats.gooffsets import GoOffsets
    from leadline.probes.snapshot_runtime.looks import Memory, Words

__all__ = ["TRIES", "AllGoroutines", "find_allgs", "looks_like_goroutines"]

TRIES = 100
"""How often the end of a garbage collection is looked for, when its copy of the list cannot be told from the list."""
_PAUSE_S = 0.01
_MAX_GOROUTINES = 1 << 25
_CHECKED = 64
_PIECE_BYTES = 8 << 20
_MAX_AREA_BYTES = 512 << 20
_MAX_CANDIDATES = 200_000
_SCAN_BIT = 0x1000
_STATUSES = frozenset({0, 1, 2, 3, 4, 6, 8, 9, 10, 11})
_DEAD = (0, 6, 11)
_WAITING = 4


class _Target(Protocol):
    """What the search needs of a process."""

    @property
    def pid(self) -> int:
        """Return the process id."""

    @property
    def offsets(self) -> GoOffsets:
        """Return the offsets."""

    @property
    def memory(self) -> Memory:
        """Return the reads."""

    def module(self, field: str) -> int:
        """Return a word of moduledata."""

    def symbol(self, name: str) -> int | None:
        """Return the address of a variable."""


class AllGoroutines(NamedTuple):
    """The slice: its place; ``is_by_symbol`` tells how it was found."""

    address: int
    is_by_symbol: bool

    def read(self, memory: Memory) -> Words:
        """Return the addresses of all goroutines, dead ones too; empty when the list cannot be read.

        The list may move while it grows: then it is read again.
        """
        for _ in range(4):
            head = memory.words(self.address, 3)
            if len(head) < 3 or not 0 < int(head[1]) <= int(head[2]) <= _MAX_GOROUTINES:
                return np.zeros(0, np.uint64)
            found = memory.words(int(head[0]), int(head[1]))
            again = memory.words(self.address, 3)
            if len(found) == int(head[1]) and len(again) == 3 and again[0] == head[0]:
                return found
        return np.zeros(0, np.uint64)


def find_allgs(target: _Target) -> AllGoroutines:
    """Return where the list of goroutines is.

    Raises:
        Unsupported: it was not found, or what is there is not laid out as this release does it.
    """
    symbol = target.symbol("runtime.allgs")
    if symbol is not None:
        found = AllGoroutines(symbol, is_by_symbol=True)
        if looks_like_goroutines(target, found.read(target.memory)[:_CHECKED]):
            return found
        raise Unsupported(
            f"process {target.pid}: its goroutines are not laid out as {target.offsets.go_version} does it (another "
            "toolchain, or not started yet)"
        )
    hits = []
    for area in ("bss", "data"):
        for address, pointer, length in _slices(target, area):
            first = target.memory.words(pointer, min(length, _CHECKED))
            if len(first) and looks_like_goroutines(target, first, main_first=True):
                hits.append(AllGoroutines(address, is_by_symbol=False))
        if hits:
            break
    if len(hits) > 1:
        hits = _without_copies(target, hits)
    if len(hits) != 1:
        raise Unsupported(
            f"process {target.pid}: the list of goroutines was not found in its variables ({len(hits)} candidates)",
            remedy="look again: a program that has only just started has none yet; one of another toolchain "
            "tells them in a dump (/debug/pprof/goroutine?debug=2) for leadline dump",
        )
    return hits[0]


def _without_copies(target: _Target, hits: list[AllGoroutines]) -> list[AllGoroutines]:
    """Return the candidates without copies of the list: those that are shorter and have nothing else, or that go away."""
    for _ in range(TRIES):
        heads = [(target.memory.words(hit.address, 3), hit) for hit in hits]
        sized = [
            ((int(head[1]), int(head[2])), hit)
            for head, hit in heads
            if len(head) == 3 and head[0] and 0 < head[1] <= head[2] <= _MAX_GOROUTINES
        ]
        sized.sort(key=lambda one: one[0], reverse=True)
        hits = [hit for _, hit in sized]
        if len(hits) <= 1:
            return hits
        if sized[0][0] > sized[1][0]:
            whole = hits[0].read(target.memory)
            if all(np.isin(hit.read(target.memory), whole).all() for hit in hits[1:]):
                return hits[:1]
        time.sleep(_PAUSE_S)
    return hits


def looks_like_goroutines(target: _Target, addresses: Words, *, main_first: bool = False) -> bool:
    """Return whether all addresses are goroutines of this release: the proof that its offsets are right.

    Args:
        target: the process.
        addresses: the first ones of the list.
        main_first: the first must be goroutine 1, or have been it (it is dead then).
    """
    offsets = target.offsets
    if not len(addresses) or bool((addresses % np.uint64(8)).any()):
        return False
    rows, is_read = target.memory.gather(addresses, offsets.need("g.SIZE"))
    if not bool(is_read.all()):
        return False
    owner = _words(rows, offsets.need("g.sched") + offsets.need("gobuf.g"))
    goids = _words(rows, offsets.need("g.goid"))
    status_at = offsets.need("g.atomicstatus")
    statuses = rows[:, status_at : status_at + 4].copy().view("<u4").reshape(-1) & ~np.uint32(_SCAN_BIT)
    low, high = _words(rows, offsets.need("g.stack")), _words(rows, offsets.need("g.stack") + 8)
    starts = _words(rows, offsets.need("g.startpc"))
    is_dead = np.isin(statuses, _DEAD)
    text, end = np.uint64(target.module("text")), np.uint64(target.module("etext"))
    creators = _words(rows, offsets.need("g.gopc"))
    in_text = ((starts >= text) & (starts < end)) | (starts == 0)
    in_text &= ((creators >= text) & (creators < end)) | (creators == 0)
    known_reasons = len(wait_reasons(offsets.go_version) or ())
    has_reason = (statuses != _WAITING) | (rows[:, offsets.need("g.waitreason")] < known_reasons)
    sane = (
        ((owner == addresses) | ((owner == 0) & is_dead))
        & (goids < 1 << 48)
        & ((goids > 0) | is_dead)
        & (is_dead | (low < high))
        & (is_dead | (in_text & has_reason))
        & np.isin(statuses, list(_STATUSES))
    )
    if not bool(sane.all()) or (len(goids) > 1 and len(np.unique(goids[~is_dead])) < int((~is_dead).sum())):
        return False
    return not main_first or int(goids[0]) == 1


def _words(rows: NDArray[np.uint8], at: int) -> Words:
    return np.ascontiguousarray(rows[:, at : at + 8]).view("<u8").reshape(-1).astype(np.uint64, copy=False)


def _slices(target: _Target, area: str) -> Iterator[tuple[int, int, int]]:
    """Yield (address, pointer, length) of what has the form of a slice of goroutines."""
    start, end = target.module(area), min(target.module(f"e{area}"), target.module(area) + _MAX_AREA_BYTES)
    begin = (start + 7) & ~7
    own = target.offsets.need("g.sched") + target.offsets.need("gobuf.g")
    left = _MAX_CANDIDATES
    for at in range(begin, end, _PIECE_BYTES):
        words = target.memory.words(at, (min(_PIECE_BYTES + 16, end - at)) // 8)
        if len(words) < 3:
            continue
        pointer, length, capacity = words[:-2], words[1:-1], words[2:]
        fits = (
            (pointer > 4096)
            & (pointer % np.uint64(8) == 0)
            & (length > 0)
            & (length <= capacity)
            & (capacity <= _MAX_GOROUTINES)
        )
        places = np.flatnonzero(fits)[:left]
        left -= len(places)
        elements, is_read = target.memory.gather_words(pointer[places])
        places, elements = places[is_read], elements[is_read]
        owners, is_read = target.memory.gather_words(elements + np.uint64(own))
        for place in places[is_read & (owners == elements)]:
            yield at + 8 * int(place), int(pointer[place]), int(length[place])
