"""The descriptor table, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, Origin, TimelineSample
from leadline.evidence.kinds import DescriptorKind as Kind
from leadline.model import Gap, GapReason
from leadline.probes.snapshot_descriptors import PROBE
from recorded_machines import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.process(
        41,
        "api",
        fds={0: "/dev/null", 3: "socket:[9]", 4: "socket:[9]", 10: "anon_inode:[eventpoll]", 5: "socket:[8]"},
    )
    machine.protocols(41, {3: "TCPv6", 4: "TCPv6"})
    return machine


def test_the_table_of_the_end_is_put(machine: Machine) -> None:
    evidence = Evidence()
    host = machine.host()
    observation = PROBE.begin(host, 41, evidence)
    observation.tick()
    machine.link("proc/41/fd/11", "pipe:[3]")
    host.clock.advance(7)
    observation.finish(evidence)
    found = evidence.all(Descriptor)
    assert [(one.fd, one.kind) for one in found] == [
        (0, Kind.DEVICE), (3, Kind.TCP), (4, Kind.TCP), (5, Kind.SOCKET), (10, Kind.EVENTPOLL), (11, Kind.PIPE),
    ]  # fmt: skip
    assert {(one.origin, one.seen_since_mono_ns) for one in found} == {(Origin.BEFORE, host.clock.mono_ns())}
    sample = evidence.first(TimelineSample)
    assert sample is not None
    assert (sample.alive, sample.by_kind["tcp"], sample.births) == (6, 2, None)


def test_a_target_that_ends_leaves_a_gap(machine: Machine) -> None:
    evidence = Evidence()
    observation = PROBE.begin(machine.host(), 41, evidence)
    machine.end(41)
    observation.finish(evidence)
    assert [gap.reason for gap in evidence.all(Gap)] == [GapReason.TARGET_GONE]
    assert evidence.get(Descriptor) is None


def test_an_empty_table_was_observed_to_be_empty(machine: Machine) -> None:
    machine.process(42, "empty")
    evidence = Evidence()
    PROBE.begin(machine.host(), 42, evidence).finish(evidence)
    assert evidence.get(Descriptor) == ()
