"""The real machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.host import netlink, processes, sockets
from leadline.host.clock import LiveClock
from leadline.host.files import FileTree

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from leadline.contracts import FdLink, MappedFile
    from leadline.evidence.kinds import DescriptorKind
    from leadline.host.bpf import LiveBpf

__all__ = ["LiveHost"]


class LiveHost(FileTree):
    """This machine as probes see it; implements ``contracts.Host``.

    It holds no descriptors between calls, and none of its threads stays in a namespace other than its own.

    Args:
        proc_root, sys_root, var_root: where proc, sys and var are mounted; elsewhere than usual in containers.
    """

    def __init__(self, *, proc_root: str = "/proc", sys_root: str = "/sys", var_root: str = "/var") -> None:
        super().__init__(proc_root=proc_root, sys_root=sys_root, var_root=var_root)
        self._clock = LiveClock()

    @property
    def clock(self) -> LiveClock:
        """Return the clocks."""
        return self._clock

    def sock_diag(
        self, pid: int, family: int, protocol: int, states: int, extensions: int
    ) -> bytes | memoryview:
        """Return one dump of sockets; see ``Host.sock_diag``."""
        return netlink.dump_sockets(self, pid, netlink.Query(family, protocol, states, extensions))

    def socket_kinds(self, pid: int, links: Iterable[FdLink]) -> dict[int, DescriptorKind]:
        """Return the kind by inode of sockets; see ``Host.socket_kinds``."""
        return sockets.socket_kinds(self, pid, links)

    def read_memory(self, pid: int, address: int, size: int) -> bytes:
        """Return memory of a process; see ``Host.read_memory``."""
        return processes.read_memory(pid, address, size)

    def gather_memory(
        self, pid: int, addresses: NDArray[np.uint64], sizes: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return many ranges of memory at once; see ``Host.gather_memory``."""
        return processes.gather_memory(pid, addresses, sizes)

    def open_object(self, pid: int, entry: MappedFile) -> memoryview | None:
        """Return the bytes of a mapped file; see ``Host.open_object``."""
        return processes.open_object(self, pid, entry)

    def open_program(self, pid: int) -> memoryview | None:
        """Return the bytes of a process's program; see ``Host.open_program``."""
        return processes.open_program(self, pid)

    def bpf(self) -> LiveBpf:
        """Return the BPF subsystem; imported late, for it brings numpy along."""
        from leadline.host.bpf import LiveBpf  # noqa: PLC0415  half of the start-up time

        return LiveBpf()

    def open_process(self, pid: int) -> processes.LiveProcess:
        """Return a handle that stays on this very process; see ``Host.open_process``."""
        return processes.LiveProcess(self, pid)
