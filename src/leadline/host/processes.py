"""Memory, mapped files and life of other processes. Nothing is written to them, nothing stops them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import select
import stat
from typing import TYPE_CHECKING, Self

import numpy as np

from leadline.formats.procstat import parse_stat
from leadline.host.files import access_error
from leadline.model import AccessError, TargetGone

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from leadline.contracts import MappedFile
    from leadline.host.files import FileTree

__all__ = ["LiveProcess", "gather_memory", "open_object", "open_program", "read_memory"]

_VDSO_LIMIT_BYTES = 1 << 20
_DELETED = " (deleted)"
_DEAD_STATES = frozenset("ZX")
_PTRACE_REMEDY = (
    "run as root or with CAP_SYS_PTRACE; as the same user it needs kernel.yama.ptrace_scope=0 "
    "and a program without file capabilities"
)
_RANGES_PER_CALL = 1024  # UIO_MAXIOV
_BYTES_PER_CALL = 1 << 30  # MAX_RW_COUNT is 2 GiB
_HIGHEST_ADDRESS = 1 << 56  # five-level page tables; what is above is no user memory

_libc = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_libc.process_vm_readv.restype = ctypes.c_ssize_t
_libc.process_vm_readv.argtypes = (
    ctypes.c_int,
    ctypes.POINTER(_IoVec),
    ctypes.c_ulong,
    ctypes.POINTER(_IoVec),
    ctypes.c_ulong,
    ctypes.c_ulong,
)


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Return memory of a process by process_vm_readv; see ``Host.read_memory``."""
    if size <= 0:
        return b""
    buffer = ctypes.create_string_buffer(size)
    local = _IoVec(ctypes.cast(buffer, ctypes.c_void_p), size)
    remote = _IoVec(address, size)
    count = _libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    if count < 0:
        number = ctypes.get_errno()
        raise access_error(
            OSError(number, os.strerror(number)),
            f"process_vm_readv of process {pid} at {address:#x}",
            remedy=_PTRACE_REMEDY,
        )
    return buffer.raw[:count]


