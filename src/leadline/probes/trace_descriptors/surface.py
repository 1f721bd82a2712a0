"""The kernel's surface for descriptors: which system calls make them, how, and what the programs' codes mean.

The numbers are those of the architecture's own table (Linux arch/x86/entry/syscalls/syscall_64.tbl and
scripts/syscall.tbl). The BPF programs get them as two tables of one byte per system call, so that the programs
themselves know no numbers.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from leadline.evidence.kinds import DescriptorKind
from leadline.model import Unsupported

__all__ = [
    "HIST_BUCKETS",
    "HOW_CODES",
    "THREAD_OWNER",
    "WHAT_CODES",
    "Call",
    "calls",
    "kind_of",
    "lifetime_bounds_ns",
    "owner_goid",
    "syscall_name",
    "syscall_tables",
]

HIST_BUCKETS: Final = 145
_HIST_FIRST_LOG2: Final = 10
_MAX_SYSCALLS: Final = 512
THREAD_OWNER: Final = 1 << 63


class Call(NamedTuple):
    """One system call: its numbers (None where the architecture has none), and the programs' codes for it."""

    x86_64: int | None
    aarch64: int | None
    how: str = "RETURN"
    what: str = "BY_FILE"


_CALLS: Final[Mapping[str, Call]] = {
    "open": Call(2, None),
    "close": Call(3, 57, "CLOSE"),
    "ioctl": Call(16, 29, "IOCTL"),
    "pipe": Call(22, None, "PAIR_ARG0", "PIPE"),
    "dup": Call(32, 23),
    "dup2": Call(33, None, "DUP_OVER"),
    "socket": Call(41, 198, "SOCKET", "SOCKET"),
    "accept": Call(43, 202),
    "recvmsg": Call(47, 212, "RECVMSG"),
    "socketpair": Call(53, 199, "PAIR_ARG3", "SOCKET"),
    "clone": Call(56, 220, "CLONE", "PIDFD"),
    "fcntl": Call(72, 25, "FCNTL"),
    "creat": Call(85, None),
    "epoll_create": Call(213, None, what="EVENTPOLL"),
    "mq_open": Call(240, 180),
    "inotify_init": Call(253, None, what="INOTIFY"),
    "openat": Call(257, 56),
    "signalfd": Call(282, None, "SIGNALFD", "SIGNALFD"),
    "timerfd_create": Call(283, 85, what="TIMERFD"),
    "eventfd": Call(284, None, what="EVENTFD"),
    "accept4": Call(288, 242),
    "signalfd4": Call(289, 74, "SIGNALFD", "SIGNALFD"),
    "eventfd2": Call(290, 19, what="EVENTFD"),
    "epoll_create1": Call(291, 20, what="EVENTPOLL"),
    "dup3": Call(292, 24, "DUP_OVER"),
    "pipe2": Call(293, 59, "PAIR_ARG0", "PIPE"),
    "inotify_init1": Call(294, 26, what="INOTIFY"),
    "perf_event_open": Call(298, 241, what="PERF_EVENT"),
    "recvmmsg": Call(299, 243, "RECVMMSG"),
    "fanotify_init": Call(300, 262, what="FANOTIFY"),
    "open_by_handle_at": Call(304, 265),
    "seccomp": Call(317, 277, "SECCOMP", "OTHER"),
    "memfd_create": Call(319, 279, what="MEMFD"),
    "bpf": Call(321, 280, "BPF", "BPF"),
    "userfaultfd": Call(323, 282, what="USERFAULTFD"),
    "io_uring_setup": Call(425, 425, what="IO_URING"),
    "open_tree": Call(428, 428),
    "fsopen": Call(430, 430, what="OTHER"),
    "fsmount": Call(432, 432, what="OTHER"),
    "fspick": Call(433, 433, what="OTHER"),
    "pidfd_open": Call(434, 434, what="PIDFD"),
    "clone3": Call(435, 435, "CLONE3", "PIDFD"),
    "close_range": Call(436, 436, "CLOSE_RANGE"),
    "openat2": Call(437, 437),
    "pidfd_getfd": Call(438, 438),
    "landlock_create_ruleset": Call(444, 444, "LANDLOCK", "OTHER"),
    "memfd_secret": Call(447, 447, what="MEMFD"),
    "open_tree_attr": Call(467, 467),
}

