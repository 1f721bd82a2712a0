"""Counters of the target's network namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.evidence import Evidence
from leadline.evidence.kinds import NetCounter
from leadline.model import Gap, GapReason
from leadline.probes.snapshot_netcounters import PROBE
from recorded_machines import Machine


def count(machine: Machine, overflows: int, used: int) -> None:
    machine.write(
        "proc/41/net/netstat", f"TcpExt: ListenOverflows ListenDrops\nTcpExt: {overflows} {overflows}\n"
    )
    machine.write("proc/41/net/snmp", "Tcp: MaxConn AttemptFails\nTcp: -1 7\n")
    machine.write("proc/41/net/sockstat", f"sockets: used {used}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.process(41, "api")
    count(machine, 5, 100)
    return machine


def values(evidence: Evidence) -> dict[str, tuple[int, int]]:
    return {counter.name: (counter.begin, counter.end) for counter in evidence.all(NetCounter)}


def test_each_counter_has_its_first_and_its_last_value(machine: Machine) -> None:
    evidence = Evidence()
    observation = PROBE.begin(machine.host(), 41, evidence)
    count(machine, 28, 90)
    observation.tick()
    observation.finish(evidence)
    assert values(evidence) == {
        "TcpExt.ListenOverflows": (5, 28), "TcpExt.ListenDrops": (5, 28),
        "Tcp.MaxConn": (-1, -1), "Tcp.AttemptFails": (7, 7), "sockets.used": (100, 90),
    }  # fmt: skip
    assert evidence.get(Gap) is None  # a kernel without IPv6 is nothing to report


def test_of_a_process_that_ends_the_last_values_that_could_be_read_are_kept(machine: Machine) -> None:
    evidence = Evidence()
    observation = PROBE.begin(machine.host(), 41, evidence)
    count(machine, 28, 90)
    observation.tick()
    machine.end(41)
    observation.finish(evidence)
    assert values(evidence)["TcpExt.ListenOverflows"] == (5, 28)
    assert [gap.reason for gap in evidence.all(Gap)] == [GapReason.TARGET_GONE]


def test_a_damaged_file_leaves_a_gap_and_the_others(machine: Machine) -> None:
    machine.write("proc/41/net/snmp", "Tcp: A B\nTcp: 1\n")
    evidence = Evidence()
    PROBE.begin(machine.host(), 41, evidence).finish(evidence)
    assert [(gap.what, gap.reason) for gap in evidence.all(Gap)] == [
        ("network counters (snmp)", GapReason.MALFORMED)
    ]
    assert set(values(evidence)) == {"TcpExt.ListenOverflows", "TcpExt.ListenDrops", "sockets.used"}


def test_a_process_that_was_never_there_was_not_observed(machine: Machine) -> None:
    evidence = Evidence()
    PROBE.begin(machine.host(), 99, evidence).finish(evidence)
    assert evidence.get(NetCounter) is None
    assert [gap.reason for gap in evidence.all(Gap)] == [GapReason.TARGET_GONE]
