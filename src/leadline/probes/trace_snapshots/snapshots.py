"""Comparing descriptor tables at intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.contracts import ProbeInfo, gap_of
from leadline.evidence.kinds import Birthplace, Descriptor, DescriptorKind, Origin, TimelineSample
from leadline.formats.procfd import descriptor_kind, link_inode
from leadline.formats.sockdiag import AF_INET, AF_INET6, ALL_STATES, ANY_FAMILY, TCP_STATES, decode_dump
from leadline.model import AccessError, Gap, GapReason, LeadlineError, TargetGone
from leadline.probes.trace_snapshots.groups import Endpoint, Groups, group_key, path_pattern
from leadline.probes.trace_snapshots.tracker import Seen, TableTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from leadline.contracts import FdLink, Host
    from leadline.evidence import Evidence

    ReadTable = Callable[[Host, int], list[FdLink]]

__all__ = ["PROBE", "SnapshotsObservation", "TraceSnapshots"]

NAME = "trace_snapshots"
MAX_SAMPLES = 2400
_COST_RATIO = 20  # of wall time to time spent looking: at most a twentieth of one CPU
_TIME_WAIT = 1 << 6
_DUMPS = (("tcp", ANY_FAMILY, 6), ("udp", AF_INET, 17), ("udp", AF_INET6, 17))
_CONNECTED = {DescriptorKind.TCP, DescriptorKind.UDP}


def _read_proc_table(host: Host, pid: int) -> list[FdLink]:
    return host.fd_links(pid)


class TraceSnapshots:
    """Starts comparing the tables of a process.

    Args:
        read_table: another way to read a table than proc, such as the task-file iterator; raises as ``Host.fd_links``.
        why: what kept leadline from tracing births in the kernel; says the reason in the gap.
    """

    INFO = ProbeInfo(
        name=NAME,
        kinds=("birthplace", "descriptor", "timeline_sample"),
        capabilities=("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
    )

    def __init__(self, read_table: ReadTable = _read_proc_table, why: LeadlineError | None = None) -> None:
        self._read_table = read_table
        self._why = why

    def begin(self, host: Host, pid: int, evidence: Evidence) -> SnapshotsObservation:
        """Take the first table.

        Raises:
            TargetGone: there is no such process. NotPermitted: its table may not be read.
        """
        _put_gap(evidence, self._why)
        return SnapshotsObservation(host, pid, self._read_table)


class SnapshotsObservation:
    """Takes a table at each tick, less often when that costs too much, and at the end."""

    mode = "snapshots"

    def __init__(self, host: Host, pid: int, read_table: ReadTable) -> None:
        self._host = host
        self._pid = pid
        self._read_table = read_table
        self._begin_ns = host.clock.mono_ns()
        self._tracker = TableTracker()
        self._groups = Groups(self._begin_ns)
        self._endpoints: dict[int, Endpoint] = {}
        self._listening: frozenset[int] = frozenset()
        self._samples: list[TimelineSample] = []
        self._last_look_ns = self._begin_ns
        self._next_look_ns = 0
        self._is_gone = False
        self._look()

    def tick(self) -> None:
        """Look again when it is time."""
        if not self._is_gone and self._host.clock.mono_ns() >= self._next_look_ns:
            try:
                self._look()
            except TargetGone:
                self._is_gone = True

    def interim(self, evidence: Evidence) -> None:
        """Put birthplaces and samples as they stand."""
        found, _ = self._birthplaces()
        evidence.put_all(Birthplace, found)
        evidence.put_all(TimelineSample, self._samples)

    def alive_now(self) -> TimelineSample | None:
        """Return the latest sample of the target's table, for the live view."""
        return self._samples[-1] if self._samples else None

    def top(self, most: int) -> list[tuple[str, str, str, int, int, int]]:
        """Return no places: tables do not tell who made a descriptor."""
        del most
        return []

    def finish(self, evidence: Evidence) -> None:
        """Take the last table and put everything; of a process that ended, the last table that could be read."""
        try:
            if not self._is_gone:
                self._look(is_last=True)
        except TargetGone:
            self._is_gone = True
        except LeadlineError as exc:
            evidence.gap(gap_of(exc, what="the descriptor table at the end of the window", probe=NAME))
        if self._is_gone:
            detail = "the process ended; its last table that could be read is shown"
            gap = Gap(
                what="its descriptors at the very end",
                reason=GapReason.TARGET_GONE,
                detail=detail,
                probe=NAME,
            )
            evidence.gap(gap)
        found, ids = self._birthplaces()
        evidence.put_all(Birthplace, found)
        evidence.put_all(TimelineSample, self._samples)
        evidence.put_all(Descriptor, self._descriptors(ids))

    # -- looking ---------------------------------------------------------------------------------------------

    def _look(self, *, is_last: bool = False) -> None:
        started_ns = self._host.clock.mono_ns()
        links = self._read_table(self._host, self._pid)
        interval_ns = started_ns - self._last_look_ns
        born, died = self._tracker.look(started_ns, links)
        for seen in died:
            self._settle(seen)
            self._groups.bury(seen, interval_ns)
            self._endpoints.pop(_inode(seen), None)
        self._identify(born, is_last=is_last)
        self._groups.sample(started_ns, self._tracker.alive.values())
        self._take_sample(started_ns)
        self._last_look_ns = started_ns
        spent_ns = self._host.clock.mono_ns() - started_ns
        self._next_look_ns = started_ns + spent_ns * _COST_RATIO

    def _identify(self, born: list[Seen], *, is_last: bool) -> None:
        """Find kinds, and groups of those whose birth was seen; an unconnected socket gets one more look."""
        sockets = self._socket_kinds(born)
        for seen in born:
            is_socket = seen.link.name.startswith("socket:[")
            plain = descriptor_kind(seen.link.name, seen.link.mode)
            seen.kind = sockets.get(_inode(seen), plain) if is_socket else plain
        undecided = [
            seen for seen in self._tracker.alive.values() if seen.group is None and not seen.is_before
        ]
        unconnected = {_inode(seen) for seen in undecided if seen.kind in _CONNECTED}
        if unconnected:
            self._read_endpoints(unconnected)
        newly_born = set(map(id, born))
        for seen in undecided:
            may_connect = seen.kind in _CONNECTED and id(seen) in newly_born and not is_last
            if not may_connect or self._has_peer(seen):
                self._settle(seen)

    def _settle(self, seen: Seen) -> None:
        """Put a descriptor into its group for good."""
        if seen.group is None and not seen.is_before:
            endpoint = self._endpoints.get(_inode(seen))
            self._groups.join(seen, group_key(seen.kind, seen.link.name, endpoint, self._listening))

    def _has_peer(self, seen: Seen) -> bool:
        endpoint = self._endpoints.get(_inode(seen))
        return endpoint is not None and bool(endpoint.remote)

    def _socket_kinds(self, born: Iterable[Seen]) -> dict[int, DescriptorKind]:
        try:
            return self._host.socket_kinds(self._pid, [seen.link for seen in born])
        except AccessError:
            return {}

    def _read_endpoints(self, wanted: set[int]) -> None:
        """Read where sockets lead; without the right to, groups are by kind only."""
        listening: set[int] = set()
        for protocol, family, number in _DUMPS:
            try:
                dump = self._host.sock_diag(self._pid, family, number, ALL_STATES & ~_TIME_WAIT, 0)
                table = decode_dump(dump, protocol)
            except LeadlineError:
                continue
            if protocol == "tcp":
                is_listening = table.states == TCP_STATES.index("LISTEN")
                listening |= set(table.where(is_listening).local_ports.tolist())
            for record in table.of_inodes(wanted).records():
                remote = "" if record.rport is None else _address(record.raddr, record.rport)
                self._endpoints[record.inode] = Endpoint(record.lport or 0, remote, record.rport)
        self._listening = frozenset(listening)

    # -- showing ---------------------------------------------------------------------------------------------

    def _take_sample(self, now_ns: int) -> None:
        counts: dict[str, int] = {}
        for seen in self._tracker.alive.values():
            counts[seen.kind.value] = counts.get(seen.kind.value, 0) + 1
        self._samples.append(
            TimelineSample(pid=self._pid, mono_ns=now_ns, alive=sum(counts.values()), by_kind=counts)
        )
        if len(self._samples) > MAX_SAMPLES:
            self._samples[1:-1] = self._samples[1:-1:2]

    def _birthplaces(self) -> tuple[list[Birthplace], dict[tuple[str, ...], int]]:
        places = {seen.link.fd: self._place(seen) for seen in self._tracker.alive.values()}
        return self._groups.birthplaces(self._pid, self._last_look_ns, self._tracker.alive.values(), places)

    def _place(self, seen: Seen) -> str:
        endpoint = self._endpoints.get(_inode(seen))
        if endpoint is not None:  # ports of those who called us are chance, so they are left out
            is_accepted = endpoint.local_port in self._listening
            return endpoint.remote.rpartition(":")[0] if is_accepted else endpoint.remote
        return path_pattern(seen.link.name) if seen.link.name.startswith("/") else ""

    def _descriptors(self, ids: dict[tuple[str, ...], int]) -> list[Descriptor]:
        found = []
        for seen in sorted(self._tracker.alive.values(), key=lambda seen: seen.link.fd):
            inode = link_inode(seen.link.name) if seen.link.inode is None else seen.link.inode
            found.append(
                Descriptor(
                    pid=self._pid,
                    fd=seen.link.fd,
                    kind=seen.kind,
                    origin=Origin.BEFORE if seen.is_before else Origin.TRACED,
                    inode=inode,
                    device=seen.link.device,
                    file_ref=inode if seen.kind.is_socket else None,
                    name=seen.link.name,
                    birthplace=None if seen.group is None else ids[seen.group],
                    seen_since_mono_ns=seen.first_ns,
                    at_exit=self._is_gone,
                )
            )
        return found


def _inode(seen: Seen) -> int:
    return link_inode(seen.link.name) or 0


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _put_gap(evidence: Evidence, why: LeadlineError | None) -> None:
    what = "which code opened the descriptors, and descriptors that live shorter than half a second"
    remedy = "run as root, or give leadline CAP_BPF and CAP_PERFMON, on Linux 5.17 or later with BTF"
    if why is None:
        detail = "tables were compared instead of tracing births"
        evidence.gap(Gap(what=what, reason=GapReason.DISABLED, detail=detail, remedy=remedy, probe=NAME))
        return
    gap = gap_of(why, what=what, probe=NAME)
    evidence.gap(
        Gap(what=what, reason=gap.reason, detail=gap.detail, remedy=gap.remedy or remedy, probe=NAME)
    )


PROBE = TraceSnapshots()
