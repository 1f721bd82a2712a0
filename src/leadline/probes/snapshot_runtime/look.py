"""Reads all goroutines of a process without stopping it, each with a stack that held still while it was read.

Goroutines are read in batches: descriptor, stack, descriptor again. A stack is kept when nothing that says "it has run"
differs between the two, above all ``g.trackingSeq``, which counts how often it went on a CPU: comparing registers is not
enough, since a busy goroutine parks again at the same place. What moved is read again in smaller batches; then it is
reported as not stable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.model import SiteFrame, Unsupported
from leadline.probes.snapshot_runtime import states
from leadline.probes.snapshot_runtime.thread_runs import switches_of
from leadline.probes.snapshot_runtime.unwind import Ending, Starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.formats.gooffsets import GoOffsets
    from leadline.probes.snapshot_runtime.looks import Words
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["GoroutineLook", "Moment", "take_look"]

_BATCHES = (1024, 64, 64, 16, 16, 16)
"""How many goroutines are read at once, round by round: what moved is read again in smaller batches."""
_RETRY_NS = 1_000_000_000
"""For so long what moved is read again; more would only find it moving again."""
_DEEP_STACK_BYTES = 1 << 20
_SHALLOW_STACK_BYTES = 8 << 10
_DEEP_TOTAL_BYTES = 128 << 20
"""Stacks are read whole up to 1 MiB each, until so much was read; then 8 KiB each."""
_BATCH_BYTES = 16 << 20
_MAX_STACK_BYTES = 1 << 30  # runtime.maxstackceiling is 2 GB, its default limit 1 GB
_MAX_GOID = 1 << 48
_COUNTED_SYSCALLS_UNTIL = 26  # from 1.27 on going into a system call and out of it does not move trackingSeq
_PARKED_IN = {
    "runtime.forcegchelper": "force gc",
    "runtime.bgsweep": "GC sweep wait",
    "runtime.(*scavengerState).park": "GC scavenge wait",
    "runtime.chanrecv": "chan receive",
    "runtime.chansend": "chan send",
    "runtime.selectgo": "select",
    "runtime.netpollblock": "IO wait",
    "time.Sleep": "sleep",
}
"""Beginning of the reason for which a goroutine waits that is parked in a function; the first three always exist."""
_FITS_PER_CONTRADICTION = 4  # an allocation inside such a function may wait for the collector
_READABLE = np.array(states.READABLE)
_NO_WORDS = np.zeros(0, np.uint64)


class _Layout(NamedTuple):
    """Offsets that a look uses.

    Attributes:
        width: bytes of a goroutine's descriptor that are read.
        compared: bytes of it that must not differ while the stack is read.
        marks: bytes that differ when it has run.
    """

    width: int
    compared: NDArray[np.int64]
    marks: NDArray[np.int64]
    sp: int
    pc: int
    frame_pointer: int
    owner: int
    stack: int
    syscallsp: int
    syscallpc: int
    status: int
    goid: int
    reason: int
    sequence: int
    thread: int
    startpc: int


class Moment(NamedTuple):
    """What of a look tells later who has run since: a few bytes per goroutine. Columns as in ``looks.Look``."""

    mono_ns: int
    addresses: Words
    goids: NDArray[np.int64]
    statuses: NDArray[np.int64]
    is_system: NDArray[np.bool_]
    marks: NDArray[np.uint8]
    switches: dict[int, int]


def _layout(offsets: GoOffsets) -> _Layout:
    need = offsets.need
    sched = need("g.sched")
    fields = {
        "stack": (need("g.stack"), 16), "sp": (sched + need("gobuf.sp"), 8), "pc": (sched + need("gobuf.pc"), 8),
        "syscallsp": (need("g.syscallsp"), 8), "syscallpc": (need("g.syscallpc"), 8), "status": (need("g.atomicstatus"), 1),
        "goid": (need("g.goid"), 8), "reason": (need("g.waitreason"), 1), "sequence": (need("g.trackingSeq"), 1),
    }  # fmt: skip
    compared = np.concatenate([np.arange(at, at + size) for at, size in fields.values()])
    known = [
        offset for name, offset in offsets.items() if name.startswith("g.") and name != "g.SIZE" and offset
    ]
    return _Layout(
        width=min(max(known) + 8, need("g.SIZE")),
        compared=compared,
        marks=_marks(need("g.trackingSeq"), need("g.lockedm")),
        frame_pointer=sched + need("gobuf.bp"),
        owner=sched + need("gobuf.g"),
        thread=need("g.m"),
        startpc=need("g.startpc"),
        **{name: at for name, (at, _) in fields.items()},
    )


def _marks(sequence: int, locked: int) -> NDArray[np.int64]:
    """Return where trackingSeq, trackingStamp and runnableTime lie: side by side before lockedm in all releases."""
    stamp = (sequence & ~7) + 8
    times = np.arange(stamp, stamp + 16) if locked == stamp + 16 else np.zeros(0, np.int64)
    return np.concatenate([np.array([sequence]), times])


class GoroutineLook:
    """Goroutines of one moment; implements ``looks.Look``. Made by ``take_look``.

    Attributes:
        is_whole: whose stack was walked to its first function; False where it was cut (over 1 MiB) or lost.
        bytes_read: memory of the target that the look has read.
        switches: how often the threads of goroutines in system calls were switched, by goroutine number; from Go 1.27 on.
    """

    def __init__(self, process: OpenedProcess, mono_ns: int, reader: _Reader) -> None:
        self._process = process
        self._mono_ns = mono_ns
        self._layout = reader.layout
        self._walker = reader.walker
        self._addresses, self._rows = reader.addresses, reader.rows
        self._batch_of, self._begins, self._counts = reader.batch_of, reader.begins, reader.counts
        self._words_of = reader.words_of
        self._is_stable = reader.is_stable
        self.bytes_read = 0
        self.switches: dict[int, int] = {}
        self._statuses = self._bytes(self._layout.status, 4).view("<u4").reshape(-1).astype(np.int64) & 0xFFF
        self._goids = self.field("goid").astype(np.int64)
        self._by_address: dict[int, int] | None = None
        self._by_goid: dict[int, int] | None = None
        self._functions: dict[int, tuple[str, ...]] = {}
        self._frames: dict[int, tuple[SiteFrame, ...]] = {}
        self.stack_names = process.stack_names
        self._stack_of, self._stacks, self._is_whole = self._tell_stacks_apart(reader.hashes, reader.endings)
        self._is_system = self._find_system()

    # -- columns ------------------------------------------------------------------------------------------

    @property
    def mono_ns(self) -> int:
        """Return when it began (CLOCK_MONOTONIC)."""
        return self._mono_ns

    def __len__(self) -> int:
        return len(self._addresses)

    @property
    def addresses(self) -> Words:
        """Return the address of each ``runtime.g``."""
        return self._addresses

    @property
    def goids(self) -> NDArray[np.int64]:
        """Return the number of each goroutine."""
        return self._goids

    @property
    def statuses(self) -> NDArray[np.int64]:
        """Return the status without the scan bit."""
        return self._statuses

    @property
    def reasons(self) -> NDArray[np.int64]:
        """Return the wait reason's number."""
        return self._rows[:, self._layout.reason].astype(np.int64)

    @property
    def sequences(self) -> NDArray[np.int64]:
        """Return ``g.trackingSeq``."""
        return self._rows[:, self._layout.sequence].astype(np.int64)

    @property
    def marks(self) -> NDArray[np.uint8]:
        """Return rows of bytes that change when a goroutine runs: ``trackingSeq`` and the times that go with it."""
        return np.ascontiguousarray(self._rows[:, self._layout.marks])

    @property
    def threads(self) -> Words:
        """Return the address of each goroutine's ``runtime.m``, 0 when it is on none."""
        return self.field("m")

    @property
    def is_system(self) -> NDArray[np.bool_]:
        """Return which goroutines are the runtime's own."""
        return self._is_system

    @property
    def is_stable(self) -> NDArray[np.bool_]:
        """Return whose stack held still while it was read; True for those on a CPU, which have none to read."""
        return self._is_stable

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """Return by distinct stack whether it was walked up to its first function."""
        return self._is_whole

    @property
    def stack_of(self) -> NDArray[np.int64]:
        """Return for each goroutine the index of its stack, -1 when none was read."""
        return self._stack_of

    @property
    def stacks(self) -> Sequence[tuple[int, ...]]:
        """Return the distinct stacks as instruction pointers, leaf first."""
        return self._stacks

    def state(self, i: int) -> str:
        """Return the state as Go prints it."""
        reason = int(self._rows[i, self._layout.reason])
        return states.state_name(int(self._statuses[i]), reason, self._process.reasons)

    def field(self, name: str) -> Words:
        """Return a 64-bit field of ``runtime.g`` for all; see ``Look.field``.

        Raises:
            KeyError: this release has no such field.
        """
        return self._bytes(self._process.offsets.need(f"g.{name}"), 8).view("<u8").reshape(-1)

    def index_of_address(self, address: int) -> int | None:
        """Return the index of the goroutine whose ``runtime.g`` is there."""
        if self._by_address is None:
            self._by_address = {each: index for index, each in enumerate(self._addresses.tolist())}
        return self._by_address.get(address)

    def index_of_goid(self, goid: int) -> int | None:
        """Return the index of a goroutine by its number."""
        if self._by_goid is None:
            self._by_goid = {each: index for index, each in enumerate(self._goids.tolist())}
        return self._by_goid.get(goid)

    # -- stacks -------------------------------------------------------------------------------------------

    def words(self, i: int) -> Words:
        """Return the stack of a goroutine as words from its stack pointer upwards; empty when none was read."""
        if self._stack_of[i] < 0:
            return _NO_WORDS
        begin = int(self._begins[i])
        return self._words_of[int(self._batch_of[i])][begin : begin + int(self._counts[i])]

    def stack_pointer(self, i: int) -> int:
        """Return the address of the first of ``words(i)``."""
        return _registers(self._rows[i : i + 1], self._layout)[0].item()

    def frame_pointers(self, i: int) -> tuple[int, ...]:
        """Return for each instruction pointer of its stack the address where that frame begins."""
        stack = int(self._stack_of[i])
        if stack < 0:
            return ()
        pcs, places, _ = self._walk_one(i)
        if pcs != self._stacks[stack]:
            return ()
        begin = self.stack_pointer(i)
        return tuple(begin + 8 * place for place in places)

    def functions(self, stack: int) -> tuple[str, ...]:
        """Return the functions of a distinct stack, leaf first, inlined and hidden ones too."""
        if stack not in self._functions:
            self._functions[stack] = self.stack_names.functions(self._stacks[stack])
        return self._functions[stack]

    def frames(self, stack: int) -> tuple[SiteFrame, ...]:
        """Return the frames of a distinct stack with file and line, leaf first, as ``debug=2`` shows them."""
        if stack not in self._frames:
            self._frames[stack] = self.stack_names.frames(self._stacks[stack])
        return self._frames[stack]

    def with_function(self, wanted: Callable[[str], bool]) -> NDArray[np.int64]:
        """Return the indices of goroutines that have a function on their stack; see ``Look.with_function``."""
        answers: dict[str, bool] = {}

        def is_wanted(name: str) -> bool:
            if name not in answers:
                answers[name] = wanted(name)
            return answers[name]

        has = np.zeros(len(self._stacks) + 1, np.bool_)  # the last row is what -1 leads to
        for stack in range(len(self._stacks)):
            has[stack] = any(is_wanted(name) for name in self.functions(stack))
        return np.flatnonzero(has[self._stack_of])

    def reasons_fit(self) -> bool:
        """Return whether the reasons for which goroutines wait are those of the functions in which they are parked.

        It proves the offsets and the numbers of reasons of this release by two sources that do not know of each other. Most
        stacks must be whole for that.
        """
        fits = contradicts = 0
        is_waiting = self._statuses == states.WAITING
        waiting = np.flatnonzero(is_waiting & (self._stack_of >= 0))
        if 2 * np.count_nonzero(self._is_whole[self._stack_of[waiting]]) < np.count_nonzero(is_waiting):
            return False
        pairs = np.unique(np.stack([self._stack_of[waiting], self.reasons[waiting]]), axis=1)
        for stack, reason in pairs.T.tolist():
            wanted = next((_PARKED_IN[name] for name in self.functions(stack) if name in _PARKED_IN), None)
            told = states.state_name(states.WAITING, reason, self._process.reasons)
            if wanted is not None:
                fits += told.startswith(wanted)
                contradicts += not told.startswith(wanted)
        return _FITS_PER_CONTRADICTION * contradicts <= fits

    def moment(self) -> Moment:
        """Return what a later look is compared with, so that this one can be let go."""
        return Moment(
            self._mono_ns,
            self._addresses,
            self._goids,
            self._statuses,
            self._is_system,
            self.marks,
            self.switches,
        )

    # -- inside -------------------------------------------------------------------------------------------

    def _bytes(self, at: int, size: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self._rows[:, at : at + size])

    def _walk_one(self, i: int) -> tuple[tuple[int, ...], tuple[int, ...], Ending]:
        _, pcs, links, _ = _registers(self._rows[i : i + 1], self._layout)
        begin = int(self._begins[i])
        words = self._words_of[int(self._batch_of[i])][begin : begin + int(self._counts[i])]
        return self._walker.walk_one(words, pcs[0].item(), links[0].item())

    def _tell_stacks_apart(
        self, hashes: Words, endings: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], list[tuple[int, ...]], NDArray[np.bool_]]:
        """Return index of the stack by goroutine, the distinct stacks, and which of these are whole."""
        stack_of = np.full(len(hashes), -1, np.int64)
        have = np.flatnonzero(self._is_stable & (self._counts > 0))
        keys = hashes[have] ^ (endings[have].astype(np.uint64) << np.uint64(60))
        _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
        stack_of[have] = inverse
        is_whole = endings[have[firsts]] == int(Ending.WHOLE)
        stacks = []
        for number, index in enumerate(have[firsts].tolist()):
            pcs, _, ending = self._walk_one(index)
            by_frames = self._walk_frames(index) if ending is Ending.LOST else ()
            is_whole[number] |= bool(by_frames)
            stacks.append(by_frames or pcs)
        return stack_of, stacks, is_whole

    def _walk_frames(self, i: int) -> tuple[int, ...]:
        row = self._rows[i]
        sp, pcs, _, _ = _registers(self._rows[i : i + 1], self._layout)
        pointer = int(row[self._layout.frame_pointer : self._layout.frame_pointer + 8].view("<u8")[0])
        begin = int(self._begins[i])
        words = self._words_of[int(self._batch_of[i])][begin : begin + int(self._counts[i])]
        return self._walker.walk_frames(words, pcs[0].item(), sp[0].item(), pointer)

    def _find_system(self) -> NDArray[np.bool_]:
        starts, inverse = np.unique(self.field("startpc"), return_inverse=True)
        names = [self.stack_names.function_at(start) for start in starts.tolist()]
        is_system = np.array([states.is_runtime_start(name) for name in names], np.bool_)[inverse]
        runs_callbacks = np.array([states.is_callback_runner(name) for name in names], np.bool_)[inverse]
        for index in np.flatnonzero(runs_callbacks).tolist():
            stack = int(self._stack_of[index])
            is_system[index] = stack >= 0 and all(
                name.startswith(("runtime.", "internal/")) or "." not in name
                for name in self.functions(stack)
            )
        return is_system


