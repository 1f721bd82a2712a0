"""Socket dumps joined with the target's descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.contracts import ProbeInfo, gap_of
from leadline.evidence.kinds import SocketState
from leadline.formats.procfd import socket_inodes
from leadline.formats.sockdiag import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    ALL_STATES,
    ANY_FAMILY,
    INET_EXTENSIONS,
    UNIX_SHOW,
    SocketTable,
    decode_dump,
)
from leadline.model import AccessError, Gap, GapReason, LeadlineError, TargetGone

if TYPE_CHECKING:
    from leadline.contracts import Host
    from leadline.evidence import Evidence

__all__ = ["PROBE", "SnapshotSockets"]

NAME = "snapshot_sockets"
_TCP, _UDP = 6, 17
_WITHOUT_DESCRIPTOR = (
    1 << 6 | 1 << 3 | 1 << 12
)  # TIME_WAIT, SYN_RECV, NEW_SYN_RECV: nobody's, so not asked for
_DUMPS = (
    ("tcp", ANY_FAMILY, _TCP, ALL_STATES & ~_WITHOUT_DESCRIPTOR, INET_EXTENSIONS),
    ("udp", AF_INET, _UDP, ALL_STATES, INET_EXTENSIONS),
    ("udp", AF_INET6, _UDP, ALL_STATES, INET_EXTENSIONS),
    ("unix", AF_UNIX, 0, ALL_STATES, UNIX_SHOW),
)
_FAMILY_NAMES = {ANY_FAMILY: "", AF_UNIX: "", AF_INET: "IPv4 ", AF_INET6: "IPv6 "}
_ATTEMPTS = 2


class SnapshotSockets:
    """Starts looking at the sockets of a process."""

    INFO = ProbeInfo(
        name=NAME,
        kinds=("socket_state",),
        capabilities=("CAP_SYS_ADMIN", "CAP_SYS_PTRACE"),
        features=("sock_diag_tcp", "sock_diag_udp", "sock_diag_unix"),
    )

    def begin(self, host: Host, pid: int, evidence: Evidence) -> SocketsObservation:
        """Look for the first time."""
        observation = SocketsObservation(host, pid)
        observation.look(evidence, "begin")
        return observation


class SocketsObservation:
    """Looks at the beginning and at the end."""

    def __init__(self, host: Host, pid: int) -> None:
        self._host = host
        self._pid = pid

    def tick(self) -> None:
        """Do nothing: two looks suffice."""

    def finish(self, evidence: Evidence) -> None:
        """Look for the last time."""
        self.look(evidence, "end")

    def look(self, evidence: Evidence, when: str) -> None:
        """Put the state of every socket of the target as it is now."""
        try:
            links = self._host.fd_links(self._pid)
        except AccessError as exc:
            evidence.gap(gap_of(exc, what=f"socket states at the {when} of the window", probe=NAME))
            return
        inodes = socket_inodes(link.name for link in links)
        is_seen = False
        for protocol, family, number, states, extensions in _DUMPS:
            what = f"states of {_FAMILY_NAMES[family]}{protocol} sockets at the {when} of the window"
            try:
                table = self._dump(protocol, family, number, states, extensions)
                records = table.of_inodes(inodes).records(when) if inodes else []
            except LeadlineError as exc:
                evidence.gap(gap_of(exc, what=what, probe=NAME))
                if isinstance(exc, TargetGone):
                    break
                continue
            is_seen = True
            evidence.put_all(SocketState, records)
            _note_quality(evidence, table, what)
        if is_seen:
            evidence.put_all(SocketState, ())

    def _dump(self, protocol: str, family: int, number: int, states: int, extensions: int) -> SocketTable:
        """Return one table; a dump that the kernel calls inconsistent is asked for once more."""
        for _ in range(_ATTEMPTS):
            table = decode_dump(self._host.sock_diag(self._pid, family, number, states, extensions), protocol)
            if not table.is_interrupted:
                break
        return table


def _note_quality(evidence: Evidence, table: SocketTable, what: str) -> None:
    if table.error_raw is not None:
        detail = f"the kernel ended the dump with errno {table.error_raw} after {len(table)} sockets"
        evidence.gap(Gap(what=what, reason=GapReason.OVERRUN, detail=detail, probe=NAME))
    elif table.is_interrupted:
        detail = "sockets changed so fast that rows may be missing or double"
        evidence.gap(Gap(what=what, reason=GapReason.OVERRUN, detail=detail, remedy="look again", probe=NAME))


PROBE = SnapshotSockets()
