"""Births where BPF is to be had, growth where it is not; and what that costs the reader is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from leadline.app.probes import (
    PROBES,
    BirthsOrGrowth,
    HeapSearch,
    census_probes,
    runtime_probes,
    trace_probes,
)
from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor
from leadline.model import Gap, GapReason, NotPermitted, TargetGone, Unsupported
from recorded_machines import Machine

if TYPE_CHECKING:
    from leadline.contracts import Host
    from leadline.probes.trace_descriptors import TraceDescriptors


class Refusing:
    """A tracer that cannot begin."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def begin(self, host: Host, pid: int, evidence: Evidence) -> Any:
        raise self.error


class Working:
    """A tracer that can."""

    def begin(self, host: Host, pid: int, evidence: Evidence) -> Any:
        return self


def births_or_growth(tracer: object) -> BirthsOrGrowth:
    return BirthsOrGrowth(cast("TraceDescriptors", tracer))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotPermitted("BPF_PROG_LOAD: EPERM", remedy="run as root"), GapReason.NOT_PERMITTED),
        (Unsupported("no BTF", remedy="needs Linux 5.17 or newer with BTF"), GapReason.UNSUPPORTED),
    ],
)
def test_without_bpf_tables_are_compared_and_the_loss_is_told(
    tmp_path: Path, error: NotPermitted | Unsupported, reason: GapReason
) -> None:
    machine = Machine(tmp_path)
    machine.process(4711, "service", fds={0: "/dev/null", 3: "pipe:[900]"})
    evidence = Evidence()
    observation = births_or_growth(Refusing(error)).begin(machine.host(), 4711, evidence)
    assert getattr(observation, "mode", None) == "snapshots"
    observation.finish(evidence)
    (gap,) = [gap for gap in evidence.all(Gap) if gap.reason is reason]
    assert error.message in gap.detail
    assert gap.remedy
    assert sorted(one.fd for one in evidence.all(Descriptor)) == [0, 3]


def test_a_recording_of_another_machine_has_no_bpf(tmp_path: Path) -> None:
    """The real tracer, on a host that cannot: no fake says what it raises."""
    machine = Machine(tmp_path)
    machine.process(4711, "service", fds={0: "/dev/null"})
    evidence = Evidence()
    (tracer,) = (
        probe for probe in trace_probes(follow=False, uprobes=True) if isinstance(probe, BirthsOrGrowth)
    )
    observation = tracer.begin(machine.host(), 4711, evidence)
    assert getattr(observation, "mode", None) == "snapshots"
    assert any(gap.reason is GapReason.UNSUPPORTED for gap in evidence.all(Gap))


def test_where_bpf_works_nothing_is_missing() -> None:
    evidence = Evidence()
    observation = births_or_growth(Working()).begin(cast("Host", None), 4711, evidence)
    assert type(observation).__name__ == "Working"
    assert evidence.get(Gap) is None


def test_a_target_that_is_gone_is_not_taken_for_a_missing_right() -> None:
    with pytest.raises(TargetGone):
        births_or_growth(Refusing(TargetGone("gone"))).begin(cast("Host", None), 4711, Evidence())


def test_the_descriptor_table_is_read_last_in_a_trace() -> None:
    """Nothing may be reported that the final table does not hold, so the table has the last word."""
    names = [probe.INFO.name for probe in trace_probes(follow=True, uprobes=False)]
    assert names[-2:] == ["snapshot_sockets", "trace_descriptors"], "sockets belong to the same moment"
    assert len(names) == len(set(names))


def test_a_census_needs_nothing_that_traces() -> None:
    names = {probe.INFO.name for probe in census_probes()}
    assert names == {"snapshot_sockets", "snapshot_descriptors", "snapshot_process"}


def test_every_probe_that_takes_part_is_in_the_list() -> None:
    traced = trace_probes(follow=False, uprobes=True, runtime=HeapSearch())
    names = {probe.INFO.name for probe in (*traced, *census_probes())}
    assert names | {"trace_snapshots"} == {path.rpartition(".")[2] for path in PROBES}


def test_single_looks_read_the_runtime_first_and_the_descriptors_last() -> None:
    names = [probe.INFO.name for probe in runtime_probes(HeapSearch("never"), is_single=True)]
    assert names[0] == "snapshot_runtime"
    assert names[-1] == "snapshot_descriptors"


def test_the_runtime_is_left_alone_unless_it_is_asked_for() -> None:
    names = {probe.INFO.name for probe in trace_probes(follow=False, uprobes=True)}
    assert "snapshot_runtime" not in names
