"""Which probes take part, and what happens where BPF is not to be had."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from leadline.app.probes import PROBES, BirthsOrGrowth, census_probes, trace_probes
from leadline.evidence import Evidence
from leadline.host.recorded import RecordedHost
from leadline.model import AccessError, Gap, GapReason, NotPermitted, TargetGone, Unsupported
from leadline.probes.trace_descriptors import TraceDescriptors
from leadline.probes.trace_snapshots import PROBE as TRACE_SNAPSHOTS


class Refused(TraceDescriptors):
    """A tracer that fails to attach."""

    def __init__(self, error: AccessError) -> None:
        super().__init__()
        self._error = error

    def begin(self, *_: object) -> None:  # type: ignore[override]
        raise self._error


def test_every_probe_says_who_it_is() -> None:
    for path in PROBES:
        info = importlib.import_module(path).PROBE.INFO
        assert info.name == path.rpartition(".")[2]
        assert info.kinds
        assert info.stops_target is False


def test_the_descriptor_table_is_read_last() -> None:
    assert [probe.INFO.name for probe in trace_probes(follow=False, uprobes=True)][-1] == "trace_descriptors"
    assert "snapshot_descriptors" in [probe.INFO.name for probe in census_probes()]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotPermitted("EPERM", remedy="root"), GapReason.NOT_PERMITTED),
        (Unsupported("no BTF"), GapReason.UNSUPPORTED),
    ],
)
def test_without_bpf_tables_are_compared_and_a_gap_says_why(
    tmp_path: Path, error: AccessError, reason: GapReason
) -> None:
    (tmp_path / "proc" / "4711" / "fd").mkdir(parents=True)
    (tmp_path / "proc" / "4711" / "stat").write_text("4711 (service) S " + "0 " * 40)
    evidence = Evidence()
    observation = BirthsOrGrowth(Refused(error)).begin(RecordedHost(tmp_path), 4711, evidence)
    (gap,) = [gap for gap in evidence.all(Gap) if gap.probe == "trace_descriptors"]
    assert (gap.reason, gap.detail, gap.remedy) == (reason, error.message, error.remedy)
    assert type(observation) is type(TRACE_SNAPSHOTS.begin(RecordedHost(tmp_path), 4711, Evidence()))


def test_a_target_that_is_gone_is_not_looked_at_again(tmp_path: Path) -> None:
    with pytest.raises(TargetGone):
        BirthsOrGrowth(Refused(TargetGone("ended"))).begin(RecordedHost(tmp_path), 4711, Evidence())
