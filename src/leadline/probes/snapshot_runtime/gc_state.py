"""The state of the scheduler and the collector: how many may run, how many threads, when the last collection was.

In stripped programs the heap and the collector's state are found by their shape (``spans.search_heap``, ``gc_scan``); what only a
symbol leads to is None.

Source: Go, src/runtime/{proc,mgc,mgcpacer,mheap,mstats}.go.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from leadline.model import AccessError
from leadline.probes.snapshot_runtime.gc_scan import search_pacer, search_stats
from leadline.probes.snapshot_runtime.procs import count_procs
from leadline.probes.snapshot_runtime.spans import find_heap

if TYPE_CHECKING:
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["GcState", "read_gc"]

_MAX_THREADS = 100_000
_MAX_PROCS = 1 << 16
_MAX_HEAP_BYTES = 1 << 48
_NO_LIMIT = (1 << 63) - 1
_SWEEPS_PER_CYCLE = 2


class GcState(NamedTuple):
    """Facts of the runtime as a whole; each is None when it could not be read. Fields as in ``GoRuntime``."""

    gomaxprocs: int | None = None
    threads: int | None = None
    cycles: int | None = None
    last_gc_mono_ns: int | None = None
    heap_live_bytes: int | None = None
    heap_goal_bytes: int | None = None
    gc_percent: int | None = None


def read_gc(process: OpenedProcess, *, heap: int | None = None) -> GcState:
    """Return what can be read now.

    Args:
        process: the process.
        heap: address of ``runtime.mheap_`` where it is known already.

    Raises:
        TargetGone: it has ended. NotPermitted.
    """
    live, goal, percent = _pacer(process)
    cycles, last = _collections(process, heap)
    return GcState(_gomaxprocs(process), _threads(process), cycles, last, live, goal, percent)


def _gomaxprocs(process: OpenedProcess) -> int | None:
    at = process.symbol("runtime.gomaxprocs")
    found = count_procs(process) if at is None else _number(process, at, "<i")
    return found if found is not None and 0 < found <= _MAX_PROCS else None


def _threads(process: OpenedProcess) -> int | None:
    """Return how many M there are: the runtime's own list, or all threads of a program without C."""
    at = process.symbol("runtime.allm")
    link = process.offsets.get("m.alllink")
    if at is not None and link is not None:
        return _chain_length(process, at, link)
    info = process.binary.build_info
    if info is None or info.settings.get("CGO_ENABLED") != "0":
        return None
    try:
        return len(process.host.list_proc(f"{process.pid}/task"))
    except AccessError:
        return None


def _chain_length(process: OpenedProcess, at: int, link: int) -> int | None:
    seen: set[int] = set()
    thread = process.memory.word(at)
    while thread and thread not in seen and len(seen) < _MAX_THREADS:
        seen.add(thread)
        raw = process.memory.read(thread + link, 8)
        if len(raw) < 8:
            return None
        thread = int.from_bytes(raw, "little")
    return len(seen) if seen and not thread else None


def _collections(process: OpenedProcess, heap: int | None) -> tuple[int | None, int | None]:
    """Return how many collections there were, and when the last one ended (CLOCK_MONOTONIC, ns)."""
    stats = process.symbol("runtime.memstats")
    count_at, last_at = process.offsets.get("mstats.numgc"), process.offsets.get("mstats.last_gc_nanotime")
    if stats is not None and count_at is not None and last_at is not None:
        return _number(process, stats + count_at, "<I"), _number(process, stats + last_at, "<Q")
    sweep_at = process.offsets.get("mheap.sweepgen")
    heap = find_heap(process) if heap is None else heap
    if heap is None or sweep_at is None:
        return None, None
    sweeps = _number(process, heap + sweep_at, "<I")
    if sweeps is None or sweeps < _SWEEPS_PER_CYCLE:
        return sweeps, sweeps
    cycles = sweeps // _SWEEPS_PER_CYCLE
    stats = search_stats(process, cycles)
    return cycles, None if stats is None or last_at is None else _number(process, stats + last_at, "<Q")


def _pacer(process: OpenedProcess) -> tuple[int | None, int | None, int | None]:
    """Return live bytes, the goal where GOGC alone decides it, and GOGC."""
    pacer = process.symbol("runtime.gcController") or search_pacer(process)
    if pacer is None:
        return None, None, None
    live = _field(process, pacer, "heapLive", "<Q")
    goal = _field(process, pacer, "gcPercentHeapGoal", "<Q")
    percent = _field(process, pacer, "gcPercent", "<i")
    limit = _field(process, pacer, "memoryLimit", "<q")
    if limit is None or limit < _NO_LIMIT or (goal or 0) > _MAX_HEAP_BYTES:
        goal = None  # GOMEMLIMIT may begin a collection before that, or the collector is off
    return live if (live or 0) < _MAX_HEAP_BYTES else None, goal, percent


def _field(process: OpenedProcess, base: int, name: str, layout: str) -> int | None:
    at = process.offsets.get(f"gcControllerState.{name}")
    return None if at is None else _number(process, base + at, layout)


def _number(process: OpenedProcess, address: int, layout: str) -> int | None:
    raw = process.memory.read(address, struct.calcsize(layout))
    if len(raw) < struct.calcsize(layout):
        return None
    value: int = struct.unpack(layout, raw)[0]
    return value