class _Reader:
    """Reads batches and puts them together: one row per goroutine that exists."""

    def __init__(self, process: OpenedProcess, addresses: Words) -> None:
        count = len(addresses)
        self.layout = _layout(process.offsets)
        self.walker = process.walker
        self._wanted = addresses
        self._memory = process.memory
        self._clock = process.host.clock
        self._counts_syscalls = process.minor <= _COUNTED_SYSCALLS_UNTIL
        self._stack_bytes = 0
        self._size = 0
        self._is_gone = np.zeros(count, np.bool_)
        self.addresses: Words = np.empty(count, np.uint64)
        self.rows: NDArray[np.uint8] = np.empty((count, self.layout.width), np.uint8)
        self.words_of: list[Words] = []
        self.batch_of: NDArray[np.int64] = np.empty(count, np.int64)
        self.begins: NDArray[np.int64] = np.empty(count, np.int64)
        self.counts: NDArray[np.int64] = np.empty(count, np.int64)
        self.is_stable: NDArray[np.bool_] = np.empty(count, np.bool_)
        self.hashes: Words = np.empty(count, np.uint64)
        self.endings: NDArray[np.int64] = np.empty(count, np.int64)

    def read(self) -> None:
        """Read all, and what moved again."""
        for start in range(0, len(self._wanted), _BATCHES[0]):
            self._read_batch(self._wanted[start : start + _BATCHES[0]], None)
        self._pick(slice(0, self._size))
        deadline = self._clock.mono_ns() + _RETRY_NS
        for size in _BATCHES[1:]:
            is_bad = ~self.is_stable | (self.endings == int(Ending.LOST))
            again = np.flatnonzero(is_bad & ~self._is_gone)
            for start in range(0, len(again), size):
                if self._clock.mono_ns() >= deadline:
                    break
                slots = again[start : start + size]
                self._read_batch(self.addresses[slots], slots)
        if bool(self._is_gone.any()):
            self._pick(~self._is_gone)

    def _pick(self, kept: slice | NDArray[np.bool_]) -> None:
        self.addresses, self.rows, self._is_gone = self.addresses[kept], self.rows[kept], self._is_gone[kept]
        self.batch_of, self.begins, self.counts = self.batch_of[kept], self.begins[kept], self.counts[kept]
        self.is_stable, self.hashes = self.is_stable[kept], self.hashes[kept]
        self.endings = self.endings[kept]

    def _read_batch(self, addresses: Words, slots: NDArray[np.int64] | None) -> None:
        """Read some goroutines into their rows; without rows given, into new ones for those that exist."""
        layout = self.layout
        rows, is_read = self._memory.gather(addresses, layout.width)
        status = _column(rows, layout.status, 4) & np.uint64(0xFFF)
        goid = _column(rows, layout.goid)
        exists = is_read & (_column(rows, layout.owner) == addresses) & (goid > 0) & (goid < _MAX_GOID)
        exists &= ~np.isin(status, states.DEAD) & (status <= np.uint64(states.LEAKED))
        if not bool(exists.all()):
            addresses, rows, status = addresses[exists], rows[exists], status[exists]
            if slots is not None:
                self._is_gone[slots[~exists]] = True
                slots = slots[exists]
        if not len(addresses):
            return
        low, high = _column(rows, layout.stack), _column(rows, layout.stack + 8)
        sp, pc, links, _ = _registers(rows, layout)
        has_stack = np.isin(status, _READABLE)
        fits = (
            (low < sp) & (sp < high) & (high - low <= np.uint64(_MAX_STACK_BYTES)) & (sp % np.uint64(8) == 0)
        )
        wanted = has_stack & fits
        cap = _DEEP_STACK_BYTES if self._stack_bytes < _DEEP_TOTAL_BYTES else _SHALLOW_STACK_BYTES
        sizes = np.where(wanted, np.minimum(high - sp, np.uint64(cap)), np.uint64(0)).astype(np.uint64)
        sizes &= ~np.uint64(7)
        total = int(sizes.sum())
        if total > _BATCH_BYTES and len(addresses) > 1:
            half = len(addresses) // 2
            self._read_batch(addresses[:half], None if slots is None else slots[:half])
            self._read_batch(addresses[half:], None if slots is None else slots[half:])
            return
        flat, is_stack_read = self._memory.gather_ranges(sp, sizes)
        is_stable = is_stack_read.copy()
        if not self._counts_syscalls:
            self._compare_syscalls(
                np.flatnonzero(wanted & (status == states.SYSCALL)), sp, sizes, flat, is_stable
            )
        after, is_read = self._memory.gather(addresses, int(layout.compared.max()) + 1)
        is_stable &= is_read & (rows[:, layout.compared] == after[:, layout.compared]).all(axis=1)
        is_stable &= wanted | ~has_stack
        is_stable &= status != states.COPYSTACK
        self._stack_bytes += total
        ends = np.cumsum(sizes.astype(np.int64)) // 8
        counts = (sizes // np.uint64(8)).astype(np.int64)
        begins = ends - counts
        words = flat.view("<u8").astype(np.uint64, copy=False)
        hashes, endings = (
            np.zeros(len(addresses), np.uint64),
            np.full(len(addresses), int(Ending.WHOLE), np.int64),
        )
        walked = np.flatnonzero(is_stable & wanted)
        if len(walked):
            starts = Starts(pc[walked], links[walked], begins[walked], counts[walked])
            hashes[walked], endings[walked] = self.walker.walk(words, starts)
        # What was read up to the end of the stack and does not end at its first function, is torn.
        is_all = sizes == high - sp
        endings[walked] = np.where(
            is_all[walked] & (endings[walked] == int(Ending.CUT)), int(Ending.LOST), endings[walked]
        )
        if slots is None:
            slots = np.arange(self._size, self._size + len(addresses))
            self._size += len(addresses)
        self.addresses[slots], self.rows[slots] = addresses, rows
        self.batch_of[slots], self.begins[slots], self.counts[slots] = len(self.words_of), begins, counts
        self.is_stable[slots], self.hashes[slots], self.endings[slots] = is_stable, hashes, endings
        self.words_of.append(words)

    def _compare_syscalls(
        self,
        which: NDArray[np.int64],
        sp: Words,
        sizes: Words,
        flat: NDArray[np.uint8],
        is_stable: NDArray[np.bool_],
    ) -> None:
        """Read stacks of goroutines in system calls twice: their counter does not tell whether they left and came back."""
        if not len(which):
            return
        again, is_read = self._memory.gather_ranges(sp[which], sizes[which])
        ends = np.cumsum(sizes.astype(np.int64))
        at = 0
        for place, index in enumerate(which.tolist()):
            size = int(sizes[index])
            end = int(ends[index])
            same = bool((flat[end - size : end] == again[at : at + size]).all())
            is_stable[index] &= same and bool(is_read[place])
            at += size


def take_look(process: OpenedProcess) -> GoroutineLook:
    """Return all goroutines of a process, read now.

    Raises:
        TargetGone: it has ended, or runs another program now.
        NotPermitted: its memory may not be read (any more).
        Unsupported: the list of goroutines cannot be read.
    """
    mono_ns = process.host.clock.mono_ns()
    process.check_same()
    before = process.memory.bytes_read
    addresses = process.goroutines.read(process.memory)
    reader = _Reader(process, addresses)
    reader.read()
    if not len(reader.addresses):
        process.check_same()
        raise Unsupported(f"process {process.pid}: its goroutines cannot be read")
    found = GoroutineLook(process, mono_ns, reader)
    if not process.is_proven and not found.reasons_fit():
        raise Unsupported(
            f"process {process.pid}: its goroutines are not laid out as {process.go_version} does it (another toolchain)"
        )
    process.is_proven = True
    if process.minor > _COUNTED_SYSCALLS_UNTIL:
        found.switches = switches_of(process.host, process, found)
    found.bytes_read = process.memory.bytes_read - before
    return found


def _column(rows: NDArray[np.uint8], at: int, size: int = 8) -> Words:
    piece = np.ascontiguousarray(rows[:, at : at + size])
    return piece.view("<u8" if size == 8 else "<u4").reshape(-1).astype(np.uint64, copy=False)


def _registers(rows: NDArray[np.uint8], layout: _Layout) -> tuple[Words, Words, Words, NDArray[np.bool_]]:
    """Return stack pointer, instruction pointer, link register, and whether they are those of a system call.

    The link register lies before the frame pointer in gobuf; only arm64 uses it.
    """
    syscallsp = _column(rows, layout.syscallsp)
    in_call = syscallsp != 0
    sp = np.where(in_call, syscallsp, _column(rows, layout.sp))
    pc = np.where(in_call, _column(rows, layout.syscallpc), _column(rows, layout.pc))
    links = np.where(in_call, np.uint64(0), _column(rows, layout.frame_pointer - 8))
    return sp, pc, links, in_call
