"""One look at the descriptor table."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from leadline.contracts import ProbeInfo, gap_of
from leadline.evidence.kinds import Descriptor, TimelineSample
from leadline.formats.procrows import descriptors_from_table, rows_of_process
from leadline.formats.proctable import descriptors_from_links, kind_counts
from leadline.model import AccessError, Malformed, TargetGone

if TYPE_CHECKING:
    from leadline.contracts import Host
    from leadline.evidence import Evidence

__all__ = ["PROBE", "SnapshotDescriptors", "read_by_iterator"]

NAME = "snapshot_descriptors"


class SnapshotDescriptors:
    """Starts looking at the descriptor table of a process."""

    INFO = ProbeInfo(
        name=NAME,
        kinds=("descriptor", "timeline_sample"),
        capabilities=("CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
        features=("btf", "iter_task_file"),
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
            found = read_by_iterator(self._host, self._pid, now_ns)
            if found is None:
                links = self._host.fd_links(self._pid)
                kinds = self._host.socket_kinds(self._pid, links)
                found = descriptors_from_links(self._pid, links, seen_mono_ns=now_ns, socket_kinds=kinds)
        except AccessError as exc:
            evidence.gap(gap_of(exc, what="the descriptor table", probe=NAME))
            return
        evidence.put_all(Descriptor, found)
        sample = TimelineSample(pid=self._pid, mono_ns=now_ns, alive=len(found), by_kind=kind_counts(found))
        evidence.put(sample)


def read_by_iterator(host: Host, pid: int, now_ns: int) -> list[Descriptor] | None:
    """Return the table by way of the kernel's iterator; None where that is not to be had, and proc must do.

    Raises:
        TargetGone: there is no such process.
    """
    try:
        with host.bpf().load(files(__package__), "table") as program:
            rows = rows_of_process(program.iterate("on_table", "open_file", pid=pid), pid)
    except TargetGone:
        raise
    except (AccessError, Malformed):
        return None
    if not len(rows):  # nothing open, or a zombie: proc tells which
        return None
    return descriptors_from_table(rows, lambda fd: _name(host, pid, fd), pid=pid, seen_mono_ns=now_ns)


def _name(host: Host, pid: int, fd: int) -> str | None:
    try:
        return host.link_proc(f"{pid}/fd/{fd}")
    except AccessError:
        return None


PROBE = SnapshotDescriptors()
