"""leadline steps aside: whoever wakes up on its CPU runs at once, and leadline gets its fair share all the same.

A longer slice puts its virtual deadline far away, so that tasks with ordinary slices preempt it as they wake. Its priority stays,
so that it is not starved on a host that is in trouble. Kernels before 6.12 take no notice.

Source: Linux, kernel/sched/fair.c (EEVDF, PREEMPT_SHORT), sched_setattr(2).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

__all__ = ["step_aside"]

_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}
_SIZE = 48
_LONGEST_SLICE_NS = 100_000_000
_RESET_ON_FORK = 1

_libc = ctypes.CDLL(None, use_errno=True)


def step_aside() -> bool:
    """Ask for the longest slice for this thread, not for what it starts; return whether the kernel has taken it.

    Nothing is raised: it is a courtesy.
    """
    calls = _CALLS.get(platform.machine())
    if calls is None:
        return False
    change, read = calls
    attributes = ctypes.create_string_buffer(
        struct.pack(
            "=IIQiIQQQ",
            _SIZE,
            os.SCHED_OTHER,
            _RESET_ON_FORK,
            os.getpriority(os.PRIO_PROCESS, 0),
            0,
            _LONGEST_SLICE_NS,
            0,
            0,
        )
    )
    if _libc.syscall(change, 0, attributes, 0) != 0:
        return False
    told = ctypes.create_string_buffer(_SIZE)
    if _libc.syscall(read, 0, told, _SIZE, 0) != 0:
        return False
    return bool(struct.unpack_from("=Q", told, 24)[0] == _LONGEST_SLICE_NS)
