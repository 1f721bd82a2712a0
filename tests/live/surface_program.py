"""A program that makes and closes descriptors in every way Linux has, in prime counts, and says what it did.

Started by test_kernel_surface.py. It waits for a line on stdin, acts, and prints one JSON object:

- ``made``: call to the numbers it leaves open,
- ``closed``: call to how many of its births it closed again,
- ``unseen``, ``closed_unseen``: likewise, in ways that no system call tells,
- ``skipped``: call to errno name where this kernel has it not.

Everything it needs is imported and allocated before the line comes, so that Python itself opens nothing in between.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from leadline.probes.trace_descriptors.surface import calls

NUMBERS = calls()
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
MADE: dict[str, list[int]] = {}
CLOSED: dict[str, int] = {}
CLOSED_UNSEEN: dict[str, int] = {}
UNSEEN: list[int] = []
SKIPPED: dict[str, str] = {}
PATH = os.fsencode(Path(__file__).resolve())
FOLDER = os.fsencode(Path(__file__).resolve().parent)
SCRATCH = tempfile.mkdtemp()


class Refused(Exception):
    """The kernel does not have the call, or not here."""


def call(name: str, *arguments: Any) -> int:
    """Make a raw system call by name; bytes and buffers are passed by address."""
    if name not in NUMBERS:
        raise Refused("ENOSYS")
    plain: list[Any] = []
    for argument in arguments:
        if isinstance(argument, int):
            plain.append(ctypes.c_long(argument))
        elif isinstance(argument, bytes):
            plain.append(ctypes.c_char_p(argument))
        else:
            plain.append(argument)
    result = LIBC.syscall(NUMBERS[name], *plain)
    if result < 0:
        raise Refused(errno.errorcode.get(ctypes.get_errno(), "?"))
    return int(result)


def leave(name: str, count: int, make: Callable[[], int]) -> None:
    """Make so many and leave them open."""
    try:
        MADE.setdefault(name, []).extend(make() for _ in range(count))
    except Refused as why:
        SKIPPED[name] = str(why)


def churn(name: str, count: int, make: Callable[[], int]) -> None:
    """Make so many and close each."""
    try:
        for _ in range(count):
            os.close(make())
    except Refused as why:
        SKIPPED[name] = str(why)
        return
    CLOSED[name] = CLOSED.get(name, 0) + count


def sockets() -> None:
    """Make sockets of all families, connected and accepted ones, pairs."""
    leave("socket", 2, lambda: call("socket", socket.AF_INET, socket.SOCK_STREAM, 0))
    leave("socket", 3, lambda: call("socket", socket.AF_INET6, socket.SOCK_DGRAM, 0))
    leave("socket", 5, lambda: call("socket", socket.AF_UNIX, socket.SOCK_SEQPACKET, 0))
    churn("socket", 23, lambda: call("socket", socket.AF_INET, socket.SOCK_STREAM, 0))
    listener = call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    MADE["socket"].append(listener)
    LIBC.listen(listener, 64)
    address = ctypes.create_string_buffer(16)
    size = ctypes.c_uint32(16)
    LIBC.getsockname(listener, address, ctypes.byref(size))
    for name, count in (("accept", 2), ("accept4", 7)):
        for _ in range(count):
            client = call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
            MADE["socket"].append(client)
            LIBC.connect(client, address, 16)
            leave(name, 1, partial(call, name, listener, 0, 0, *((0,) if name == "accept4" else ())))
    pair = (ctypes.c_int * 2)()
    for _ in range(3):
        call("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0, pair)
        MADE.setdefault("socketpair", []).extend(pair)


def files() -> None:
    """Open files in all ways."""
    leave("open", 3, lambda: call("open", PATH, os.O_RDONLY))
    leave("openat", 11, lambda: call("openat", -100, PATH, os.O_RDONLY))
    churn("openat", 29, lambda: call("openat", -100, PATH, os.O_RDONLY))
    leave("openat", 2, lambda: call("openat", -100, FOLDER, os.O_RDONLY | os.O_DIRECTORY))
    leave("openat2", 5, lambda: call("openat2", -100, PATH, struct.pack("<QQQ", os.O_RDONLY, 0, 0), 24))
    leave("creat", 2, lambda: call("creat", os.fsencode(f"{SCRATCH}/created"), 0o600))
    handle = ctypes.create_string_buffer(struct.pack("<Ii", 128, 0), 136)
    mount = ctypes.c_int()
    if LIBC.name_to_handle_at(-100, PATH, handle, ctypes.byref(mount), 0) == 0:
        base = MADE["openat"][0]
        leave("open_by_handle_at", 2, lambda: call("open_by_handle_at", base, handle, os.O_RDONLY))
    leave("mq_open", 2, lambda: call("mq_open", b"leadline_surface", os.O_CREAT | os.O_RDWR, 0o600, 0))
    LIBC.syscall(241 if "open" in NUMBERS else 181, b"leadline_surface")
    leave("open_tree", 2, lambda: call("open_tree", -100, FOLDER, 0))
    leave("fsopen", 2, lambda: call("fsopen", b"tmpfs", 0))


def pipes_and_duplicates() -> None:
    """Make pipes, and duplicates: over open numbers, over themselves, onto free numbers."""
    pair = (ctypes.c_int * 2)()
    for name, count in (("pipe", 3), ("pipe2", 5)):
        if name not in NUMBERS:
            continue
        for _ in range(count):
            call(name, pair, *((0,) if name == "pipe2" else ()))
            MADE.setdefault(name, []).extend(pair)
    source = MADE["openat"][0]
    leave("dup", 7, lambda: call("dup", source))
    leave("dup2", 5, iter_numbers(500, lambda to: call("dup2", source, to)))
    leave("dup3", 3, iter_numbers(520, lambda to: call("dup3", source, to, os.O_CLOEXEC)))
    over = MADE.get("dup2", [])[:2]
    for fd in over:  # closes what is there and makes another: one death, one birth
        call("dup2", MADE["pipe2"][0], fd)
    if over:
        CLOSED["dup2"] = len(over)
    for fd in over:
        call("dup2", fd, fd)  # neither
    leave("fcntl", 2, lambda: fcntl.fcntl(source, fcntl.F_DUPFD, 600))
    leave("fcntl", 3, lambda: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 620))


def iter_numbers(first: int, make: Callable[[int], int]) -> Callable[[], int]:
    """Return a maker that is given rising numbers."""
    numbers = iter(range(first, first + 100))
    return lambda: make(next(numbers))


def anonymous() -> None:
    """Make anonymous inodes of every type."""
    mask = ctypes.create_string_buffer(8)
    leave("epoll_create", 2, lambda: call("epoll_create", 1))
    leave("epoll_create1", 3, lambda: call("epoll_create1", 0))
    leave("eventfd", 2, lambda: call("eventfd", 0))
    leave("eventfd2", 3, lambda: call("eventfd2", 0, 0))
    leave("timerfd_create", 5, lambda: call("timerfd_create", 1, 0))
    leave("signalfd", 2, lambda: call("signalfd", -1, mask, 8))
    leave("signalfd4", 3, lambda: call("signalfd4", -1, mask, 8, 0))
    for _ in range(7):
        call("signalfd4", MADE["signalfd4"][0], mask, 8, 0)  # changes a mask, makes nothing
    leave("inotify_init", 2, lambda: call("inotify_init"))
    leave("inotify_init1", 3, lambda: call("inotify_init1", 0))
    leave("fanotify_init", 2, lambda: call("fanotify_init", 0x200, 0))
    leave("memfd_create", 7, lambda: call("memfd_create", b"surface", 0))
    leave("memfd_secret", 2, lambda: call("memfd_secret", 0))
    leave("userfaultfd", 2, lambda: call("userfaultfd", 1))
    leave("pidfd_open", 5, lambda: call("pidfd_open", os.getpid(), 0))
    own = MADE["pidfd_open"][0]
    leave("pidfd_getfd", 3, lambda: call("pidfd_getfd", own, 0, 0))
    attr = struct.pack("<IIQ", 1, 112, 0).ljust(112, b"\0")  # software event, cpu clock
    leave("perf_event_open", 2, lambda: call("perf_event_open", attr, 0, -1, -1, 8))
    bpf_attr = struct.pack("<IIII", 2, 4, 4, 1).ljust(72, b"\0")
    leave("bpf", 3, lambda: call("bpf", 0, bpf_attr, 72))
    LIBC.syscall(NUMBERS["bpf"], 1, bpf_attr, 32)  # a look-up that fails: no descriptor
    leave("io_uring_setup", 2, lambda: call("io_uring_setup", 4, ctypes.create_string_buffer(120)))
    rules = struct.pack("<Q", 1)
    leave("landlock_create_ruleset", 2, lambda: call("landlock_create_ruleset", rules, 8, 0))
    LIBC.syscall(NUMBERS["landlock_create_ruleset"], None, 0, 1)  # asks for the version


def received() -> None:
    """Receive descriptors over unix sockets: one message with 11, and two messages with 3 each at once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    MADE["socketpair"] += [ours.detach(), theirs.detach()]
    sender, receiver = (socket.socket(fileno=fd) for fd in MADE["socketpair"][-2:])
    try:
        sender.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 11))])
        _, control, _, _ = receiver.recvmsg(1, socket.CMSG_SPACE(11 * 4))
        MADE["recvmsg"] = list(array.array("i", control[0][2]))
        if "recvmmsg" in NUMBERS:
            several(sender, receiver)
    finally:
        sender.detach()
        receiver.detach()


