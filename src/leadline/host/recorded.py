"""The twin of the real machine for tests: a recorded tree of proc, sys and var files, and recorded socket dumps.

Layout of a recording::

    proc/1234/stat ...      files as read; fd/*, exe and ns/* as symbolic links with the recorded text
    sys/fs/cgroup/...
    var/log/pods/...
    host.json               clocks; st_mode, st_ino and st_dev behind descriptors; protocol names of sockets
    netlink/NETNS-FAMILY-PROTOCOL.bin
    objects/PID.exe         the program, where it was recorded

``record`` makes one. Reading goes through the same code as on the real machine, so only what the kernel does is replaced.
"""

from __future__ import annotations

import contextlib
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from leadline.contracts import FdLink
from leadline.formats.cgroup import parse_cgroup, parse_mountinfo_cgroups
from leadline.formats.procstat import parse_stat
from leadline.formats.sockdiag import ALL_STATES, INET_EXTENSIONS, UNIX_SHOW
from leadline.host import sockets
from leadline.host.files import FileTree
from leadline.model import AccessError, Malformed, TargetGone, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from leadline.contracts import Host, MappedFile
    from leadline.contracts.bpf import Bpf
    from leadline.evidence.kinds import DescriptorKind

__all__ = ["ManualClock", "RecordedHost", "record"]

_PROCESS_FILES = ("stat", "status", "limits", "cgroup", "cmdline", "mountinfo", "maps")
_NET_FILES = ("netstat", "snmp", "snmp6", "sockstat", "sockstat6")
_HOST_FILES = ("sys/fs/file-nr", "sys/fs/nr_open")
_OWN_FILES = ("stat", "status", "cgroup", "mountinfo")
_CGROUP_FILES = (
    "memory.usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.oom_control",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.stat",
    "memory.current",
    "memory.max",
    "memory.events",
    "cpu.max",
)
_DUMPS = ((2, 6), (10, 6), (2, 17), (10, 17), (1, 0))
_STATE_OFFSET = {2: 17, 10: 17, 1: 18}
_DATA_MESSAGE = 20


class _Behind(msgspec.Struct, array_like=True):
    """What stat told of the file behind a descriptor, or the protocol of a socket."""

    mode: int | None = None
    inode: int | None = None
    device: int | None = None
    protocol: str | None = None


class _Facts(msgspec.Struct):
    """What does not fit into files: host.json."""

    mono_ns: int
    boot_ns: int
    unix_ns: int
    descriptors: dict[str, _Behind] = {}


class ManualClock:
    """Clocks that move when told to."""

    def __init__(
        self, *, mono_ns: int = 10**12, boot_ns: int = 10**12, unix_ns: int = 1_700_000_000 * 10**9
    ) -> None:
        self._mono_ns = mono_ns
        self._boot_ns = boot_ns
        self._unix_ns = unix_ns

    def mono_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""
        return self._mono_ns

    def boot_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""
        return self._boot_ns

    def unix_ns(self) -> int:
        """Return CLOCK_REALTIME."""
        return self._unix_ns

    def advance(self, duration_ns: int) -> None:
        """Let time pass on all clocks."""
        self._mono_ns += duration_ns
        self._boot_ns += duration_ns
        self._unix_ns += duration_ns


