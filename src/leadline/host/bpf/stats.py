"""What BPF programs cost, by the kernel's own accounts."""

from __future__ import annotations

import ctypes
import struct
from typing import Final

from leadline.contracts.bpf import ProgramCost
from leadline.host.bpf.syscalls import bpf, make_attr

__all__ = ["enable_stats", "program_cost"]

# struct bpf_prog_info, include/uapi/linux/bpf.h: run_time_ns and run_cnt (v5.1), recursion_misses (v5.12).
_INFO_BYTES: Final = 224
_RUN_TIME_AT: Final = 192
_STATS_RUN_TIME: Final = 0


def enable_stats() -> int:
    """Switch run time statistics on for as long as the returned descriptor is open (host-wide)."""
    return bpf("ENABLE_STATS", make_attr(8, (0, 4, _STATS_RUN_TIME)))


def program_cost(name: str, program_fd: int) -> ProgramCost:
    """Return run time, runs and missed runs of one program."""
    room = ctypes.create_string_buffer(_INFO_BYTES)
    bpf(
        "OBJ_GET_INFO_BY_FD",
        make_attr(16, (0, 4, program_fd), (4, 4, _INFO_BYTES), (8, 8, ctypes.addressof(room))),
    )
    run_ns, runs, missed = struct.unpack_from("<QQQ", room.raw, _RUN_TIME_AT)
    return ProgramCost(name, run_ns, runs, missed)
