"""An index of all pointers into the Go heap: for each object, the places that hold a pointer to it.

What the garbage collector would scan is read once, page by page, and each word that points into an object is kept as one
64-bit number (object, holder); sorted, these answer "who points here?" by bisection. What is scanned:

- Objects in spans that may hold pointers, which covers all that lives on the heap: timers and AfterFunc closures (``P.timers``
  is a slice reached from the global ``allp``), channel buffers, sudogs, defer records made on the heap, closures of goroutines
  that have not begun, ``sync.Pool`` with its victims (they hang on ``sync.allPools``), maps, and the handles of
  ``runtime/cgo`` (a global ``sync.Map``).
- The pointer words of data and bss of each module (plugins too), by the linker's own masks where they can be read.
- The stacks of goroutines from their stack pointer up; all of the stack when the goroutine is on a CPU or did not hold still.
- Records of finalizers and cleanups (``mspan.specials``), which lie outside the heap: what the function of one refers to is
  kept by it.

What is not scanned: objects without pointers (so weak pointers and ``unique`` keep nothing, as in the collector), registers
of running goroutines, the queues of finalizers that are due (the search is called incomplete unless the goroutines that run
them are idle), memory of C, and the runtime's own structures outside the heap (pollDesc, mcache, mspan), which the
collector does not scan either.

Words that are no pointers but look so, and dead slots of frames, can only make something look reachable that is not.

Source: Go, src/runtime/mgcmark.go (gcPrepareMarkRoots, markroot, scanstack), mheap.go (special), mbitmap.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.formats.gobinary import go_minor
from leadline.model import Unsupported
from leadline.probes.snapshot_runtime.spans import PAGE_BYTES, Spans, read_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Words
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["CAP_BYTES", "HeapIndex", "RootKind", "Roots", "build_index"]

CAP_BYTES = 512 << 20
"""Most memory that is searched unless the user allows more; the tool needs up to twice as much for itself."""

_PAGES_PER_CHUNK = 2048
_WORDS_PER_PAGE = PAGE_BYTES // 8
_ROOT = np.uint64(1 << 31)  # of the holder's number: it is a root, not a word of the heap
_HOLDER_BITS = np.uint64(32)
_HOLDER_MASK = np.uint64(0xFFFFFFFF)
_MAX_LOOKUP_PAGES = 1 << 26
_FEW = 16
_STACK_BLOCK = 1024
_MAX_STACK_BYTES = 1 << 30
_MAX_MODULES = 64
_MAX_SPECIALS = 4_000_000
_MAX_SPECIAL_ROUNDS = 4096
_RUNNABLE, _SYSCALL, _WAITING, _PREEMPTED = 1, 3, 4, 9
_HOLD_STILL = (_RUNNABLE, _SYSCALL, _WAITING, _PREEMPTED)
_DEAD = (0, 6, 11)
_FINALIZER_LOOPS = frozenset({"runtime.runfinq", "runtime.runFinalizers", "runtime.runCleanups"})


class RootKind:
    """What a root is."""

    GLOBAL, STACK, SPECIAL = 0, 1, 2


class Roots(NamedTuple):
    """Places outside the heap that point into it; index ``i`` is one place everywhere.

    Attributes:
        addresses: where the pointer lies; of a record of a finalizer the object that it is set on.
        kinds: a ``RootKind``.
        owners: of stack words the index of the goroutine in ``HeapIndex.goroutines``, else -1.
    """

    addresses: Words
    kinds: NDArray[np.uint8]
    owners: NDArray[np.int64]


@dataclass(slots=True)
class _Goroutines:
    """All goroutines that were not dead, by ``runtime.g``: number, stack, and whether its frames can be told apart."""

    addresses: Words
    goids: NDArray[np.int64]
    lows: Words
    tops: Words
    starts: Words
    is_quiet: NDArray[np.bool_]
    statuses: NDArray[np.int64]
    reasons: NDArray[np.int64]
    sequences: NDArray[np.int64]
    startpcs: Words
    everyone: Words


@dataclass(slots=True)
class HeapIndex:
    """Who points to which object. Made by ``build_index``.

    Attributes:
        process, spans: what was searched.
        goroutines: those that were alive.
        roots: places outside the heap.
        poll_holders: by address outside the heap that was asked for (a pollDesc): the words of the heap that hold it.
        finalized: numbers of the objects that have a finalizer or cleanup.
        scanned_bytes: how much was read.
        doubts: why something may have been missed, in the reader's words; empty when the search was complete.
        object_count: numbers of objects lie below it.
    """

    process: OpenedProcess
    spans: Spans
    goroutines: _Goroutines
    roots: Roots
    poll_holders: dict[int, list[int]]
    finalized: NDArray[np.int64]
    scanned_bytes: int
    doubts: list[str]
    object_count: int
    _edges: NDArray[np.uint64]
    _firsts: NDArray[np.int64]
    _indexed: NDArray[np.bool_]
    _pages: Words
    _page_spans: NDArray[np.int64]
    _g_objects: dict[int, int] = field(default_factory=dict)

    def objects(self, addresses: Words) -> NDArray[np.int64]:
        """Return the number of the object at each address, -1 where there is none."""
        spans = self.spans.at(addresses)
        inside = np.maximum(spans, 0)
        if not len(self.spans):
            return np.full(len(addresses), -1, np.int64)
        places = (addresses - self.spans.starts[inside]).astype(np.int64) // self.spans.object_bytes[inside]
        fits = (spans >= 0) & self._indexed[inside] & (places < self.spans.counts[inside])
        return np.where(fits, self._firsts[inside] + places, -1)

    def object_at(self, address: int) -> int:
        """Return the number of the object at an address, -1 where there is none."""
        return int(self.objects(np.array([address], np.uint64))[0])

    def span_of(self, objects: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the span of each object."""
        return np.searchsorted(self._firsts, objects, side="right") - 1

    def bases(self, objects: NDArray[np.int64]) -> Words:
        """Return where each object begins."""
        spans = self.span_of(objects)
        offsets = (objects - self._firsts[spans]) * self.spans.object_bytes[spans]
        return self.spans.starts[spans] + offsets.astype(np.uint64)

    def base(self, number: int) -> int:
        """Return where an object begins."""
        return int(self.bases(np.array([number], np.int64))[0])

    def size(self, number: int) -> int:
        """Return the bytes of an object's slot."""
        return int(self.spans.object_bytes[self.span_of(np.array([number]))[0]])

    def holders(self, objects: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return (object, holder) for each pointer to one of the objects; holders are numbers for ``decode``."""
        wanted = np.sort(objects).astype(np.uint64)
        begins = np.searchsorted(self._edges, wanted << _HOLDER_BITS)
        ends = np.searchsorted(self._edges, (wanted + np.uint64(1)) << _HOLDER_BITS)
        counts = ends - begins
        total = int(counts.sum())
        steps = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        edges = self._edges[np.repeat(begins, counts) + steps]
        return (edges >> _HOLDER_BITS).astype(np.int64), edges & _HOLDER_MASK

    def holders_of(self, number: int) -> list[tuple[int, int, int]]:
        """Return (address, object, root) for each pointer to one object, as ``decode`` does; quicker for few."""
        begin = int(self._edges.searchsorted(np.uint64(number << 32)))
        end = int(self._edges.searchsorted(np.uint64((number + 1) << 32)))
        if end - begin > _FEW:
            decoded = self.decode(self._edges[begin:end] & _HOLDER_MASK)
            return list(zip(*(column.tolist() for column in decoded), strict=True))
        found = []
        for edge in self._edges[begin:end].tolist():
            holder = edge & 0xFFFFFFFF
            if holder >= 1 << 31:
                root = holder - (1 << 31)
                found.append((int(self.roots.addresses[root]), -1, root))
                continue
            row, word = divmod(holder, _WORDS_PER_PAGE)
            span = int(self._page_spans[row])
            address = int(self._pages[row]) + 8 * word
            place = (address - int(self.spans.starts[span])) // int(self.spans.object_bytes[span])
            fits = place < int(self.spans.counts[span])
            found.append((address, int(self._firsts[span]) + place if fits else -1, -1))
        return found

    def decode(self, holders: NDArray[np.uint64]) -> tuple[Words, NDArray[np.int64], NDArray[np.int64]]:
        """Return for each holder its address, its object (-1 for roots) and its root (-1 for words of the heap).

        Words of the heap that belong to no object (the tail of a span) have neither.
        """
        is_root = holders >= _ROOT
        words = np.where(is_root, np.uint64(0), holders).astype(np.int64)
        rows = words // _WORDS_PER_PAGE
        addresses = np.zeros(len(holders), np.uint64)
        objects = np.full(len(holders), -1, np.int64)
        roots = np.where(is_root, holders - _ROOT, np.uint64(0)).astype(np.int64)
        if len(self._pages):
            addresses = self._pages[rows] + (words % _WORDS_PER_PAGE * 8).astype(np.uint64)
            spans = self._page_spans[rows]
            places = (addresses - self.spans.starts[spans]).astype(np.int64) // self.spans.object_bytes[spans]
            fits = ~is_root & (places < self.spans.counts[spans])
            objects = np.where(fits, self._firsts[spans] + places, -1)
        if len(self.roots.addresses):
            addresses = np.where(is_root, self.roots.addresses[np.where(is_root, roots, 0)], addresses)
        return addresses, objects, np.where(is_root, roots, -1)

    def goroutine_of(self, number: int) -> int | None:
        """Return which goroutine an object is the ``runtime.g`` of: its index, -1 when it is a dead one; None for others."""
        return self._g_objects.get(number)

    @property
    def pointer_count(self) -> int:
        """Return how many pointers were found."""
        return len(self._edges)

    @property
    def goroutine_objects(self) -> NDArray[np.int64]:
        """Return the numbers of the objects that are a ``runtime.g``."""
        return np.fromiter(self._g_objects, np.int64, len(self._g_objects))


def build_index(
    process: OpenedProcess,
    *,
    cap_bytes: int = CAP_BYTES,
    interest: Collection[int] = (),
    off_heap: Collection[int] = (),
    progress: Callable[[float], None] | None = None,
) -> HeapIndex:
    """Read what the collector would scan and return who points where.

    Args:
        process: a Go process.
        cap_bytes: refuse when more memory than this would have to be read.
        interest: addresses of objects that may lie in spans without pointers (such as a ``chan int``) and whose
            holders are wanted all the same.
        off_heap: addresses outside the heap; words of the heap that hold one are kept.
        progress: called with the part that is done, 0 to 1.

    Raises:
        Unsupported: the heap was not found, is larger than the cap, or this release is not known.
        NotPermitted: the memory may not be read.
        TargetGone: the process has ended.
    """
    spans = read_spans(process)
    if spans is None or not len(spans):
        raise Unsupported(f"process {process.pid}: the spans of its heap were not found")
    if spans.scannable_bytes > cap_bytes:
        raise Unsupported(
            f"process {process.pid}: {spans.scannable_bytes >> 20} MiB of its heap may hold pointers, more than the "
            f"{cap_bytes >> 20} MiB that are searched at most",
            remedy=f"allow more: --heap-limit {(spans.scannable_bytes >> 20) + 64}MiB; leadline needs twice as much itself",
        )
    reader = _Reader(process, spans, interest, off_heap)
    reader.read_heap(progress)
    reader.read_globals()
    reader.read_specials()
    reader.read_stacks()
    if progress is not None:
        progress(1.0)
    return reader.finish()


class _Reader:
    """Collects the edges of one search."""

    def __init__(
        self, process: OpenedProcess, spans: Spans, interest: Collection[int], off_heap: Collection[int]
    ) -> None:
        self.process = process
        self.spans = spans
        self.doubts: list[str] = []
        if not spans.is_complete:
            self.doubts.append("some spans of the heap could not be read")
        self.low = int(spans.starts[0])
        self.high = int(spans.starts[-1]) + int(spans.pages[-1]) * PAGE_BYTES
        wanted = np.fromiter((a for a in interest if self.low <= a < self.high), np.uint64)
        in_spans = spans.at(wanted)
        in_spans = in_spans[in_spans >= 0]
        self.noscan_wanted = np.unique(in_spans[~spans.is_scannable[in_spans]])
        self.indexed = spans.is_scannable.copy()
        self.indexed[self.noscan_wanted] = True
        counts = np.where(self.indexed, spans.counts, 0)
        self.firsts = np.cumsum(counts) - counts
        self.object_count = int(counts.sum())
        if self.object_count >= 1 << 32:
            raise Unsupported(f"process {process.pid}: its heap has too many objects")
        self.wanted_objects = np.zeros(0, np.int64)
        self.lookup = self._make_lookup()
        self.starts = (spans.starts - np.uint64(self.low)).astype(np.int64)
        if len(self.noscan_wanted):
            _, self.wanted_objects = self.targets(wanted)
            self.wanted_objects = np.unique(self.wanted_objects)
        self.off_heap = np.array(sorted(off_heap), np.uint64)
        self.poll_holders: dict[int, list[int]] = {}
        self.pieces: list[NDArray[np.uint64]] = []
        self.roots: list[tuple[Words, int, NDArray[np.int64]]] = []
        self.root_count = 0
        self.finalized: list[Words] = []
        self.scanned = 0
        self.pages = np.zeros(0, np.uint64)
        self.page_spans = np.zeros(0, np.int64)
        self.goroutines = self._read_goroutines()

    def _make_lookup(self) -> NDArray[np.int32] | None:
        """Return the span by page from the lowest one on, -1 where none is indexed; None when the heap is spread too far."""
        count = (self.high - self.low) // PAGE_BYTES
        if count > _MAX_LOOKUP_PAGES:
            return None
        table = np.full(count, -1, np.int32)
        chosen = np.flatnonzero(self.indexed)
        pages = self.spans.pages[chosen]
        first = ((self.spans.starts[chosen] - np.uint64(self.low)) // np.uint64(PAGE_BYTES)).astype(np.int64)
        steps = np.arange(int(pages.sum())) - np.repeat(np.cumsum(pages) - pages, pages)
        table[np.repeat(first, pages) + steps] = np.repeat(chosen, pages)
        return table

    def targets(self, words: Words) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which words point into an indexed object, and the number of that object."""
        relative = words - np.uint64(self.low)
        places = np.flatnonzero(relative < np.uint64(self.high - self.low))
        inside = relative[places].astype(np.int64)
        if self.lookup is not None:
            spans = self.lookup[inside >> 13]
        else:
            spans = self.spans.at(words[places])
            spans = np.where(self.indexed[np.maximum(spans, 0)], spans, -1)
        kept = np.flatnonzero(spans >= 0)
        places, inside, spans = places[kept], inside[kept], spans[kept]
        index = (inside - self.starts[spans]) // self.spans.object_bytes[spans]
        objects = self.firsts[spans] + index
        fits = index < self.spans.counts[spans]
        if len(self.noscan_wanted) and len(self.wanted_objects):
            fits &= self.spans.is_scannable[spans] | np.isin(objects, self.wanted_objects)
        if not fits.all():
            places, objects = places[fits], objects[fits]
        return places, objects

    def read_heap(self, progress: Callable[[float], None] | None) -> None:
        """Read all pages that may hold pointers."""
        chosen = np.flatnonzero(self.spans.is_scannable)
        pages = self.spans.pages[chosen]
        steps = np.arange(int(pages.sum())) - np.repeat(np.cumsum(pages) - pages, pages)
        self.pages = np.repeat(self.spans.starts[chosen], pages) + (steps * PAGE_BYTES).astype(np.uint64)
        self.page_spans = np.repeat(chosen, pages)
        failed = 0
        for begin in range(0, len(self.pages), _PAGES_PER_CHUNK):
            here = self.pages[begin : begin + _PAGES_PER_CHUNK]
            rows, is_read = self.process.memory.gather(here, PAGE_BYTES)
            failed += int((~is_read).sum())
            words = rows.reshape(-1).view(np.uint64)
            places, objects = self.targets(words)
            self._add(objects, places + begin * _WORDS_PER_PAGE)
            self._find_off_heap(words, here)
            if progress is not None:
                progress(0.9 * (begin + len(here)) / len(self.pages))
        self.scanned += len(self.pages) * PAGE_BYTES
        if failed:
            self.doubts.append(f"{failed} pages of the heap could not be read")

    def _add(self, objects: NDArray[np.int64], holders: NDArray[np.int64]) -> None:
        self.pieces.append((objects.astype(np.uint64) << _HOLDER_BITS) | holders.astype(np.uint64))

    def _find_off_heap(self, words: Words, pages: Words) -> None:
        if not len(self.off_heap):
            return
        first = self.off_heap[0]
        near = np.flatnonzero(words - first <= self.off_heap[-1] - first)
        hits = near[np.isin(words[near], self.off_heap)]
        for place in hits.tolist():
            address = int(pages[place // _WORDS_PER_PAGE]) + place % _WORDS_PER_PAGE * 8
            self.poll_holders.setdefault(int(words[place]), []).append(address)

    def _add_roots(
        self, words: Words, addresses: Words, kind: int, owners: NDArray[np.int64] | None = None
    ) -> None:
        places, objects = self.targets(words)
        if not len(places):
            return
        self._add(objects, np.arange(len(places)) + self.root_count + int(_ROOT))
        mine = np.full(len(places), -1, np.int64) if owners is None else owners[places]
        self.roots.append((addresses[places], kind, mine))
        self.root_count += len(places)

    def read_globals(self) -> None:
        """Read the pointer words of data and bss of each module."""
        offsets, memory = self.process.offsets, self.process.memory
        module = (self.process.binary.moduledata or 0) + self.process.bias
        seen: set[int] = set()
        while module and module not in seen and len(seen) < _MAX_MODULES:
            seen.add(module)
            for area, mask in (("data", "gcdatamask"), ("bss", "gcbssmask")):
                low = memory.word(module + offsets.need(f"moduledata.{area}"))
                high = memory.word(module + offsets.need(f"moduledata.e{area}"))
                if high == low:
                    continue
                count = (high - low) // 8
                words = memory.words(low, count) if 0 < count < 1 << 27 else np.zeros(0, np.uint64)
                if len(words) < count or not count:
                    self.doubts.append("some package variables could not be read")
                mask_at = module + offsets.need(f"moduledata.{mask}")
                is_pointer = self._mask(mask_at, len(words))
                chosen = np.arange(len(words)) if is_pointer is None else np.flatnonzero(is_pointer)
                self._add_roots(
                    words[chosen], np.uint64(low) + (chosen * 8).astype(np.uint64), RootKind.GLOBAL
                )
                self.scanned += 8 * len(words)
            module = memory.word(module + offsets.need("moduledata.next"))

    def _mask(self, address: int, count: int) -> NDArray[np.bool_] | None:
        """Return which words of an area are pointers (``runtime.bitvector``); None when the mask does not fit the area."""
        memory = self.process.memory
        bits = memory.word(address) & 0xFFFFFFFF
        raw = memory.read(memory.word(address + 8), (bits + 7) // 8) if 0 < bits < 1 << 27 else b""
        if not count <= bits <= count + 8 or len(raw) < (bits + 7) // 8:
            return None
        mask = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[:count].astype(np.bool_)
        return mask if mask.any() else None

    def read_specials(self) -> None:
        """Read what the functions of finalizers and cleanups refer to."""
        minor = go_minor(self.process.go_version) or 0
        offsets, memory = self.process.offsets, self.process.memory
        finalizer, cleanup = (1, 6) if minor <= 24 else (2, 7)
        next_at, kind_at = offsets.need("special.next"), offsets.need("special.kind")
        offset_at = offsets.need("special.offset")
        fn_at = offsets.need("specialfinalizer.fn")
        spans = np.flatnonzero(self.spans.specials)
        records = self.spans.specials[spans]
        seen = 0
        for _ in range(_MAX_SPECIAL_ROUNDS):
            if not len(records) or seen > _MAX_SPECIALS:
                break
            seen += len(records)
            rows, is_read = memory.gather(records, fn_at + 24)
            if not is_read.all():
                self.doubts.append("some records of finalizers could not be read")
            rows, spans = rows[is_read], spans[is_read]
            kinds = rows[:, kind_at]
            wide = kind_at - offset_at
            places = np.ascontiguousarray(rows[:, offset_at : offset_at + wide]).view(f"<u{wide}").ravel()
            objects = self.spans.starts[spans] + places.astype(np.uint64)
            self.finalized.append(objects[(kinds == finalizer) | (kinds == cleanup)])
            # A cleanup is one word up to Go 1.25, then three: adapter, function, argument. The finalizer of a descriptor
            # refers to a method and nothing else, so all records are read alike.
            fields = 3 if offsets.get("specialCleanup.cleanup") is not None else 1
            for number in range(fields):
                at = fn_at + 8 * number
                chosen = np.flatnonzero((kinds == cleanup) | ((kinds == finalizer) & (number == 0)))
                words = np.ascontiguousarray(rows[chosen, at : at + 8]).view(np.uint64).ravel()
                self._add_roots(words, objects[chosen], RootKind.SPECIAL)
            following = np.ascontiguousarray(rows[:, next_at : next_at + 8]).view(np.uint64).ravel()
            going = following != 0
            records, spans = following[going], spans[going]
        else:
            self.doubts.append("the lists of finalizers did not end")

    def _read_goroutines(self) -> _Goroutines:
        everyone = self.process.goroutines.read(self.process.memory)
        if not len(everyone):
            self.doubts.append("the list of goroutines could not be read")
        return self._snapshot(everyone)

    def _snapshot(self, everyone: Words) -> _Goroutines:
        offsets = self.process.offsets
        rows, is_read = self.process.memory.gather(everyone, offsets.need("g.SIZE"))
        if len(rows) and not is_read.all():
            self.doubts.append("some goroutines could not be read")

        def word(at: int) -> Words:
            return np.ascontiguousarray(rows[:, at : at + 8]).view(np.uint64).ravel()

        statuses = (word(offsets.need("g.atomicstatus")) & np.uint64(0xFFF)).astype(np.int64)
        lows, tops = word(offsets.need("g.stack")), word(offsets.need("g.stack") + 8)
        pointers = word(offsets.need("g.sched") + offsets.need("gobuf.sp"))
        entered = word(offsets.need("g.syscallsp"))
        pointers = np.where((statuses == _SYSCALL) & (entered != 0), entered, pointers)
        is_quiet = np.isin(statuses, _HOLD_STILL) & (pointers >= lows) & (pointers < tops)
        reason_at, sequence_at = offsets.need("g.waitreason"), offsets.need("g.trackingSeq")
        alive = np.flatnonzero(is_read & ~np.isin(statuses, _DEAD))
        return _Goroutines(
            addresses=everyone[alive],
            goids=word(offsets.need("g.goid"))[alive].astype(np.int64),
            lows=lows[alive],
            tops=tops[alive],
            starts=np.where(is_quiet, pointers, lows)[alive] & ~np.uint64(7),
            is_quiet=is_quiet[alive],
            statuses=statuses[alive],
            reasons=rows[alive, reason_at].astype(np.int64),
            sequences=rows[alive, sequence_at].astype(np.int64),
            startpcs=word(offsets.need("g.startpc"))[alive],
            everyone=everyone,
        )

    def read_stacks(self) -> None:
        """Read the stacks of all goroutines, those that moved meanwhile once more and whole."""
        mine = self.goroutines
        self._read_stacks(np.arange(len(mine.addresses)), mine.starts)
        everyone = self.process.goroutines.read(self.process.memory)
        later = self._snapshot(everyone)
        known = {int(address): i for i, address in enumerate(mine.addresses)}
        moved, starts = [], []
        fresh = []
        for i, address in enumerate(later.addresses.tolist()):
            before = known.get(address)
            if before is None:
                fresh.append(i)
            elif (
                later.starts[i] != mine.starts[before]
                or later.tops[i] != mine.tops[before]
                or later.sequences[i] != mine.sequences[before]
                or not later.is_quiet[i]
            ):
                mine.lows[before], mine.tops[before] = later.lows[i], later.tops[i]
                mine.is_quiet[before] = False
                moved.append(before)
                starts.append(later.lows[i])
        if fresh:
            first = len(mine.addresses)
            self.goroutines = mine = _joined(mine, later, np.array(fresh), everyone)
            moved += range(first, first + len(fresh))
            starts += [later.lows[i] for i in fresh]
        if moved:
            self._read_stacks(np.array(moved, np.int64), np.array(starts, np.uint64))
        idle = self._finalizers_idle()
        if not idle:
            self.doubts.append("finalizers or cleanups were due or at work")

    def _read_stacks(self, chosen: NDArray[np.int64], starts: Words) -> None:
        tops = self.goroutines.tops[chosen]
        firsts = starts & ~np.uint64(_STACK_BLOCK - 1)
        sane = (starts > 0) & (starts < tops) & (tops - starts <= np.uint64(_MAX_STACK_BYTES))
        if not sane.all():
            self.doubts.append("some stacks could not be read")
        chosen, starts, tops, firsts = chosen[sane], starts[sane], tops[sane], firsts[sane]
        counts = ((tops - firsts + np.uint64(_STACK_BLOCK - 1)) // np.uint64(_STACK_BLOCK)).astype(np.int64)
        owners = np.repeat(chosen, counts)
        steps = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        blocks = np.repeat(firsts, counts) + (steps * _STACK_BLOCK).astype(np.uint64)
        lows = np.repeat(starts, counts)
        each = (_PAGES_PER_CHUNK * PAGE_BYTES) // _STACK_BLOCK
        lost: set[int] = set()
        for begin in range(0, len(blocks), each):
            part = slice(begin, begin + each)
            rows, is_read = self.process.memory.gather(blocks[part], _STACK_BLOCK)
            lost.update(owners[part][~is_read].tolist())
            places, objects = self.targets(rows.reshape(-1).view(np.uint64))
            block = places // (_STACK_BLOCK // 8)
            addresses = blocks[part][block] + (places % (_STACK_BLOCK // 8) * 8).astype(np.uint64)
            live = addresses >= lows[part][block]
            objects, addresses, block = objects[live], addresses[live], block[live]
            self._add(objects, np.arange(len(objects)) + self.root_count + int(_ROOT))
            self.roots.append((addresses, RootKind.STACK, owners[part][block]))
            self.root_count += len(objects)
            self.scanned += len(rows) * _STACK_BLOCK
        if lost:
            self.doubts.append(f"the stacks of {len(lost)} goroutines could not be read")

    def _finalizers_idle(self) -> bool:
        """Return whether the goroutines that run finalizers and cleanups all wait for work."""
        mine, process = self.goroutines, self.process
        texts = process.reasons
        idle = {i for i, text in enumerate(texts) if text in {"finalizer wait", "cleanup wait"}}
        busy = (mine.statuses != _WAITING) | ~np.isin(mine.reasons, list(idle))
        for start in np.unique(mine.startpcs[busy]).tolist():
            place = process.names.function_around(start)
            if place is not None and place[0] in _FINALIZER_LOOPS:
                return False
        return True

    def finish(self) -> HeapIndex:
        """Return the index."""
        edges = np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.uint64)
        self.pieces.clear()
        edges.sort()
        roots = Roots(
            np.concatenate([addresses for addresses, _, _ in self.roots] or [np.zeros(0, np.uint64)]),
            np.concatenate(
                [np.full(len(a), kind, np.uint8) for a, kind, _ in self.roots] or [np.zeros(0, np.uint8)]
            ),
            np.concatenate([owners for _, _, owners in self.roots] or [np.zeros(0, np.int64)]),
        )
        index = HeapIndex(
            process=self.process,
            spans=self.spans,
            goroutines=self.goroutines,
            roots=roots,
            poll_holders=self.poll_holders,
            finalized=np.zeros(0, np.int64),
            scanned_bytes=self.scanned,
            doubts=list(dict.fromkeys(self.doubts)),
            object_count=self.object_count,
            _edges=edges,
            _firsts=self.firsts,
            _indexed=self.indexed,
            _pages=self.pages,
            _page_spans=self.page_spans,
        )
        index.finalized = np.unique(index.objects(np.concatenate([*self.finalized, np.zeros(0, np.uint64)])))
        mine = self.goroutines
        dead = np.setdiff1d(mine.everyone, mine.addresses)
        for addresses, numbers in (
            (dead, np.full(len(dead), -1)),
            (mine.addresses, np.arange(len(mine.addresses))),
        ):
            objects = index.objects(addresses)
            index._g_objects.update(zip(objects.tolist(), numbers.tolist(), strict=True))  # noqa: SLF001  being made
        index._g_objects.pop(-1, None)  # noqa: SLF001  being made
        return index


def _joined(mine: _Goroutines, later: _Goroutines, fresh: NDArray[np.int64], everyone: Words) -> _Goroutines:
    """Return the goroutines with those that are new since."""

    def both(name: str) -> NDArray[np.generic]:
        joined: NDArray[np.generic] = np.concatenate([getattr(mine, name), getattr(later, name)[fresh]])
        return joined

    names = (
        "addresses",
        "goids",
        "lows",
        "tops",
        "starts",
        "is_quiet",
        "statuses",
        "reasons",
        "sequences",
        "startpcs",
    )
    joined = _Goroutines(**{name: both(name) for name in names}, everyone=everyone)  # type: ignore[arg-type]
    joined.is_quiet[len(mine.addresses) :] = False
    return joined