_KINDS: Final = {
    "REGULAR": DescriptorKind.FILE,
    "DIRECTORY": DescriptorKind.DIRECTORY,
    "CHAR_DEVICE": DescriptorKind.DEVICE,
    "BLOCK_DEVICE": DescriptorKind.DEVICE,
    "PIPE": DescriptorKind.PIPE,
    "EVENTPOLL": DescriptorKind.EVENTPOLL,
    "EVENTFD": DescriptorKind.EVENTFD,
    "TIMERFD": DescriptorKind.TIMERFD,
    "SIGNALFD": DescriptorKind.SIGNALFD,
    "INOTIFY": DescriptorKind.INOTIFY,
    "FANOTIFY": DescriptorKind.FANOTIFY,
    "MEMFD": DescriptorKind.MEMFD,
    "USERFAULTFD": DescriptorKind.USERFAULTFD,
    "PIDFD": DescriptorKind.PIDFD,
    "PERF_EVENT": DescriptorKind.PERF_EVENT,
    "BPF": DescriptorKind.BPF,
    "IO_URING": DescriptorKind.IO_URING,
}
# The codes of records.h, enum what; a test compares them with the built object.
WHAT_CODES: Final = {
    "BY_FILE": 0,
    "SOCKET": 1,
    "REGULAR": 2,
    "DIRECTORY": 3,
    "CHAR_DEVICE": 4,
    "BLOCK_DEVICE": 5,
    "PIPE": 6,
    "ANONYMOUS": 7,
    "EVENTPOLL": 16,
    "EVENTFD": 17,
    "TIMERFD": 18,
    "SIGNALFD": 19,
    "INOTIFY": 20,
    "FANOTIFY": 21,
    "MEMFD": 22,
    "USERFAULTFD": 23,
    "PIDFD": 24,
    "PERF_EVENT": 25,
    "BPF": 26,
    "IO_URING": 27,
    "OTHER": 28,
}
# Likewise enum how.
HOW_CODES: Final = {
    "NONE": 0,
    "RETURN": 1,
    "PAIR_ARG0": 2,
    "PAIR_ARG3": 3,
    "SOCKET": 4,
    "DUP_OVER": 5,
    "FCNTL": 6,
    "IOCTL": 7,
    "BPF": 8,
    "SIGNALFD": 9,
    "SECCOMP": 10,
    "LANDLOCK": 11,
    "CLONE": 12,
    "CLONE3": 13,
    "RECVMSG": 14,
    "RECVMMSG": 15,
    "CLOSE": 16,
    "CLOSE_RANGE": 17,
}
_WHAT_NAMES: Final = {code: name for name, code in WHAT_CODES.items()}
# (family, type) of the address families and socket types that have words of their own.
_FAMILIES: Final = {1: DescriptorKind.UNIX, 16: DescriptorKind.NETLINK, 17: DescriptorKind.PACKET}
_INET: Final = frozenset({2, 10})
_TRANSPORTS: Final = {
    (1, 0): DescriptorKind.TCP,
    (1, 6): DescriptorKind.TCP,
    (2, 0): DescriptorKind.UDP,
    (2, 17): DescriptorKind.UDP,
}


@cache
def calls(machine: str | None = None) -> dict[str, int]:
    """Return system call numbers by name for an architecture (default: this one).

    Raises:
        Unsupported: no table for the architecture.
    """
    machine = machine or platform.machine()
    if machine not in ("x86_64", "aarch64"):
        raise Unsupported(f"no system call table for {machine}", remedy="x86_64 and arm64 are supported")
    column = Call._fields.index(machine)
    return {name: number for name, call in _CALLS.items() if isinstance(number := call[column], int)}


@cache
def _names() -> dict[int, str]:
    return {number: name for name, number in calls().items()}


def syscall_name(number: int) -> str:
    """Return the name of a system call that handles descriptors, ``syscall_N`` for others."""
    return _names().get(number, f"syscall_{number}")


def syscall_tables() -> dict[str, bytes]:
    """Return the ``how`` and ``what`` tables of the programs, one byte per system call number."""
    how, what = bytearray(_MAX_SYSCALLS), bytearray(_MAX_SYSCALLS)
    for name, number in calls().items():
        how[number] = HOW_CODES[_CALLS[name].how]
        what[number] = WHAT_CODES[_CALLS[name].what]
    return {"how": bytes(how), "what": bytes(what)}


@cache
def kind_of(code: int) -> DescriptorKind:
    """Return the kind for a kind code of the programs: type in the lowest byte; for sockets family, type and protocol above.

    >>> kind_of(1 | 2 << 8 | 1 << 16 | 6 << 24).value, kind_of(1 | 1 << 8 | 1 << 16).value, kind_of(6).value
    ('tcp', 'unix', 'pipe')
    """
    what = _WHAT_NAMES.get(code & 255, "OTHER")
    if what != "SOCKET":
        return _KINDS.get(what, DescriptorKind.OTHER)
    family, form, protocol = code >> 8 & 255, code >> 16 & 255, code >> 24 & 255
    if family in _INET:
        return _TRANSPORTS.get((form, protocol), DescriptorKind.SOCKET)
    return _FAMILIES.get(family, DescriptorKind.SOCKET)


def lifetime_bounds_ns(bucket: int) -> tuple[int, int]:
    """Return [lower, upper) of a lifetime bucket in nanoseconds: 4 buckets per octave from 1024 ns; the last has no end.

    >>> lifetime_bounds_ns(0), lifetime_bounds_ns(1), lifetime_bounds_ns(5)
    ((0, 1024), (1024, 1280), (2048, 2560))
    """
    if bucket == 0:
        return 0, 1 << _HIST_FIRST_LOG2
    octave, quarter = divmod(bucket - 1, 4)
    base = 1 << (_HIST_FIRST_LOG2 + octave)
    lower = base + quarter * base // 4
    return lower, (1 << 63) - 1 if bucket == HIST_BUCKETS - 1 else lower + base // 4


def owner_goid(owner: int) -> int | None:
    """Return the goroutine id of an owner, None when it is a thread."""
    return None if owner & THREAD_OWNER or not owner else owner