class RecordedHost(FileTree):
    """A recorded machine; implements ``contracts.Host``.

    Args:
        folder: the recording; tests may change its files between looks.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            proc_root=str(folder / "proc"), sys_root=str(folder / "sys"), var_root=str(folder / "var")
        )
        self._folder = folder
        facts_file = folder / "host.json"
        empty = _Facts(mono_ns=10**12, boot_ns=10**12, unix_ns=1_700_000_000 * 10**9)
        self._facts = (
            msgspec.json.decode(facts_file.read_bytes(), type=_Facts) if facts_file.exists() else empty
        )
        self._clock = ManualClock(
            mono_ns=self._facts.mono_ns, boot_ns=self._facts.boot_ns, unix_ns=self._facts.unix_ns
        )

    @property
    def clock(self) -> ManualClock:
        """Return the clocks."""
        return self._clock

    def fd_count(self, pid: int) -> int:
        """Return how many descriptors were recorded; see ``Host.fd_count``."""
        return len(self.list_proc(f"{pid}/fd"))

    def fd_links(self, pid: int) -> list[FdLink]:
        """Return the recorded table; see ``Host.fd_links``."""
        found = []
        for fd in sorted(int(name) for name in self.list_proc(f"{pid}/fd")):
            behind = self._facts.descriptors.get(f"{pid}/{fd}", _Behind())
            name = self.link_proc(f"{pid}/fd/{fd}")
            found.append(FdLink(fd, name, behind.mode, behind.inode, behind.device))
        if not found:
            self.expect_running(pid)
        return found

    def socket_protocol(self, pid: int, fd: int) -> str:
        """Return the recorded protocol; see ``Host.socket_protocol``."""
        self.link_proc(f"{pid}/fd/{fd}")
        protocol = self._facts.descriptors.get(f"{pid}/{fd}", _Behind()).protocol
        if protocol is None:
            raise Unsupported(f"proc/{pid}/fd/{fd}: its protocol was not recorded")
        return protocol

    def sock_diag(
        self, pid: int, family: int, protocol: int, states: int, extensions: int
    ) -> bytes | memoryview:
        """Return the recorded dump, states not asked for left out; see ``Host.sock_diag``."""
        del extensions  # all were recorded
        space = re.sub(r"\D", "", self.link_proc(f"{pid or 'self'}/ns/net"))
        families = (family,) if family else (2, 10)
        dumps = [self._folder / "netlink" / f"{space}-{number}-{protocol}.bin" for number in families]
        if not any(dump.exists() for dump in dumps):
            raise Unsupported(
                f"no dump of family {family}, protocol {protocol} was recorded for net:[{space}]"
            )
        return b"".join(_with_states(dump.read_bytes(), states) for dump in dumps if dump.exists())

    def socket_kinds(self, pid: int, links: Iterable[FdLink]) -> dict[int, DescriptorKind]:
        """Return the kind by inode of sockets; see ``Host.socket_kinds``."""
        return sockets.socket_kinds(self, pid, links)

    def read_memory(self, pid: int, address: int, size: int) -> bytes:  # noqa: ARG002  as in the contract
        """Raise: memory is never recorded."""
        self._expect_process(pid)
        raise Unsupported("memory is never recorded")

    def gather_memory(
        self,
        pid: int,
        addresses: NDArray[np.uint64],  # noqa: ARG002  as in the contract
        sizes: NDArray[np.uint64],  # noqa: ARG002  as in the contract
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Raise: memory is never recorded."""
        self._expect_process(pid)
        raise Unsupported("memory is never recorded")

    def open_object(self, pid: int, entry: MappedFile) -> memoryview | None:
        """Return the program where it was recorded; see ``Host.open_object``."""
        with contextlib.suppress(AccessError):
            if entry.path == self.link_proc(f"{pid}/exe"):
                return self.open_program(pid)
        return None

    def open_program(self, pid: int) -> memoryview | None:
        """Return the program where it was recorded; see ``Host.open_program``."""
        self._expect_process(pid)
        program = self._folder / "objects" / f"{pid}.exe"
        return memoryview(program.read_bytes()) if program.exists() else None

    def open_process(self, pid: int) -> RecordedProcess:
        """Return a handle on a recorded process; see ``Host.open_process``."""
        return RecordedProcess(self, pid)

    def bpf(self) -> Bpf:
        """Raise: programs do not run on a recording."""
        raise Unsupported("BPF programs do not run on a recording")

    def _expect_process(self, pid: int) -> None:
        if not self.process_exists(pid):
            raise TargetGone(f"there is no process {pid}")


class RecordedProcess:
    """A recorded process: it has ended when its directory is gone, or is another's."""

    def __init__(self, host: RecordedHost, pid: int) -> None:
        self.pid = pid
        self._host = host
        stat = parse_stat(host.read_proc(f"{pid}/stat"))
        if stat.state in {"Z", "X"}:
            raise TargetGone(f"process {pid} has ended")
        self.start_ticks = stat.start_ticks

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        try:
            stat = parse_stat(self._host.read_proc(f"{self.pid}/stat"))
        except AccessError:
            return False
        return stat.start_ticks == self.start_ticks and stat.state not in {"Z", "X"}

    def wait_exit(self, timeout_ns: int) -> bool:
        """Return whether it ended; a recording does not move, so the time just passes."""
        if self.is_alive():
            self._host.clock.advance(timeout_ns)
        return not self.is_alive()

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _with_states(dump: bytes, states: int) -> bytes:
    """Return the messages of sockets whose state is in the mask, and all messages that are not sockets."""
    kept = bytearray()
    at = 0
    while at + 16 <= len(dump):
        length, kind = struct.unpack_from("=IH", dump, at)
        if length < 16:
            raise Malformed("recorded socket dump", "message length does not fit", offset_bytes=at)
        message = dump[at : at + (length + 3 & ~3)]
        state = message[_STATE_OFFSET.get(message[16], 17)] if kind == _DATA_MESSAGE else 0
        if kind != _DATA_MESSAGE or states >> state & 1:
            kept += message
        at += len(message)
    return bytes(kept)


