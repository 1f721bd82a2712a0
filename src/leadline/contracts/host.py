"""The machine as probes see it. ``host.live`` touches the real one; ``host.recorded`` is the twin for tests."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock", "Host"]


class Clock(Protocol):
    """Clocks of the machine, in nanoseconds."""

    def mono_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""

    def boot_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""

    def unix_ns(self) -> int:
        """Return CLOCK_REALTIME."""


class Host(Protocol):
    """Reads of a machine. Paths are relative to its roots; every call either returns or raises an AccessError soon."""

    @property
    def clock(self) -> Clock:
        """Return the clocks."""

    def read_proc(self, path: str, *, limit_bytes: int = 64 << 20) -> bytes:
        """Return the bytes of a file under proc, such as ``1234/limits``.

        Raises:
            TargetGone: ENOENT or ESRCH below a process directory. NotPermitted: EACCES or EPERM. Unsupported: ENOENT elsewhere.
        """

    def list_proc(self, path: str) -> list[str]:
        """Return the names in a directory under proc, unsorted; raises as ``read_proc``."""

    def link_proc(self, path: str) -> str:
        """Return the target of a link under proc, such as ``1234/fd/3`` (surrogateescape); raises as ``read_proc``."""

    def read_sys(self, path: str, *, limit_bytes: int = 1 << 20) -> bytes:
        """Return the bytes of a file under sys, such as ``fs/cgroup/cpu.max``; raises as ``read_proc``."""

    def sock_diag(self, pid: int, family: int, protocol: int, states: int, extensions: int) -> bytes:
        """Return the concatenated netlink messages of one SOCK_DIAG_BY_FAMILY dump in the network namespace of ``pid``.

        Args:
            pid: whose namespace; 0 is leadline's own.
            family: AF_INET, AF_INET6 or AF_UNIX.
            protocol: IPPROTO_TCP, IPPROTO_UDP; 0 for unix.
            states: bit mask of states wanted.
            extensions: idiag_ext mask (inet), or udiag_show mask (unix).

        Raises:
            NotPermitted: the namespace may not be entered. Unsupported: no such diag module. DeadlineExceeded. TargetGone.
        """
