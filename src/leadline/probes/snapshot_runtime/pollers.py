"""Which goroutine waits on which descriptor: by the runtime's network poller, and by system calls of its threads.

Go registers each non-blocking descriptor with epoll and stores a tagged pointer to its ``runtime.pollDesc`` there, which
proc/PID/fdinfo prints. ``pollDesc.rg`` and ``wg`` point to the goroutines that are parked until it can be read and written.
A descriptor in blocking mode is not in epoll; the thread of its goroutine tells the system call that it is in.

Sources: runtime/netpoll.go (pollDesc), netpoll_epoll.go (netpollopen), tagptr_64bit.go; Linux fs/eventpoll.c, fs/proc/base.c
(proc_pid_syscall).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from leadline.contracts import gap_of
from leadline.evidence.kinds import DescriptorUse
from leadline.formats.gooffsets import wait_reasons
from leadline.formats.procfd import watched_data
from leadline.model import AccessError, TargetGone, Unsupported
from leadline.probes.snapshot_runtime.threads import host_tids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from leadline.contracts import Host
    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look, Words

__all__ = ["SystemCall", "poll_descs", "read", "system_calls", "untag"]

NAME = "snapshot_runtime"
_LAYOUTS = ((24, 9), (19, 3), (25, 9), (0, 0))
"""Ways in which Go tags pointers: bits of the tag, bits of alignment; as in 1.25.5, 1.21, 1.25.0, and untagged before 1.21."""
_DECIDING = 16
_SYSCALL, _WAITING = 3, 4
_NOBODY = 2  # pdReady is 1, pdWait is 2: above lie addresses
_MAX_IN_SYSCALL = 20_000

# System calls whose first argument is the descriptor that they wait on, by number.
_CALLS = {
    "x86_64": {
        0: "read", 1: "write", 5: "fstat", 16: "ioctl", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 40: "sendfile",
        42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 72: "fcntl", 73: "flock",
        74: "fsync", 75: "fdatasync", 77: "ftruncate", 217: "getdents64", 275: "splice", 277: "sync_file_range", 285: "fallocate",
        288: "accept4", 295: "preadv", 296: "pwritev", 299: "recvmmsg", 306: "syncfs", 307: "sendmmsg", 326: "copy_file_range",
    },
    "aarch64": {
        25: "fcntl", 29: "ioctl", 32: "flock", 46: "ftruncate", 47: "fallocate", 61: "getdents64", 63: "read", 64: "write",
        65: "readv", 66: "writev", 67: "pread64", 68: "pwrite64", 69: "preadv", 70: "pwritev", 71: "sendfile", 76: "splice",
        80: "fstat", 82: "fsync", 83: "fdatasync", 84: "sync_file_range", 202: "accept", 203: "connect", 206: "sendto",
        207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 242: "accept4", 243: "recvmmsg", 267: "syncfs", 269: "sendmmsg",
        285: "copy_file_range",
    },
}  # fmt: skip


class SystemCall(NamedTuple):
    """The system call that the thread of a goroutine is in; ``fd`` is None for calls that are about none."""

    tid: int
    name: str
    fd: int | None


def untag(data: Words, tag_bits: int, align_bits: int) -> NDArray[np.uint64]:
    """Return the addresses of pollDescs from the words that Go stored in epoll.

    Args:
        data: the words.
        tag_bits: how many of the lowest bits are the tag.
        align_bits: how many of the address's lowest bits are left out, as they are zero.

    >>> hex(untag(np.array([0x7F5C12345678 >> 3 << 19 | 5], np.uint64), 19, 3)[0])
    '0x7f5c12345678'

    Source: runtime/tagptr_64bit.go, taggedPointer.pointer.
    """
    return ((data.astype(np.int64) >> tag_bits) << align_bits).astype(np.uint64)


def read(host: Host, process: GoProcess, look: Look, found: Found) -> None:
    """Put a DescriptorUse for each descriptor of the poller, and for each that a thread waits on in a system call.

    Raises:
        AccessError: proc may not be read, or the process is gone.
        KeyError: the offsets of this release do not have what is needed.
    """
    found.uses.update(_uses(process, look, *poll_descs(host, process)))
    try:
        calls = system_calls(host, process, look)
    except TargetGone:
        raise
    except AccessError as exc:
        found.gaps.append(gap_of(exc, what="system calls that goroutines wait in", probe=NAME))
        return
    for goid, call in calls.items():
        if call.fd is None:
            continue
        use = found.uses.get(call.fd) or DescriptorUse(pid=process.pid, fd=call.fd, is_polled=False)
        found.uses[call.fd] = msgspec.structs.replace(use, syscall_goids=(*use.syscall_goids, goid))


def system_calls(host: Host, process: GoProcess, look: Look) -> dict[int, SystemCall]:
    """Return the system call by goroutine, of those that were in one and still are.

    Raises:
        AccessError: proc/PID/task/TID/syscall may not be read (it needs the rights of a debugger), or the process is gone.
    """
    chosen = np.flatnonzero((look.statuses == _SYSCALL) & ~look.is_system & (look.threads != 0))
    chosen = chosen[:_MAX_IN_SYSCALL]
    if not len(chosen):
        return {}
    known = _CALLS.get(process.machine, {})
    threads = look.threads[chosen]
    numbers, are_read = process.memory.gather_words(threads + np.uint64(process.offsets.need("m.procid")))
    of_host = host_tids(host, process.pid)
    tids = [number if of_host is None else of_host.get(number, 0) for number in numbers.tolist()]
    texts: list[tuple[int, bytes]] = []
    for i, tid, is_read in zip(chosen.tolist(), tids, are_read.tolist(), strict=True):
        if not is_read or not 0 < tid < 1 << 31:
            texts.append((i, b""))
            continue
        try:
            texts.append((i, host.read_proc(f"{process.pid}/task/{tid}/syscall", limit_bytes=512)))
        except (TargetGone, Unsupported):  # the thread has ended, or the kernel does not tell
            texts.append((i, b""))
    # A thread that has gone on to another goroutine was seen in a call of that one.
    running, _ = process.memory.gather_words(threads + np.uint64(process.offsets.need("m.curg")))
    still = running == look.addresses[chosen]
    answer: dict[int, SystemCall] = {}
    for (i, text), tid, is_still in zip(texts, tids, still.tolist(), strict=True):
        words = text.split()
        if not is_still or len(words) < 2 or not words[0].isdigit():
            continue
        name = known.get(int(words[0]))
        fd = int(words[1], 16) if name else -1
        answer[int(look.goids[i])] = SystemCall(
            tid, name or f"syscall {int(words[0])}", fd if 0 <= fd < 1 << 31 else None
        )
    return answer


def poll_descs(host: Host, process: GoProcess) -> tuple[NDArray[np.int64], Words]:
    """Return the descriptors of the runtime's network poller and the addresses of their ``pollDesc``; none without one.

    Each was checked against the number that its pollDesc has; the way of tagging is the one that most of some entries fit, since
    it may change with any patch release (it did between 1.25.0 and 1.25.5).

    Raises:
        AccessError: proc may not be read, or the process is gone.
    """
    place = process.offsets.need("pollDesc.fd")
    for entries in _epoll_instances(host, process.pid):
        fds = np.fromiter((fd for fd, _ in entries), np.int64, len(entries))
        data = np.fromiter((word for _, word in entries), np.uint64, len(entries))
        some = np.unique(np.linspace(0, len(fds) - 1, _DECIDING).astype(np.int64))
        fitting = [_fits(process, fds[some], untag(data[some], *layout), place).sum() for layout in _LAYOUTS]
        if not any(fitting):
            continue
        addresses = untag(data, *_LAYOUTS[fitting.index(max(fitting))])
        good = _fits(process, fds, addresses, place)
        return fds[good], addresses[good]
    return np.zeros(0, np.int64), np.zeros(0, np.uint64)


def _fits(process: GoProcess, fds: NDArray[np.int64], addresses: Words, place: int) -> NDArray[np.bool_]:
    """Return which pollDescs have the number of their descriptor; the runtime's wake-up entry and foreign ones do not."""
    numbers, are_read = process.memory.gather_words(addresses + np.uint64(place))
    fits: NDArray[np.bool_] = are_read & (numbers.astype(np.int64) == fds)
    return fits