# -- recording -----------------------------------------------------------------------------------------------


def record(host: Host, pids: Iterable[int], folder: Path) -> None:
    """Write what probes read of some processes, without their memory, programs and environment.

    Names, command lines and addresses are recorded as they are: look through a recording before giving it away.

    Args:
        host: the machine to record.
        pids: the processes; what may not be read of them is left out.
        folder: where to; made when missing.
    """
    clock = host.clock
    facts = _Facts(mono_ns=clock.mono_ns(), boot_ns=clock.boot_ns(), unix_ns=clock.unix_ns())
    for path in _HOST_FILES:
        _copy(host, path, folder)
    own = host.link_proc("self")
    _copy_link(host, "self", folder)
    for name in _OWN_FILES:
        _copy(host, f"{own}/{name}", folder)
    _copy_link(host, f"{own}/ns/net", folder)
    for pid in pids:
        for name in _PROCESS_FILES:
            _copy(host, f"{pid}/{name}", folder)
        for name in _NET_FILES:
            _copy(host, f"{pid}/net/{name}", folder)
        for name in ("exe", "ns/net"):
            _copy_link(host, f"{pid}/{name}", folder)
        _copy_descriptors(host, pid, folder, facts)
        _copy_dumps(host, pid, folder)
        _copy_cgroups(host, pid, folder)
    (folder / "host.json").write_bytes(msgspec.json.encode(facts))


def _copy(host: Host, path: str, folder: Path) -> None:
    with contextlib.suppress(AccessError):
        text = host.read_proc(path)
        place = folder / "proc" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text)


def _copy_link(host: Host, path: str, folder: Path) -> None:
    with contextlib.suppress(AccessError):
        text = host.link_proc(path)
        place = folder / "proc" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(text)


def _copy_descriptors(host: Host, pid: int, folder: Path, facts: _Facts) -> None:
    with contextlib.suppress(AccessError):
        links = host.fd_links(pid)
        (folder / "proc" / str(pid) / "fd").mkdir(parents=True, exist_ok=True)
        for link in links:
            place = folder / "proc" / str(pid) / "fd" / str(link.fd)
            if not place.is_symlink():
                place.symlink_to(link.name)
            protocol = None
            if link.name.startswith("socket:["):
                with contextlib.suppress(AccessError):
                    protocol = host.socket_protocol(pid, link.fd)
            facts.descriptors[f"{pid}/{link.fd}"] = _Behind(link.mode, link.inode, link.device, protocol)


def _copy_dumps(host: Host, pid: int, folder: Path) -> None:
    with contextlib.suppress(AccessError):
        space = re.sub(r"\D", "", host.link_proc(f"{pid}/ns/net"))
        (folder / "netlink").mkdir(parents=True, exist_ok=True)
        for family, protocol in _DUMPS:
            extensions = UNIX_SHOW if family == 1 else INET_EXTENSIONS
            with contextlib.suppress(AccessError):
                dump = host.sock_diag(pid, family, protocol, ALL_STATES, extensions)
                (folder / "netlink" / f"{space}-{family}-{protocol}.bin").write_bytes(bytes(dump))


def _copy_cgroups(host: Host, pid: int, folder: Path) -> None:
    """Write the files of the process's groups and their ancestors."""
    with contextlib.suppress(AccessError):
        entries = parse_cgroup(host.read_proc(f"{pid}/cgroup"))
        mounts = parse_mountinfo_cgroups(host.read_proc("self/mountinfo"))
        for mount, entry in ((mount, entry) for mount in mounts for entry in entries):
            is_same = bool(set(mount.controllers) & set(entry.controllers)) or (
                mount.version == 2 and not entry.controllers
            )
            directory = mount.directory(entry.path) if is_same else None
            while directory is not None and directory.startswith(mount.mount_point):
                for name in _CGROUP_FILES:
                    _copy_sys(host, f"{directory.removeprefix('/sys/')}/{name}", folder)
                directory = directory.rpartition("/")[0]


def _copy_sys(host: Host, path: str, folder: Path) -> None:
    with contextlib.suppress(AccessError):
        text = host.read_sys(path)
        place = folder / "sys" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text)
