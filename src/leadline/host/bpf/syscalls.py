"""bpf(2) and perf_event_open(2), and their errors in our words.

Attributes are packed by hand in the layout of ``union bpf_attr`` (Linux include/uapi/linux/bpf.h): each call gives
the offsets it uses. Every descriptor is opened close-on-exec by the kernel itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from typing import Final

from leadline.model import AccessError, NotPermitted, TargetGone, Unsupported

__all__ = [
    "BPF_COMMANDS",
    "Buffer",
    "bpf",
    "close_quietly",
    "error_of",
    "make_attr",
    "perf_event_open",
]

Buffer = ctypes.Array[ctypes.c_char]

_NUMBERS: Final = {"x86_64": (321, 298), "aarch64": (280, 241)}
BPF_COMMANDS: Final = {
    "MAP_CREATE": 0,
    "MAP_LOOKUP_ELEM": 1,
    "MAP_UPDATE_ELEM": 2,
    "MAP_DELETE_ELEM": 3,
    "MAP_GET_NEXT_KEY": 4,
    "PROG_LOAD": 5,
    "PROG_TEST_RUN": 10,
    "OBJ_GET_INFO_BY_FD": 15,
    "RAW_TRACEPOINT_OPEN": 17,
    "MAP_LOOKUP_BATCH": 24,
    "MAP_DELETE_BATCH": 27,
    "LINK_CREATE": 28,
    "ENABLE_STATS": 32,
    "ITER_CREATE": 33,
}
_ENOTSUPP: Final = 524  # kernel-internal, but some BPF calls let it out
_RIGHTS_REMEDY: Final = (
    "run as root, or with CAP_BPF and CAP_PERFMON; a locked-down kernel may refuse root too"
)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _number(which: int) -> int:
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        raise Unsupported(
            f"BPF on {platform.machine()}: only x86_64 and arm64 are built",
            remedy="leadline falls back to snapshots of the descriptor table",
        )
    return numbers[which]


def error_of(call: str, number: int) -> AccessError:
    """Return the error for an errno of a BPF call: which right or feature is missing, or that the target is gone."""
    name = "ENOTSUPP" if number == _ENOTSUPP else errno.errorcode.get(number, str(number))
    message = f"{call}: {name} ({'not supported' if number == _ENOTSUPP else os.strerror(number)})"
    if number in (errno.EPERM, errno.EACCES):
        return NotPermitted(message, remedy=_RIGHTS_REMEDY, errno_raw=number)
    if number == errno.ESRCH:
        return TargetGone(message, errno_raw=number)
    return Unsupported(message, remedy="needs Linux 5.17 or newer with BTF", errno_raw=number)


def make_attr(size_bytes: int, *fields: tuple[int, int, int]) -> bytearray:
    """Return a zeroed attribute block with (offset, size, value) fields set, little endian."""
    attr = bytearray(size_bytes)
    for offset, size, value in fields:
        attr[offset : offset + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return attr


def bpf(command: str, attr: bytearray) -> int:
    """Make one call of the BPF subsystem; the kernel writes into the attribute block where the command says so.

    Raises:
        NotPermitted, Unsupported, TargetGone: by errno, with the command's name.
    """
    block = (ctypes.c_char * len(attr)).from_buffer(attr)
    result = int(_libc.syscall(_number(0), BPF_COMMANDS[command], ctypes.byref(block), len(attr)))
    if result < 0:
        raise error_of(f"BPF_{command}", ctypes.get_errno())
    return result


def perf_event_open(attr: bytearray, pid: int, cpu: int) -> int:
    """Open a perf event, close-on-exec.

    Raises:
        NotPermitted, Unsupported, TargetGone: by errno.
    """
    block = (ctypes.c_char * len(attr)).from_buffer(attr)
    result = int(_libc.syscall(_number(1), ctypes.byref(block), pid, cpu, -1, 8))
    if result < 0:
        raise error_of("perf_event_open", ctypes.get_errno())
    return result


def close_quietly(fd: int) -> None:
    """Close a descriptor of ours; links and programs go away with it."""
    try:
        os.close(fd)
    except OSError:
        return
