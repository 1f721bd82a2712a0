"""The spans of the Go heap: which ranges of memory hold objects of which size, and which of them may hold pointers.

Source: ``runtime.mheap_.allspans``, a slice of pointers to ``runtime.mspan``. Without a symbol table it is found by its
shape: a slice in bss or noptrbss whose elements begin at page boundaries and have been swept lately by the heap's own count
(``mheap_.sweepgen``), which lies at a known distance before the slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import GoProcess, Words

__all__ = ["PAGE_BYTES", "Spans", "find_heap", "read_spans", "search_heap"]

PAGE_BYTES = 8192
"""Size of a page of the Go heap on all machines (``runtime.pageSize``)."""

_IN_USE, _MANUAL = 1, 2  # mSpanInUse, mSpanManual
_MAX_SPANS = 1 << 24
_SAMPLES = 64
_TRIES = 3
_CHUNK_WORDS = 1 << 17
_MAX_ADDRESS = 1 << 48


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans that hold objects, by address; index ``i`` is one span everywhere.

    Attributes:
        starts: address of the first byte.
        pages: length in pages of ``PAGE_BYTES``.
        object_bytes: size of one object.
        counts: how many objects it has room for.
        is_scannable: whether its objects may hold pointers.
        has_headers: whether each object begins with the address of its type (Go 1.22+).
        large_types: address of the type of the only object of a large span, 0 where unknown.
        specials: address of the first record of finalizers, cleanups and the like, 0 without one.
        sweepgen: the heap's count, by two for each collection; None when unknown.
        heap: address of ``runtime.mheap_``.
        is_complete: all spans were read.
    """

    starts: Words
    pages: NDArray[np.int64]
    object_bytes: NDArray[np.int64]
    counts: NDArray[np.int64]
    is_scannable: NDArray[np.bool_]
    has_headers: NDArray[np.bool_]
    large_types: Words
    specials: Words
    sweepgen: int | None
    heap: int
    is_complete: bool

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def scannable_bytes(self) -> int:
        """Return how much memory may hold pointers."""
        return int(self.pages[self.is_scannable].sum()) * PAGE_BYTES

    def at(self, addresses: Words) -> NDArray[np.int64]:
        """Return the span of each address, -1 where it is in none."""
        if not len(self.starts):
            return np.full(len(addresses), -1, np.int64)
        found = np.searchsorted(self.starts, addresses, side="right").astype(np.int64) - 1
        at_least_first = np.maximum(found, 0)
        ends = self.starts[at_least_first] + (self.pages[at_least_first] * PAGE_BYTES).astype(np.uint64)
        return np.where((found >= 0) & (addresses < ends), found, -1)

    def base(self, address: int) -> int | None:
        """Return where the object that holds an address begins; None when it is in no object."""
        span = int(self.at(np.array([address], np.uint64))[0])
        if span < 0:
            return None
        start, size = int(self.starts[span]), int(self.object_bytes[span])
        index = (address - start) // size
        return start + index * size if index < int(self.counts[span]) else None


def find_heap(process: GoProcess) -> int | None:
    """Return the address of ``runtime.mheap_``: by its symbol, else by the shape of its ``allspans``; None without it."""
    by_name = process.symbol("runtime.mheap_")
    return by_name if by_name is not None else search_heap(process)


def search_heap(process: GoProcess) -> int | None:
    """Return the address of ``runtime.mheap_`` by the shape of its ``allspans``; None without it."""
    try:
        allspans = process.offsets.need("mheap.allspans")
        for low, high in (
            (process.module("bss"), process.module("ebss")),
            (process.module("noptrbss"), process.module("enoptrbss")),
        ):
            for address in _slices(process, low, high):
                if address - allspans >= low and _is_heap(process, address - allspans):
                    return address - allspans
    except KeyError:
        return None
    return None


