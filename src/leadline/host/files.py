"""Reads of proc, sys and var under configurable roots, with every failure translated and none that blocks for ever."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import NoReturn, TypeVar

from leadline.contracts import FdLink
from leadline.model import AccessError, DeadlineExceeded, NotPermitted, TargetGone, Unsupported

__all__ = ["FileTree", "access_error", "with_deadline"]

Result = TypeVar("Result")

# These wait for the process's memory lock, which a thread in a stuck page fault (dead NFS server, failing disk) holds
# for ever: the reason why ps hangs on sick machines.
_MAY_BLOCK = frozenset({"cmdline", "environ", "maps", "smaps", "smaps_rollup", "numa_maps", "map_files"})
_CHUNK_BYTES = 1 << 16
_AS_LINK: Callable[[tuple[object, ...]], FdLink] = partial(
    tuple.__new__, FdLink
)  # a third of the time of FdLink(...)

_OTHERS_PROCESS = "run as root, or give leadline CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"


def access_error(
    exc: OSError, what: str, *, is_gone: bool = False, remedy: str = _OTHERS_PROCESS
) -> AccessError:
    """Return the error of ours for an OSError.

    Args:
        exc: what the kernel said.
        what: path or call, for the message.
        is_gone: the process that it belongs to does not exist any more.
        remedy: for a missing right.
    """
    number = exc.errno or 0
    name = errno.errorcode.get(number, str(number))
    if is_gone or number == errno.ESRCH:
        return TargetGone(f"{what}: the process has ended", errno_raw=number)
    if number in {errno.EACCES, errno.EPERM}:
        return NotPermitted(f"{what}: {name}", remedy=remedy, errno_raw=number)
    if number in {errno.ETIMEDOUT, errno.EAGAIN}:
        return DeadlineExceeded(f"{what}: {name}", errno_raw=number)
    return Unsupported(f"{what}: {name}", errno_raw=number)


class FileTree:
    """Files below the roots.

    Args:
        proc_root, sys_root, var_root: where proc, sys and var are; elsewhere than usual in containers and tests.
    """

    def __init__(self, *, proc_root: str = "/proc", sys_root: str = "/sys", var_root: str = "/var") -> None:
        self.proc_root = proc_root
        self.sys_root = sys_root
        self.var_root = var_root

    def read_proc(self, path: str, *, limit_bytes: int = 64 << 20) -> bytes:
        """Return the bytes of a file under proc; see ``Host.read_proc``."""
        full = f"{self.proc_root}/{path}"
        try:
            if not _MAY_BLOCK.isdisjoint(path.split("/")):
                return with_deadline(lambda: _read(full, limit_bytes), path)
            return _read(full, limit_bytes)
        except OSError as exc:
            self._fail(exc, path)

    def list_proc(self, path: str) -> list[str]:
        """Return the names in a directory under proc; see ``Host.list_proc``."""
        try:
            return os.listdir(f"{self.proc_root}/{path}")  # noqa: PTH208  names are wanted; Path costs three times
        except OSError as exc:
            self._fail(exc, path)

    def link_proc(self, path: str) -> str:
        """Return the target of a link under proc; see ``Host.link_proc``."""
        try:
            return os.readlink(f"{self.proc_root}/{path}")  # noqa: PTH115  may be no path: socket:[41822]
        except OSError as exc:
            self._fail(exc, path)

    def read_sys(self, path: str, *, limit_bytes: int = 1 << 20) -> bytes:
        """Return the bytes of a file under sys; see ``Host.read_sys``."""
        try:
            return _read(f"{self.sys_root}/{path}", limit_bytes)
        except OSError as exc:
            raise access_error(exc, f"sys/{path}") from exc

    def list_var(self, path: str) -> list[str]:
        """Return the names in a directory under var; see ``Host.list_var``."""
        try:
            return os.listdir(f"{self.var_root}/{path}")  # noqa: PTH208  as above
        except OSError as exc:
            raise access_error(exc, f"var/{path}", remedy="run as root") from exc

    def fd_count(self, pid: int) -> int:
        """Return how many descriptors a process has; see ``Host.fd_count``.

        Linux 6.2 and later tell it as the size of the directory (commit f1f1f2569901, "proc: report open files as size in
        stat() for /proc/pid/fd"); before, the names are counted.
        """
        path = f"{pid}/fd"
        try:
            return Path(self.proc_root, path).stat().st_size or len(self.list_proc(path))
        except OSError as exc:
            self._fail(exc, path)

    def fd_links(self, pid: int) -> list[FdLink]:
        """Return the descriptor table of a process; see ``Host.fd_links``.

        18,000 descriptors cost about 50 ms, files rather more than sockets: only names that are paths need a stat.
        """
        path = f"{pid}/fd"
        try:
            directory = os.open(f"{self.proc_root}/{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            self._fail(exc, path)
        try:
            links = self._fd_links(directory)
        except OSError as exc:
            self._fail(exc, path)
        finally:
            os.close(directory)
        if not links:
            self.expect_running(pid)
        return links

    def expect_running(self, pid: int) -> None:
        """Raise TargetGone for a process that is gone, or a zombie: its files are closed, and its table is an empty directory."""
        fields = self.read_proc(f"{pid}/stat").rpartition(b") ")[2]
        if fields[:1] in {b"Z", b"X"}:
            raise TargetGone(f"process {pid} has ended")

    def _fd_links(self, directory: int) -> list[FdLink]:
        rows = []
        readlink = os.readlink
        for text in os.listdir(directory):
            try:
                name = readlink(text, dir_fd=directory)
            except FileNotFoundError:  # closed meanwhile
                continue
            if name[0] == "/":
                rows.append(self._with_stat(int(text), name, directory))
            else:
                rows.append((int(text), name, None, None, None))
        rows.sort(key=itemgetter(0))
        return list(map(_AS_LINK, rows))

    @staticmethod
    def _with_stat(fd: int, name: str, directory: int) -> tuple[int, str, int | None, int | None, int | None]:
        try:
            found = os.stat(str(fd), dir_fd=directory)
        except OSError:  # closed meanwhile, or on a file system that does not answer us
            return fd, name, None, None, None
        return fd, name, found.st_mode, found.st_ino, found.st_dev

    def socket_protocol(self, pid: int, fd: int) -> str:
        """Return the kernel's name of a socket's protocol; see ``Host.socket_protocol``."""
        path = f"{pid}/fd/{fd}"
        try:
            raw = os.getxattr(f"{self.proc_root}/{path}", "system.sockprotoname")
        except OSError as exc:
            self._fail(exc, path)
        return raw.rstrip(b"\0").decode("ascii", "replace")

    def process_exists(self, pid: int) -> bool:
        """Return whether proc has a directory of that process."""
        try:
            return stat.S_ISDIR(Path(self.proc_root, str(pid)).stat().st_mode)
        except OSError:
            return False

    def _fail(self, exc: OSError, path: str) -> NoReturn:
        """Raise the error of ours for a failed access below proc."""
        first = PurePosixPath(path).parts[:1]
        owner = first[0] if first and first[0].isdigit() else None
        missing = exc.errno in {errno.ENOENT, errno.ESRCH, errno.ENOTDIR}
        is_gone = missing and owner is not None and not self.process_exists(int(owner))
        if owner is not None and exc.errno == errno.ESRCH:
            is_gone = True
        raise access_error(exc, f"proc/{path}", is_gone=is_gone) from exc


def _read(path: str, limit_bytes: int) -> bytes:
    """Return a whole file; one that is longer than the limit is cut there.

    Text-mode ``open`` would cost four times as much.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        chunks = []
        left = limit_bytes
        while left > 0:
            chunk = os.read(descriptor, min(_CHUNK_BYTES, left))
            if not chunk:
                break
            chunks.append(chunk)
            left -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    finally:
        os.close(descriptor)


def with_deadline(read: Callable[[], Result], what: str, *, timeout_s: float = 2.0) -> Result:
    """Return the result of a read that the kernel may block, done on a thread that can be left behind.

    Raises:
        DeadlineExceeded: it did not end; the thread stays until the kernel lets it go.
        OSError: from the read.
    """
    results: list[Result] = []
    errors: list[OSError] = []

    def run() -> None:
        try:
            results.append(read())
        except OSError as exc:
            errors.append(exc)

    thread = threading.Thread(target=run, name="leadline-read", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if not results:
        raise DeadlineExceeded(
            f"proc/{what}: no answer within {timeout_s:g} s",
            remedy="a thread of the process is stuck in the kernel (state D); look at its proc/PID/stack as root",
        )
    return results[0]