def several(sender: socket.socket, receiver: socket.socket) -> None:
    """Receive two messages with 3 descriptors each by one recvmmsg."""
    for _ in range(2):
        sender.sendmsg([b"y"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 3))])
    room = ctypes.create_string_buffer(8)
    vector = ctypes.create_string_buffer(struct.pack("<QQ", ctypes.addressof(room), 8), 16)
    controls = [ctypes.create_string_buffer(64) for _ in range(2)]
    headers = b"".join(
        struct.pack("<QQQQQQQQ", 0, 0, ctypes.addressof(vector), 1, ctypes.addressof(control), 64, 0, 0)
        for control in controls
    )
    messages = ctypes.create_string_buffer(headers, len(headers))
    got = call("recvmmsg", receiver.fileno(), messages, 2, 0, 0)
    MADE["recvmmsg"] = [fd for control in controls[:got] for fd in struct.unpack_from("<3i", control, 16)]


def terminals() -> None:
    """Make a pseudo terminal by the ioctl that returns its other end."""
    master = call("openat", -100, b"/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    MADE["openat"].append(master)
    fcntl.ioctl(master, 0x40045431, struct.pack("i", 0))  # TIOCSPTLCK
    peer = LIBC.ioctl(master, 0x5441, os.O_RDWR | os.O_NOCTTY)  # TIOCGPTPEER
    if peer >= 0:
        MADE["ioctl"] = [peer]


def processes() -> None:
    """Start processes that come with a pidfd, by clone3 and clone."""
    for name in ("clone3", "clone"):
        pidfd = ctypes.c_int(-1)
        if name == "clone3":
            arguments = struct.pack("<QQQQQ", 0x1000, ctypes.addressof(pidfd), 0, 0, signal.SIGCHLD)
            child = LIBC.syscall(NUMBERS[name], arguments.ljust(64, b"\0"), 64)
        else:
            child = LIBC.syscall(NUMBERS[name], 0x1000 | signal.SIGCHLD, 0, ctypes.byref(pidfd), 0, 0)
        if child == 0:
            os._exit(0)
        if child > 0:
            os.waitpid(child, 0)
            MADE[name] = [pidfd.value]


def by_io_uring() -> None:
    """Open 3 files and close one of our own through io_uring: no system call returns or names them."""
    parameters = ctypes.create_string_buffer(120)
    try:
        ring = call("io_uring_setup", 8, parameters)
    except Refused as why:
        SKIPPED["io_uring"] = str(why)
        return
    MADE.setdefault("io_uring_setup", []).append(ring)
    sq = struct.unpack_from("<10I", parameters, 40)
    cq = struct.unpack_from("<10I", parameters, 80)
    entries_sq, entries_cq = struct.unpack_from("<II", parameters, 0)
    ring_map = mmap.mmap(ring, max(sq[6] + 4 * entries_sq, cq[5] + 16 * entries_cq), mmap.MAP_SHARED)
    sqes = mmap.mmap(ring, 64 * entries_sq, mmap.MAP_SHARED, offset=0x10000000)
    path = ctypes.create_string_buffer(PATH)
    victim = MADE["openat"].pop()  # the terminal's master: belief must be corrected
    work = [
        struct.pack("<BBHiQQIIQ", 18, 0, 0, -100, 0, ctypes.addressof(path), 0, os.O_RDONLY, 7)
        for _ in range(3)
    ]
    work.append(struct.pack("<BBHiQQIIQ", 19, 0, 0, victim, 0, 0, 0, 0, 7))
    for index, entry in enumerate(work):
        sqes[64 * index : 64 * index + 64] = entry.ljust(64, b"\0")
        struct.pack_into("<I", ring_map, sq[6] + 4 * index, index)
    struct.pack_into("<I", ring_map, sq[1], len(work))
    if LIBC.syscall(426, ring, len(work), len(work), 1, None, 0) != len(work):
        SKIPPED["io_uring"] = errno.errorcode.get(ctypes.get_errno(), "?")
        return
    results = [struct.unpack_from("<i", ring_map, cq[5] + 16 * index + 8)[0] for index in range(len(work))]
    UNSEEN.extend(results[:3])
    for view in (ring_map, sqes):
        view.close()
    CLOSED["fcntl"] = CLOSED.get("fcntl", 0) + 2  # mmap keeps duplicates
    CLOSED_UNSEEN["openat"] = 1


def ranges() -> None:
    """Close ranges: 13 numbers at once; and mark 5 close-on-exec, which closes nothing."""
    source = MADE["openat"][0]
    for fd in range(900, 913):
        call("fcntl", source, fcntl.F_DUPFD, fd)
    call("close_range", 900, 912, 0)
    CLOSED["fcntl"] = CLOSED.get("fcntl", 0) + 13
    leave("fcntl", 5, lambda: call("fcntl", source, fcntl.F_DUPFD, 950))
    call("close_range", 950, 954, 4)
    LIBC.syscall(NUMBERS["close_range"], 912, 900, 0)  # refused: first after last
    for _ in range(17):
        LIBC.syscall(NUMBERS["close"], 1000)  # EBADF


def main() -> None:
    """Wait, act, tell, wait for the end."""
    print("ready", flush=True)
    sys.stdin.readline()
    for part in (
        sockets,
        files,
        pipes_and_duplicates,
        anonymous,
        received,
        terminals,
        processes,
        by_io_uring,
        ranges,
    ):
        part()
    print(
        json.dumps(
            {
                "made": MADE,
                "closed": CLOSED,
                "closed_unseen": CLOSED_UNSEEN,
                "unseen": UNSEEN,
                "skipped": SKIPPED,
            }
        ),
        flush=True,
    )
    sys.stdin.readline()
    shutil.rmtree(SCRATCH)


if __name__ == "__main__":
    main()
