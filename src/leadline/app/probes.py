"""Which probes take part in what: the only place that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.contracts import ProbeInfo
from leadline.model import NotPermitted, Unsupported
from leadline.probes import snapshot_descriptors, snapshot_netcounters, snapshot_process, snapshot_sockets
from leadline.probes.trace_descriptors import TraceDescriptors
from leadline.probes.trace_panics import TracePanics
from leadline.probes.trace_snapshots import TraceSnapshots

if TYPE_CHECKING:
    from leadline.contracts import Host, Observation, Probe
    from leadline.evidence import Evidence
    from leadline.formats.elfimage import ElfImage

__all__ = ["PROBES", "census_probes", "trace_probes"]

PROBES = (
    "leadline.probes.snapshot_descriptors",
    "leadline.probes.snapshot_netcounters",
    "leadline.probes.snapshot_process",
    "leadline.probes.snapshot_sockets",
    "leadline.probes.trace_descriptors",
    "leadline.probes.trace_panics",
    "leadline.probes.trace_snapshots",
)
"""Every probe's module, by name."""


class BirthsOrGrowth:
    """Traces births and deaths by BPF, or compares tables where BPF is not to be had, and says so."""

    INFO = ProbeInfo(
        name=TraceDescriptors.INFO.name, kinds=TraceDescriptors.INFO.kinds, cost=TraceDescriptors.INFO.cost
    )

    def __init__(self, tracer: TraceDescriptors) -> None:
        self._tracer = tracer

    def begin(self, host: Host, pid: int, evidence: Evidence) -> Observation:
        """Attach by the best means there is."""
        try:
            return self._tracer.begin(host, pid, evidence)
        except (NotPermitted, Unsupported) as error:
            return TraceSnapshots(why=error).begin(host, pid, evidence)


def trace_probes(
    *, follow: bool, uprobes: bool, from_start: bool = False, next_program: ElfImage | None = None
) -> tuple[Probe, ...]:
    """Return the probes of a trace. The descriptor table is read last, so that it has the last word.

    Args:
        follow: children, too.
        uprobes: join goroutines that dial for others to the ones that asked, and count panics.
        from_start: the process has yet to exec the program of interest.
        next_program: its file, None when it is not ELF.
    """
    tracer = TraceDescriptors(
        follow=follow, uprobes=uprobes, from_start=from_start, next_program=next_program
    )
    return (
        snapshot_netcounters.PROBE,
        snapshot_sockets.PROBE,
        snapshot_process.PROBE,
        *((TracePanics(),) if uprobes else ()),
        BirthsOrGrowth(tracer),
    )


def census_probes() -> tuple[Probe, ...]:
    """Return the probes of a single look, which need no rights for one's own processes."""
    return (snapshot_sockets.PROBE, snapshot_descriptors.PROBE, snapshot_process.PROBE)
