"""Which probes take part in what: the only place that names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.contracts import ProbeInfo
from leadline.model import NotPermitted, Unsupported
from leadline.probes import snapshot_descriptors, snapshot_netcounters, snapshot_process, snapshot_sockets
from leadline.probes.snapshot_runtime import DEFAULT_CAP_BYTES, SnapshotRuntime
from leadline.probes.trace_descriptors import TraceDescriptors
from leadline.probes.trace_panics import TracePanics
from leadline.probes.trace_snapshots import TraceSnapshots

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadline.contracts import Host, Observation, Probe
    from leadline.evidence import Evidence
    from leadline.formats.elfimage import ElfImage

__all__ = ["PROBES", "HeapSearch", "census_probes", "runtime_probes", "trace_probes"]

PROBES = (
    "leadline.probes.snapshot_descriptors",
    "leadline.probes.snapshot_netcounters",
    "leadline.probes.snapshot_process",
    "leadline.probes.snapshot_runtime",
    "leadline.probes.snapshot_sockets",
    "leadline.probes.trace_descriptors",
    "leadline.probes.trace_panics",
    "leadline.probes.trace_snapshots",
)
"""Every probe's module, by name."""


@dataclass(frozen=True, slots=True)
class HeapSearch:
    """When the heap is searched for what keeps connections reachable.

    Attributes:
        when: ``never``, ``when-needed`` (some socket has no goroutine), ``always``.
        limit_bytes: most memory of the target that a search may read.
        progress: told how much was searched, 0.0 to 1.0.
    """

    when: str = "when-needed"
    limit_bytes: int = DEFAULT_CAP_BYTES
    progress: Callable[[float], None] | None = None

    def probe(self, *, is_single: bool = False) -> Probe:
        """Return the probe of the Go runtime that searches so; a single look says nothing about what moved."""
        return SnapshotRuntime(
            heap=self.when, cap_bytes=self.limit_bytes, progress=self.progress, is_single=is_single
        )


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
    *,
    follow: bool,
    uprobes: bool,
    from_start: bool = False,
    next_program: ElfImage | None = None,
    runtime: HeapSearch | None = None,
) -> tuple[Probe, ...]:
    """Return the probes of a trace. The descriptor table is read last, so that it has the last word, directly after the sockets.

    Args:
        follow: children, too.
        uprobes: join goroutines that dial for others to the ones that asked, and count panics.
        from_start: the process has yet to exec the program of interest.
        next_program: its file, None when it is not ELF.
        runtime: read the Go runtime too, and search its heap so; None leaves it out.
    """
    tracer = TraceDescriptors(
        follow=follow, uprobes=uprobes, from_start=from_start, next_program=next_program
    )
    return (
        *((runtime.probe(),) if runtime is not None else ()),
        *((TracePanics(),) if uprobes else ()),
        snapshot_netcounters.PROBE,
        snapshot_process.PROBE,
        snapshot_sockets.PROBE,
        BirthsOrGrowth(tracer),
    )


def runtime_probes(search: HeapSearch, *, is_single: bool) -> tuple[Probe, ...]:
    """Return the probes of one or two looks at a Go program's goroutines and connections."""
    return (
        search.probe(is_single=is_single),
        snapshot_sockets.PROBE,
        snapshot_process.PROBE,
        snapshot_descriptors.PROBE,
    )


def census_probes() -> tuple[Probe, ...]:
    """Return the probes of a single look, which need no rights for one's own processes."""
    return (snapshot_sockets.PROBE, snapshot_descriptors.PROBE, snapshot_process.PROBE)