def _slices(process: GoProcess, low: int, high: int) -> Iterator[int]:
    """Yield addresses that look like a slice of many pointers to off-heap memory."""
    if not 0 < low < high or high - low > 1 << 32:
        return
    for at in range(low, high, 8 * _CHUNK_WORDS):
        words = process.memory.words(at, min(_CHUNK_WORDS + 2, (high - at) // 8))
        if len(words) < 3:
            continue
        pointers, lengths, capacities = words[:-2], words[1:-1], words[2:]
        fits = (lengths > 0) & (lengths <= capacities) & (capacities < _MAX_SPANS)
        fits &= (pointers > 4096) & (pointers < _MAX_ADDRESS) & (pointers % np.uint64(8) == 0)
        for index in np.flatnonzero(fits):
            yield at + 8 * int(index)


def _is_heap(process: GoProcess, heap: int) -> bool:
    """Return whether the first spans of an ``mheap`` make sense together with its ``sweepgen``."""
    offsets, memory = process.offsets, process.memory
    sweepgen = memory.word(heap + offsets.need("mheap.sweepgen")) & 0xFFFFFFFF
    pointer, length, _ = (*_slice(process, heap + offsets.need("mheap.allspans")), 0)
    if sweepgen % 2 or not length:
        return False
    addresses = memory.words(pointer, min(length, _SAMPLES))
    if len(addresses) < min(length, _SAMPLES):
        return False
    rows, is_read = memory.gather(addresses, offsets.need("mspan.SIZE"))
    if not is_read.all():
        return False
    starts = _column(rows, offsets.need("mspan.startAddr"), np.uint64).astype(np.uint64)
    pages = _column(rows, offsets.need("mspan.npages"), np.uint64).astype(np.uint64)
    states = _column(rows, offsets.need("mspan.state"), np.uint8).astype(np.int64)
    swept = _column(rows, offsets.need("mspan.sweepgen"), np.uint32).astype(np.int64)
    used = states == _IN_USE
    behind = (sweepgen - swept[used]) & 0xFFFFFFFF
    return bool(
        used.any()
        and (states <= _MANUAL).all()
        and (starts[used] % np.uint64(PAGE_BYTES) == 0).all()
        and (starts[used] > 0).all()
        and ((pages[used] > 0) & (pages[used] < 1 << 32)).all()
        # h.sweepgen-2 .. h.sweepgen+3; a collection may begin between the two reads
        and ((behind <= 4) | (behind >= (1 << 32) - 5)).all()
    )


def _slice(process: GoProcess, address: int) -> tuple[int, int]:
    words = process.memory.words(address, 3)
    if len(words) < 3 or not 0 < int(words[1]) <= int(words[2]) < _MAX_SPANS:
        return 0, 0
    return int(words[0]), int(words[1])


def _column(rows: NDArray[np.uint8], offset: int, kind: type[np.generic]) -> NDArray[np.generic]:
    size = np.dtype(kind).itemsize
    return np.ascontiguousarray(rows[:, offset : offset + size]).view(kind).ravel()


def read_spans(process: GoProcess) -> Spans | None:
    """Return the spans in use; None when they cannot be found or this release is not known.

    The slice of spans may move while it is read (it grows): then it is read again, three times at most.
    """
    heap = find_heap(process)
    if heap is None:
        return None
    try:
        for _ in range(_TRIES):
            spans = _read_once(process, heap)
            if spans is not None:
                return spans
    except KeyError:
        return None
    return None


def _read_once(process: GoProcess, heap: int) -> Spans | None:
    offsets, memory = process.offsets, process.memory
    pointer, length = _slice(process, heap + offsets.need("mheap.allspans"))
    addresses = memory.words(pointer, length) if length else np.zeros(0, np.uint64)
    if not length or len(addresses) < length:
        return None
    rows, is_read = memory.gather(addresses, offsets.need("mspan.SIZE"))
    if _slice(process, heap + offsets.need("mheap.allspans"))[0] != pointer:
        return None
    count_size = (
        np.uint64 if offsets.need("mspan.nelems") == 56 else np.uint16
    )  # a uint16 at 50 since Go 1.22
    starts = _column(rows, offsets.need("mspan.startAddr"), np.uint64).astype(np.uint64)
    pages = _column(rows, offsets.need("mspan.npages"), np.uint64).astype(np.int64)
    sizes = _column(rows, offsets.need("mspan.elemsize"), np.uint64).astype(np.int64)
    counts = _column(rows, offsets.need("mspan.nelems"), count_size).astype(np.int64)
    states = _column(rows, offsets.need("mspan.state"), np.uint8).astype(np.int64)
    classes = _column(rows, offsets.need("mspan.spanclass"), np.uint8).astype(np.int64)
    specials = _column(rows, offsets.need("mspan.specials"), np.uint64).astype(np.uint64)
    type_at = offsets.get("mspan.largeType")
    large = (
        np.zeros(len(rows), np.uint64)
        if type_at is None
        else _column(rows, type_at, np.uint64).astype(np.uint64)
    )
    sane = is_read & (states == _IN_USE) & (pages > 0) & (pages < 1 << 32) & (sizes > 0) & (counts > 0)
    sane &= (starts > 0) & (starts < _MAX_ADDRESS) & (starts % np.uint64(PAGE_BYTES) == 0)
    # Objects fill a span but for an eighth; what is told of a span that is just being made may be of two moments.
    room = pages * PAGE_BYTES
    sane &= (sizes <= room) & (sizes * counts <= room) & (sizes * counts >= room // 2)
    kept = np.flatnonzero(sane)
    kept = kept[np.argsort(starts[kept], kind="stable")]
    while len(kept):
        ends = starts[kept] + room[kept].astype(np.uint64)
        overlaps = np.append(ends[:-1] > starts[kept][1:], [False])
        if not overlaps.any():
            break
        sane[kept[overlaps]] = False
        kept = kept[~overlaps]
    is_scannable = (classes[kept] & 1) == 0
    is_small = (classes[kept] >> 1) != 0
    headers = is_scannable & is_small & (sizes[kept] > 512) & (type_at is not None)
    return Spans(
        starts=starts[kept],
        pages=pages[kept],
        object_bytes=sizes[kept],
        counts=counts[kept],
        is_scannable=is_scannable,
        has_headers=headers,
        large_types=np.where(is_small, np.uint64(0), large[kept]),
        specials=specials[kept],
        sweepgen=memory.word(heap + offsets.need("mheap.sweepgen")) & 0xFFFFFFFF,
        heap=heap,
        # What is in use but was torn or unreadable might hold a pointer.
        is_complete=bool(is_read.all() and (sane | (states != _IN_USE)).all()),
    )
