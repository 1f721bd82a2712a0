"""How many goroutines may run at once, in stripped programs: by the list of the runtime's processors (P).

``runtime.allp`` has exactly GOMAXPROCS elements; each says which one it is, and points to a thread that points back while it
runs.

Source: Go, src/runtime/proc.go (procresize), runtime2.go (p, m).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import GoProcess, Words

__all__ = ["count_procs"]

_MAX_PROCS = 1024
_MAX_BYTES = 8 << 20
_MAX_CANDIDATES = 4096
_LAST_STATUS = 4  # _Pdead


def count_procs(process: GoProcess) -> int | None:
    """Return GOMAXPROCS; None when no list or several fit, or when nothing confirms a list of one."""
    try:
        at = {name: process.offsets.need(f"p.{name}") for name in ("id", "status", "m")}
        back = process.offsets.need("m.p")
    except KeyError:
        return None
    low, high = process.module("bss"), process.module("ebss")
    low, high = (low + 7) & ~7, min(high, low + _MAX_BYTES)
    words = process.memory.words(low, max(high - low, 0) // 8)
    if len(words) < 3:
        return None
    pointer, length, capacity = words[:-2], words[1:-1], words[2:]
    fits = (pointer > 4096) & (pointer % np.uint64(8) == 0) & (length > 0) & (length <= capacity)
    places = np.flatnonzero(fits & (capacity <= _MAX_PROCS))[:_MAX_CANDIDATES]
    found = {
        int(length[place])
        for place in places.tolist()
        if _are_procs(
            process,
            process.memory.words(int(pointer[place]), int(length[place])),
            int(length[place]),
            at,
            back,
        )
    }
    return found.pop() if len(found) == 1 else None


def _are_procs(process: GoProcess, procs: Words, count: int, at: dict[str, int], back: int) -> bool:
    if len(procs) < count or not bool((procs > 4096).all()):
        return False
    rows, is_read = process.memory.gather(procs, max(at.values()) + 8)
    if not bool(is_read.all()) or not bool((_numbers(rows, at["id"], 4) == np.arange(count)).all()):
        return False
    if not bool((_numbers(rows, at["status"], 4) <= _LAST_STATUS).all()):
        return False
    threads = _numbers(rows, at["m"], 8)
    busy = np.flatnonzero(threads)
    owners, is_read = process.memory.gather_words(threads[busy] + np.uint64(back))
    # Between handing over and taking, the two may not point to each other for a moment.
    confirmed = int(np.count_nonzero(is_read & (owners == procs[busy])))
    return confirmed > 0 or (count > 1 and not len(busy))


def _numbers(rows: NDArray[np.uint8], at: int, size: int) -> Words:
    piece = np.ascontiguousarray(rows[:, at : at + size])
    return piece.view("<u8" if size == 8 else "<u4").reshape(-1).astype(np.uint64)
