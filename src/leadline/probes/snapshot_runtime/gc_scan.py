"""Finds the collector's state in stripped programs by what its fields must be together.

- ``runtime.memstats``: the moment of the last collection stands there on both clocks, so their difference must be the
  difference of the clocks now; the number of collections must be what the heap's ``sweepgen`` says.
- ``runtime.gcController``: the smallest heap that is collected (``heapMinimum``) is 4 MiB times GOGC / 100, computed from the
  field GOGC beside it; the memory limit lies between them.

An answer is given only when exactly one place fits.

Source: Go, src/runtime/mstats.go (mstats), mgc.go (gcMarkTermination), mgcpacer.go (gcControllerState, setGCPercent).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadline.probes.snapshot_runtime.looks import Words
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["search_pacer", "search_stats"]

_CHUNK_WORDS = 1 << 17
_MAX_BYTES = 8 << 20  # the linker puts small variables first
_CLOCK_TOLERANCE_NS = 2_000_000_000  # the wall clock may have been corrected since
_HEAP_MINIMUM = 4 << 20
_MAX_GOGC = 1_000_000
_MAX_HEAP_BYTES = 1 << 48


def search_stats(process: OpenedProcess, cycles: int) -> int | None:
    """Return the address of ``runtime.memstats``; None when no place or several fit, or there was no collection yet.

    Args:
        process: a Go process.
        cycles: how many collections there were.
    """
    try:
        mono_at = process.offsets.need("mstats.last_gc_nanotime")
        unix_at = process.offsets.need("mstats.last_gc_unix")
        count_at = process.offsets.need("mstats.numgc")
    except KeyError:
        return None
    clock = process.host.clock
    now, apart = clock.mono_ns(), clock.unix_ns() - clock.mono_ns()
    size = max(mono_at, unix_at, count_at) + 8
    hits = []
    for address, words in _variables(process, size):
        count = len(words) - size // 8 + 1
        mono = words[mono_at // 8 : mono_at // 8 + count].astype(np.int64)
        unix = words[unix_at // 8 : unix_at // 8 + count].astype(np.int64)
        places = np.flatnonzero((mono > 0) & (mono <= now))
        drift = np.abs(unix[places] - mono[places] - apart)
        for place in places[drift < _CLOCK_TOLERANCE_NS].tolist():
            told = process.memory.word(address + 8 * place + count_at) & 0xFFFFFFFF
            if abs(told - cycles) <= 1:
                hits.append(address + 8 * place)
    return hits[0] if len(hits) == 1 else None


def search_pacer(process: OpenedProcess) -> int | None:
    """Return the address of ``runtime.gcController``; None when no place or several fit."""
    names = ("gcPercent", "memoryLimit", "heapMinimum", "heapLive", "heapMarked")
    try:
        at = {name: process.offsets.need(f"gcControllerState.{name}") for name in names}
    except KeyError:
        return None
    if at["gcPercent"] % 8:
        return None
    size = max(at.values()) + 8
    hits = []
    for address, words in _variables(process, size):
        count = len(words) - size // 8 + 1
        column = {name: words[place // 8 : place // 8 + count] for name, place in at.items()}
        percent = (
            (column["gcPercent"] & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32).astype(np.int64)
        )
        wanted = percent.astype(np.uint64) * np.uint64(_HEAP_MINIMUM) // np.uint64(100)
        fits = (column["gcPercent"] >> np.uint64(32) == 0) & (percent != 0)
        fits &= (percent >= -1) & (percent <= _MAX_GOGC) & (column["heapMinimum"] == wanted)
        fits &= (column["memoryLimit"].astype(np.int64) > 0) & (column["heapLive"] > 0)
        fits &= (column["heapLive"] < _MAX_HEAP_BYTES) & (column["heapMarked"] < _MAX_HEAP_BYTES)
        hits += [address + 8 * place for place in np.flatnonzero(fits).tolist()]
    return hits[0] if len(hits) == 1 else None


def _variables(process: OpenedProcess, size: int) -> Iterator[tuple[int, Words]]:
    """Yield (address, words) of bss and noptrbss in pieces that overlap, so that each record lies whole in one."""
    for area in ("bss", "noptrbss"):
        low, high = process.module(area), process.module(f"e{area}")
        low, high = (low + 7) & ~7, min(high, low + _MAX_BYTES)
        for begin in range(low, high, 8 * _CHUNK_WORDS):
            words = process.memory.words(begin, min(_CHUNK_WORDS + size // 8 - 1, (high - begin) // 8))
            if len(words) >= size // 8:
                yield begin, words