def gather_memory(
    pid: int, addresses: NDArray[np.uint64], sizes: NDArray[np.uint64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return many ranges of memory by few calls of process_vm_readv; see ``Host.gather_memory``.

    One call takes 1,024 ranges. It ends at the first that cannot be read: that one is left out, the rest is asked
    for again.
    """
    ends = np.concatenate([np.zeros(1, np.uint64), np.cumsum(sizes, dtype=np.uint64)])
    buffer = np.zeros(int(ends[-1]), np.uint8)
    is_read = np.zeros(len(addresses), np.bool_)
    top = np.uint64(_HIGHEST_ADDRESS)
    sane = np.flatnonzero((addresses < top) & (sizes <= np.uint64(_BYTES_PER_CALL)))
    ranges = np.ascontiguousarray(np.column_stack([addresses[sane], sizes[sane]]).astype(np.uint64))
    begins = ends[:-1][sane].astype(np.int64)
    start = 0
    while start < len(sane):
        stop = _batch_end(begins, ranges, start)
        done = _read_batch(pid, buffer, begins[start:stop], ranges[start:stop])
        is_read[sane[start : start + done]] = True
        if start + done < stop:  # bytes of its first pages may have come
            at, size = int(begins[start + done]), int(ranges[start + done, 1])
            buffer[at : at + size] = 0
            done += 1
        start += done
    return buffer, is_read


def _batch_end(begins: NDArray[np.int64], ranges: NDArray[np.uint64], start: int) -> int:
    """Return behind which range one call must end: ranges lie end to end in the buffer, none is left out between."""
    stop = min(start + _RANGES_PER_CALL, len(begins))
    ends = begins[start:stop] + ranges[start:stop, 1].astype(np.int64)
    gaps = np.flatnonzero(begins[start + 1 : stop] != ends[:-1])
    if len(gaps):
        stop = start + int(gaps[0]) + 1
    too_many = np.flatnonzero(ends[: stop - start] - begins[start] > _BYTES_PER_CALL)
    return start + int(too_many[0]) if len(too_many) else stop


def _read_batch(
    pid: int, buffer: NDArray[np.uint8], begins: NDArray[np.int64], ranges: NDArray[np.uint64]
) -> int:
    """Return how many of the ranges were read whole, from the first on."""
    sizes = ranges[:, 1].astype(np.int64)
    total = int(sizes.sum())
    if not total:
        return len(ranges)
    local = _IoVec(buffer.ctypes.data + int(begins[0]), total)
    remote = ranges.ctypes.data_as(ctypes.POINTER(_IoVec))
    count = _libc.process_vm_readv(pid, ctypes.byref(local), 1, remote, len(ranges), 0)
    if count < 0:
        number = ctypes.get_errno()
        if number != errno.EFAULT:
            raise access_error(
                OSError(number, os.strerror(number)),
                f"process_vm_readv of process {pid}",
                remedy=_PTRACE_REMEDY,
            )
        count = 0
    return int(np.searchsorted(np.cumsum(sizes), count, side="right"))


def open_object(files: FileTree, pid: int, entry: MappedFile) -> memoryview | None:
    """Return the bytes of a mapped file; see ``Host.open_object``.

    Tried in turn: proc/PID/map_files (needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE) and, for the program itself,
    proc/PID/exe lead to the very file, deleted or not. The path inside the process's own root may meanwhile name another
    file, so its inode is compared; of a process that has ended since its maps were read, the same path in leadline's root is
    taken when it has that inode. A file that is cut short while it is mapped would kill leadline as it would the
    process that runs it; the kernel refuses that for running programs.
    """
    if entry.path == "[vdso]":
        with contextlib.suppress(AccessError):
            return memoryview(read_memory(pid, entry.start, min(entry.end - entry.start, _VDSO_LIMIT_BYTES)))
        return None
    if entry.inode == 0 or not entry.path.startswith("/"):
        return None
    process = f"{files.proc_root}/{pid}"
    view = _map_file(f"{process}/map_files/{entry.start:x}-{entry.end:x}")
    if view is None and _link(f"{process}/exe") == entry.path:
        view = _map_file(f"{process}/exe")
    if view is None and not entry.path.endswith(_DELETED):
        view = _map_file(f"{process}/root{entry.path}", expected_inode=entry.inode)
        if view is None and _has_ended(f"{process}/exe"):
            view = _map_file(entry.path, expected_inode=entry.inode)
    return view


def open_program(files: FileTree, pid: int) -> memoryview | None:
    """Return the bytes of a process's program; see ``Host.open_program``."""
    view = _map_file(f"{files.proc_root}/{pid}/exe")
    if view is None:
        files.expect_running(pid)
    return view


def _has_ended(exe: str) -> bool:
    """Return whether a process has ended: a zombie still has its directory, but no program."""
    try:
        os.readlink(exe)  # noqa: PTH115  only whether it is there
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115  text is compared, no Path wanted
    except OSError:
        return None


def _map_file(path: str, *, expected_inode: int | None = None) -> memoryview | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
            return None
        if expected_inode not in {None, found.st_ino}:
            return None
        return memoryview(mmap.mmap(descriptor, found.st_size, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


class LiveProcess:
    """A process held by a pidfd; see ``ProcessHandle``.

    Raises:
        TargetGone: there is no such process, or it is a zombie.
    """

    def __init__(self, files: FileTree, pid: int) -> None:
        self.pid = pid
        self._pidfd = -1
        try:
            self._pidfd = os.pidfd_open(pid)
            # Read after the pidfd is held: from here on the number cannot be given to another process unnoticed.
            found = parse_stat(files.read_proc(f"{pid}/stat"))
        except OSError as exc:
            raise TargetGone(f"there is no process {pid}", errno_raw=exc.errno) from exc
        except AccessError:
            self.close()
            raise
        self.start_ticks = found.start_ticks
        if found.state in _DEAD_STATES or not self.is_alive():
            self.close()
            raise TargetGone(f"process {pid} has ended")

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        return not self.wait_exit(0)

    def wait_exit(self, timeout_ns: int) -> bool:
        """Return whether it ended within the time."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(timeout_ns / 1e6))

    def close(self) -> None:
        """Release the pidfd."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
