"""How often the threads of goroutines in system calls were on a CPU: from Go 1.27 on the runtime itself does not tell.

A thread that was not put on a CPU between two looks has not left its call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.model import AccessError
from leadline.probes.snapshot_runtime import states
from leadline.probes.snapshot_runtime.threads import host_tids

if TYPE_CHECKING:
    from leadline.contracts import Host
    from leadline.probes.snapshot_runtime.looks import GoProcess, Look

__all__ = ["switches_of"]

_MAX_THREADS = 2_000


def switches_of(host: Host, process: GoProcess, look: Look) -> dict[int, int]:
    """Return how often the thread of each goroutine in a system call was switched, by goroutine number.

    At most 2,000 are told; what cannot be read is left out.

    Source: Linux, fs/proc/array.c (voluntary_ctxt_switches, nonvoluntary_ctxt_switches).
    """
    chosen = np.flatnonzero((look.statuses == states.SYSCALL) & ~look.is_system & (look.threads != 0))
    chosen = chosen[:_MAX_THREADS]
    if not len(chosen):
        return {}
    at = np.uint64(process.offsets.need("m.procid"))
    numbers, are_read = process.memory.gather_words(look.threads[chosen] + at)
    known = host_tids(host, process.pid)
    found = {}
    for i, number, is_read in zip(chosen.tolist(), numbers.tolist(), are_read.tolist(), strict=True):
        tid = number if known is None else known.get(number, 0)
        if not is_read or not 0 < tid < 1 << 31:
            continue
        try:
            status = host.read_proc(f"{process.pid}/task/{tid}/status", limit_bytes=8192)
        except AccessError:  # the thread has ended
            continue
        counts = [int(line.split()[1]) for line in status.split(b"\n") if b"_ctxt_switches:" in line]
        if counts:
            found[int(look.goids[i])] = sum(counts)
    return found
