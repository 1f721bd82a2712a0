"""The target's identity and limits."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, TypeVar

import msgspec

from leadline.contracts import ProbeInfo, gap_of
from leadline.evidence.kinds import CgroupState, Listener, ProcessInfo
from leadline.evidence.redaction import redact_command_line
from leadline.formats.cgroup import container_id, parse_cgroup
from leadline.formats.procfd import socket_inodes
from leadline.formats.proclimits import parse_limits
from leadline.formats.procstat import parse_stat
from leadline.formats.procstatus import parse_status
from leadline.formats.sockdiag import ANY_FAMILY, decode_dump
from leadline.model import Gap, LeadlineError, TargetGone
from leadline.probes.snapshot_process.binary import BinaryFacts, read_binary
from leadline.probes.snapshot_process.cgroups import group_path, read_cgroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadline.contracts import Host
    from leadline.evidence import Evidence

__all__ = ["PROBE", "SnapshotProcess", "read_process"]

Result = TypeVar("Result")

NAME = "snapshot_process"
_TICK_NS = 10_000_000  # USER_HZ is 100 on every architecture that Linux reports to user space
_LISTEN_STATE = 1 << 10
_TCP = 6


class SnapshotProcess:
    """Starts looking at who a process is."""

    INFO = ProbeInfo(
        name=NAME,
        kinds=("process_info", "cgroup_state"),
        capabilities=("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
    )

    def begin(self, host: Host, pid: int, evidence: Evidence) -> ProcessObservation:
        """Look for the first time.

        Raises:
            TargetGone: there is no such process.
        """
        return ProcessObservation(host, pid, evidence)


class ProcessObservation:
    """Looks at the beginning and at the end; puts one ``ProcessInfo``."""

    def __init__(self, host: Host, pid: int, evidence: Evidence) -> None:
        self._host = host
        self._pid = pid
        self._first = read_process(host, pid, evidence)
        self._ended_mono_ns: int | None = None
        self._put_cgroup(evidence, "begin")

    def tick(self) -> None:
        """Note when the process was first seen to have ended."""
        if self._ended_mono_ns is None and not self._is_same():
            self._ended_mono_ns = self._host.clock.mono_ns()

    def finish(self, evidence: Evidence) -> None:
        """Look for the last time; of a process that ended, what was seen first is put, with the time of its end."""
        self.tick()
        info = self._first
        if self._ended_mono_ns is None:
            try:
                info = read_process(self._host, self._pid, evidence)
            except TargetGone:
                self._ended_mono_ns = self._host.clock.mono_ns()
            else:
                self._put_cgroup(evidence, "end")
        evidence.put(
            msgspec.structs.replace(info, cpu_begin_ns=self._first.cpu_ns, ended_mono_ns=self._ended_mono_ns)
        )

    def _is_same(self) -> bool:
        try:
            stat = parse_stat(self._host.read_proc(f"{self._pid}/stat"))
        except LeadlineError:
            return False
        return stat.start_ticks * _TICK_NS == self._first.start_boot_ns and stat.state not in {"Z", "X"}

    def _put_cgroup(self, evidence: Evidence, when: str) -> None:
        try:
            evidence.put_all(CgroupState, (read_cgroup(self._host, self._pid, when),))
        except TargetGone:
            return  # said once, by whoever reads the process itself
        except LeadlineError as exc:
            evidence.gap(gap_of(exc, what=f"control group at the {when} of the window", probe=NAME))


def read_process(host: Host, pid: int, evidence: Evidence) -> ProcessInfo:
    """Return who a process is; what may not be read leaves a gap and a None.

    Raises:
        TargetGone: there is no such process.
    """
    stat = parse_stat(host.read_proc(f"{pid}/stat"))
    status = parse_status(host.read_proc(f"{pid}/status"))
    attempt = _Attempts(evidence)
    limits = attempt.do(lambda: parse_limits(host.read_proc(f"{pid}/limits")), "resource limits") or {}
    files = limits.get("Max open files")
    groups = attempt.do(lambda: parse_cgroup(host.read_proc(f"{pid}/cgroup")), "control groups") or ()
    binary = attempt.do(lambda: read_binary(host, pid), "build information") or BinaryFacts()
    cmdline = attempt.do(lambda: host.read_proc(f"{pid}/cmdline"), "command line") or b""
    inner_pid = status.namespace_pids[-1] if len(status.namespace_pids) > 1 else None
    return ProcessInfo(
        pid=pid,
        start_boot_ns=stat.start_ticks * _TICK_NS,
        comm=stat.comm,
        exe=attempt.do(lambda: host.link_proc(f"{pid}/exe"), "path of the program") or "",
        cmdline=_command_line(cmdline),
        uid=status.effective_uid,
        nofile_soft=None if files is None else files.soft,
        nofile_hard=None if files is None else files.hard,
        go_version=binary.go_version,
        main_package=binary.main_package,
        main_module=binary.main_module,
        modules=binary.modules,
        build_settings=binary.build_settings,
        build_id=binary.build_id,
        threads=status.threads,
        cpu_ns=(stat.user_ticks + stat.system_ticks) * _TICK_NS,
        rss_bytes=status.rss_bytes,
        listeners=attempt.do(lambda: read_listeners(host, pid), "listening ports") or (),
        container_id=next((found for group in groups if (found := container_id(group.path))), None),
        cgroup_path=group_path(groups) if groups else None,
        pid_in_namespace=inner_pid,
    )


def _command_line(raw: bytes) -> str:
    """Return the arguments joined as a shell would need them, without the secrets in them."""
    words = raw.rstrip(b"\0").split(b"\0") if raw else []
    return redact_command_line(shlex.join(word.decode("utf-8", "surrogateescape") for word in words))


class _Attempts:
    """Reads that may fail one by one. A process that ends in the middle fails them all, so that is said once, by raising."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._known = {gap.what for gap in evidence.all(Gap)}

    def do(self, read: Callable[[], Result], what: str) -> Result | None:
        """Return what was read; leave a gap and return None when it may not be."""
        try:
            return read()
        except TargetGone:
            raise
        except LeadlineError as exc:
            if what not in self._known:  # both looks meet the same missing right
                self._evidence.gap(gap_of(exc, what=what, probe=NAME))
            return None


def read_listeners(host: Host, pid: int) -> tuple[Listener, ...]:
    """Return the listening TCP sockets of a process, by port.

    Raises:
        AccessError: the descriptor table or the sockets may not be read.
    """
    inodes = socket_inodes(link.name for link in host.fd_links(pid))
    if not inodes:
        return ()
    table = decode_dump(host.sock_diag(pid, ANY_FAMILY, _TCP, _LISTEN_STATE, 0), "tcp")
    found = [
        Listener(
            inode=record.inode,
            address=record.laddr,
            port=record.lport or 0,
            accept_queue=record.rqueue_bytes,
            backlog=record.wqueue_bytes,
        )
        for record in table.of_inodes(inodes).records()
    ]
    return tuple(sorted(found, key=lambda listener: (listener.port, listener.address)))


PROBE = SnapshotProcess()
