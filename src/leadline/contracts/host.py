"""The machine as probes see it: ``host.live`` is the real one, ``host.recorded`` the twin for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from leadline.evidence.kinds import DescriptorKind

if TYPE_CHECKING:
    from leadline.contracts.bpf import Bpf

__all__ = ["Clock", "FdLink", "Host", "MappedFile", "ProcessHandle"]


class FdLink(NamedTuple):
    """One entry of proc/PID/fd.

    ``mode``, ``inode`` and ``device`` are of the file behind it (stat); None for sockets, pipes and anonymous
    inodes, whose link target says it all, and for files that may not be looked at.
    """

    fd: int
    name: str
    mode: int | None = None
    inode: int | None = None
    device: int | None = None


class MappedFile(Protocol):
    """What ``open_object`` needs of a line of proc/PID/maps."""

    @property
    def start(self) -> int:
        """Return the first address."""

    @property
    def end(self) -> int:
        """Return the first address after it."""

    @property
    def path(self) -> str:
        """Return the path as written in maps, with `` (deleted)`` if it is there, or ``[vdso]``."""

    @property
    def inode(self) -> int:
        """Return the inode number, 0 when no file is behind it."""


class ProcessHandle(Protocol):
    """One process, pinned: a recycled pid is never taken for it. Close it, or use it as a context manager."""

    @property
    def pid(self) -> int:
        """Return the process id as seen by the host."""

    @property
    def start_ticks(self) -> int:
        """Return field 22 of proc/PID/stat, which with the pid is the identity."""

    def is_alive(self) -> bool:
        """Return whether it still runs (a zombie does not)."""

    def wait_exit(self, timeout_ns: int) -> bool:
        """Return whether it ended within the time."""

    def close(self) -> None:
        """Release it."""


class Clock(Protocol):
    """Clocks of the machine, in nanoseconds."""

    def mono_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""

    def boot_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""

    def unix_ns(self) -> int:
        """Return CLOCK_REALTIME."""


class Host(Protocol):
    """Reads of a machine. Paths are relative to its roots; a call returns or raises an AccessError soon."""

    @property
    def clock(self) -> Clock:
        """Return the clocks."""

    def read_proc(self, path: str, *, limit_bytes: int = 64 << 20) -> bytes:
        """Return the bytes of a file under proc, such as ``1234/limits``.

        Raises:
            TargetGone: the process of that directory does not exist (any more).
            NotPermitted: EACCES or EPERM.
            Unsupported: there is no such file, though the process lives.
            DeadlineExceeded: the kernel did not answer.
        """

    def list_proc(self, path: str) -> list[str]:
        """Return the names in a directory under proc, unsorted; raises as ``read_proc``."""

    def link_proc(self, path: str) -> str:
        """Return the target of a link such as ``1234/fd/3`` (surrogateescape); raises as ``read_proc``."""

    def fd_count(self, pid: int) -> int:
        """Return how many descriptors a process has open.

        Raises:
            TargetGone. NotPermitted: another user's process.
        """

    def fd_links(self, pid: int) -> list[FdLink]:
        """Return the descriptor table of a process by ascending number; what closes meanwhile is left out.

        Raises:
            TargetGone: the process has ended, also while it still is a zombie. NotPermitted: another user's process.
        """

    def socket_protocol(self, pid: int, fd: int) -> str:
        """Return the kernel's name of a socket's protocol: ``TCP``, ``TCPv6``, ``UNIX-STREAM``, ``NETLINK`` ...

        It is the only way to tell a socket that was made but never bound or connected: no dump lists those.

        Raises:
            Unsupported: not a socket, or closed meanwhile. NotPermitted. TargetGone.
        """

    def socket_kinds(self, pid: int, links: Iterable[FdLink]) -> dict[int, DescriptorKind]:
        """Return the kind by inode of the sockets among a process's descriptors; those it cannot tell are left out.

        Raises:
            TargetGone: there is no such process.
        """

    def list_var(self, path: str) -> list[str]:
        """Return the names in a directory under var, such as ``log/pods``; raises as ``read_proc``."""

    def read_sys(self, path: str, *, limit_bytes: int = 1 << 20) -> bytes:
        """Return the bytes of a file under sys, such as ``fs/cgroup/cpu.max``; raises as ``read_proc``."""

    def sock_diag(
        self, pid: int, family: int, protocol: int, states: int, extensions: int
    ) -> bytes | memoryview:
        """Return the netlink messages of one SOCK_DIAG_BY_FAMILY dump in the network namespace of ``pid``.

        Args:
            pid: whose namespace; 0 is leadline's own.
            family: AF_INET, AF_INET6 or AF_UNIX; 0 for TCP of both inet families at once.
            protocol: IPPROTO_TCP, IPPROTO_UDP; 0 for unix.
            states: bit mask of states wanted.
            extensions: idiag_ext mask (inet), or udiag_show mask (unix).

        Raises:
            NotPermitted: the namespace may not be entered.
            Unsupported: no such diag module.
            DeadlineExceeded: the dump did not end in time.
            TargetGone: there is no such process.
        """

    def read_memory(self, pid: int, address: int, size: int) -> bytes:
        """Return ``size`` bytes of a process's memory, or fewer when the range ends in an unmapped page.

        Raises:
            Unsupported: nothing is mapped at the address. NotPermitted. TargetGone.
        """

    def gather_memory(
        self, pid: int, addresses: NDArray[np.uint64], sizes: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return many ranges of a process's memory at once, laid end to end, and which could be read whole.

        Bytes of a range that could not be read are zero.

        Raises:
            NotPermitted. TargetGone.
        """

    def open_object(self, pid: int, entry: MappedFile) -> memoryview | None:
        """Return the bytes of a mapped file (or vdso) as the process has it, deleted or in a container too.

        The view is a read-only file mapping: it costs memory only where it is read. None when no way to it is
        allowed.
        """

    def open_program(self, pid: int) -> memoryview | None:
        """Return the bytes of the program that a process runs, as ``open_object``; None when not permitted.

        Raises:
            TargetGone: there is no such process.
        """

    def bpf(self) -> Bpf:
        """Return the BPF subsystem; what it can do shows when it is asked.

        Raises:
            Unsupported: this host is a record of another machine.
        """

    def open_process(self, pid: int) -> ProcessHandle:
        """Return a handle that stays on this very process.

        Raises:
            TargetGone: there is no such process.
        """
