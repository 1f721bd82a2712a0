"""Differences of network counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.contracts import ProbeInfo, gap_of
from leadline.evidence.kinds import NetCounter
from leadline.formats.procnet import parse_paired_counters, parse_snmp6, parse_sockstat
from leadline.model import Gap, GapReason, LeadlineError, TargetGone, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadline.contracts import Host
    from leadline.evidence import Evidence

__all__ = ["PROBE", "SnapshotNetCounters"]

NAME = "snapshot_netcounters"

_FILES: tuple[tuple[str, Callable[[bytes], dict[str, int]]], ...] = (
    ("netstat", lambda text: parse_paired_counters(text, source="proc/net/netstat")),
    ("snmp", lambda text: parse_paired_counters(text, source="proc/net/snmp")),
    ("snmp6", parse_snmp6),
    ("sockstat", parse_sockstat),
    ("sockstat6", lambda text: parse_sockstat(text, source="proc/net/sockstat6")),
)


class SnapshotNetCounters:
    """Starts counting in the network namespace of a process."""

    INFO = ProbeInfo(name=NAME, kinds=("net_counter",))

    def begin(self, host: Host, pid: int, evidence: Evidence) -> NetCountersObservation:
        """Read the counters for the first time."""
        return NetCountersObservation(host, pid, evidence)


class NetCountersObservation:
    """Reads at the beginning, at each tick and at the end.

    The counters of a process that ends can no longer be read, so the last ones that could be are kept.
    """

    def __init__(self, host: Host, pid: int, evidence: Evidence) -> None:
        self._host = host
        self._pid = pid
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._read(evidence)
        self._first = self._last

    def tick(self) -> None:
        """Read again."""
        self._read(None)

    def finish(self, evidence: Evidence) -> None:
        """Put each counter with its first and last value, in the kernel's order."""
        if self._first and not self._read(None):
            evidence.gap(
                Gap(
                    what="network counters at the end of the window",
                    reason=GapReason.TARGET_GONE,
                    detail="the process ended; the last values before that are taken",
                    probe=NAME,
                )
            )
        if self._first:
            counters = [
                NetCounter(name=name, begin=begin, end=self._last[name])
                for name, begin in self._first.items()
                if name in self._last
            ]
            evidence.put_all(NetCounter, counters)

    def _read(self, evidence: Evidence | None) -> bool:
        """Read all files; keep the values only when the process was there to the end."""
        values: dict[str, int] = {}
        for name, parse in _FILES:
            try:
                values |= parse(self._host.read_proc(f"{self._pid}/net/{name}"))
            except Unsupported:  # no IPv6 in this kernel
                continue
            except LeadlineError as exc:
                if evidence is not None:
                    evidence.gap(gap_of(exc, what=f"network counters ({name})", probe=NAME))
                if isinstance(exc, TargetGone):
                    return False
        self._last = values
        return bool(values)


PROBE = SnapshotNetCounters()
