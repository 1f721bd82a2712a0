"""One look at the descriptor table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.contracts import ProbeInfo, gap_of
from leadline.evidence.kinds import Descriptor, TimelineSample
from leadline.formats.proctable import descriptors_from_links, kind_counts
from leadline.model import AccessError

if TYPE_CHECKING:
    from leadline.contracts import Host
    from leadline.evidence import Evidence

__all__ = ["PROBE", "SnapshotDescriptors"]

NAME = "snapshot_descriptors"


class SnapshotDescriptors:
    """Starts looking at the descriptor table of a process."""

    INFO = ProbeInfo(
        name=NAME,
        kinds=("descriptor", "timeline_sample"),
        capabilities=("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
    )

    def begin(self, host: Host, pid: int, evidence: Evidence) -> DescriptorsObservation:  # noqa: ARG002  as in the contract
        """Return the observation; the table is read when it ends."""
        return DescriptorsObservation(host, pid)


class DescriptorsObservation:
    """Reads the table at the end, so that it is the final one."""

    def __init__(self, host: Host, pid: int) -> None:
        self._host = host
        self._pid = pid

    def tick(self) -> None:
        """Do nothing: one look suffices."""

    def finish(self, evidence: Evidence) -> None:
        """Put the descriptor table as it is now."""
        now_ns = self._host.clock.mono_ns()
        try:
            links = self._host.fd_links(self._pid)
            socket_kinds = self._host.socket_kinds(self._pid, links)
        except AccessError as exc:
            evidence.gap(gap_of(exc, what="the descriptor table", probe=NAME))
            return
        found = descriptors_from_links(self._pid, links, seen_mono_ns=now_ns, socket_kinds=socket_kinds)
        evidence.put_all(Descriptor, found)
        sample = TimelineSample(pid=self._pid, mono_ns=now_ns, alive=len(found), by_kind=kind_counts(found))
        evidence.put(sample)


PROBE = SnapshotDescriptors()