def _epoll_instances(host: Host, pid: int) -> Iterator[list[tuple[int, int]]]:
    for fd in sorted(int(name) for name in host.list_proc(f"{pid}/fd") if name.isdigit()):
        try:
            if host.link_proc(f"{pid}/fd/{fd}") != "anon_inode:[eventpoll]":
                continue
            entries = watched_data(host.read_proc(f"{pid}/fdinfo/{fd}"))
        except Unsupported:  # closed meanwhile
            continue
        if entries:
            yield entries


def _uses(
    process: GoProcess, look: Look, fds: NDArray[np.int64], addresses: Words
) -> dict[int, DescriptorUse]:
    offsets = process.offsets
    at = {name: offsets.need(f"pollDesc.{name}") for name in ("fd", "rg", "wg", "closing")}
    deadlines = (offsets.get("pollDesc.rd"), offsets.get("pollDesc.wd"))
    size = max(*at.values(), *(place or 0 for place in deadlines)) + 8
    rows, are_read = process.memory.gather(addresses, size)
    good = are_read & (_column(rows, at["fd"]) == fds)
    rows, fds = rows[good], fds[good]
    readers = _parked(process, look, _column(rows, at["rg"]).astype(np.uint64))
    writers = _parked(process, look, _column(rows, at["wg"]).astype(np.uint64))
    read_ends, write_ends = (
        [None] * len(fds) if place is None else np.maximum(_column(rows, place), -1).tolist()
        for place in deadlines
    )
    closing = (rows[:, at["closing"]] != 0).tolist()
    pid = process.pid
    return {
        fd: DescriptorUse(
            pid=pid,
            fd=fd,
            is_polled=True,
            reader_goid=reader or None,
            writer_goid=writer or None,
            read_deadline_mono_ns=read_end,
            write_deadline_mono_ns=write_end,
            is_closing=is_closing,
        )
        for fd, reader, writer, read_end, write_end, is_closing in zip(
            fds.tolist(), readers, writers, read_ends, write_ends, closing, strict=True
        )
    }


def _column(rows: NDArray[np.uint8], place: int) -> NDArray[np.int64]:
    return np.ascontiguousarray(rows[:, place : place + 8]).view(np.int64).reshape(-1)


def _parked(process: GoProcess, look: Look, pointers: NDArray[np.uint64]) -> list[int]:
    """Return the numbers of the goroutines at addresses that wait for a descriptor in this look, 0 for none."""
    reasons = wait_reasons(process.go_version) or ()
    if "IO wait" not in reasons or not len(look.addresses):
        return [0] * len(pointers)
    order = np.argsort(look.addresses)
    known = look.addresses[order]
    place = np.minimum(np.searchsorted(known, pointers), len(known) - 1)
    i = order[place]
    is_parked = (pointers > _NOBODY) & (known[place] == pointers)
    is_parked &= (look.statuses[i] == _WAITING) & (look.reasons[i] == reasons.index("IO wait"))
    goids: list[int] = np.where(is_parked, look.goids[i], 0).tolist()
    return goids
