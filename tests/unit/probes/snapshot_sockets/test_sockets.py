"""Socket states joined with the target's descriptors."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.evidence import Evidence
from leadline.evidence.kinds import SocketState
from leadline.model import Gap, GapReason
from leadline.probes.snapshot_sockets import PROBE
from recorded_machines import Machine
from socket_dumps import CLOSE_WAIT, ESTABLISHED, LISTEN, inet, message, unix


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    fds = {fd: f"socket:[{500 + fd}]" for fd in range(3, 26)} | {30: "socket:[900]", 31: "pipe:[7]"}
    machine.process(41, "api", fds=fds)
    machine.sockets(*(inet(500 + fd, CLOSE_WAIT) for fd in range(3, 26)), inet(77), inet(0, 6))
    machine.sockets(inet(900, LISTEN, family=10, target=b"", ports=(80, 0)), family=10)
    machine.sockets(protocol=17)
    machine.sockets(protocol=17, family=10)
    machine.sockets(unix(901, ESTABLISHED), family=1, protocol=0)
    return machine


def test_every_socket_of_the_target_and_no_other(machine: Machine) -> None:
    evidence = Evidence()
    PROBE.begin(machine.host(), 41, evidence).finish(evidence)
    for when in ("begin", "end"):
        states = [record.state for record in evidence.all(SocketState) if record.when == when]
        assert (states.count("CLOSE_WAIT"), states.count("LISTEN"), len(states)) == (23, 1, 24)
    assert evidence.get(Gap) is None


def test_a_target_without_sockets_was_observed_to_have_none(machine: Machine) -> None:
    machine.process(42, "batch", fds={0: "/dev/null"})
    evidence = Evidence()
    PROBE.begin(machine.host(), 42, evidence).finish(evidence)
    assert evidence.get(SocketState) == ()


def test_what_changes_in_between_differs_between_begin_and_end(machine: Machine) -> None:
    evidence = Evidence()
    observation = PROBE.begin(machine.host(), 41, evidence)
    observation.tick()
    machine.close(41, 3, 4)
    observation.finish(evidence)
    counts = [sum(record.when == when for record in evidence.all(SocketState)) for when in ("begin", "end")]
    assert counts == [24, 22]


def test_a_target_that_ends_leaves_a_gap(machine: Machine) -> None:
    evidence = Evidence()
    observation = PROBE.begin(machine.host(), 41, evidence)
    machine.end(41)
    observation.finish(evidence)
    assert [gap.reason for gap in evidence.all(Gap)] == [GapReason.TARGET_GONE]
    assert {record.when for record in evidence.all(SocketState)} == {"begin"}


def test_a_missing_diag_module_costs_only_its_own_sockets(machine: Machine) -> None:
    (machine.folder / "netlink" / "4026531840-1-0.bin").unlink()
    evidence = Evidence()
    PROBE.begin(machine.host(), 41, evidence)
    assert [(gap.what, gap.reason) for gap in evidence.all(Gap)] == [
        ("states of unix sockets at the begin of the window", GapReason.UNSUPPORTED)
    ]
    assert len(evidence.all(SocketState)) == 24


@pytest.mark.parametrize("flaw", ["interrupted", "error", "malformed"])
def test_a_flawed_dump_says_so_and_keeps_what_is_good(machine: Machine, flaw: str) -> None:
    whole = inet(503, CLOSE_WAIT)
    dumps = {
        "interrupted": whole[:6] + b"\x12\0" + whole[8:],
        "error": whole + message((-12 & 0xFFFFFFFF).to_bytes(4, "little"), kind=2),
        "malformed": whole + b"\x08\0\0\0" + bytes(12),
    }
    machine.write("netlink/4026531840-2-6.bin", dumps[flaw])
    machine.sockets(family=10)
    evidence = Evidence()
    PROBE.begin(machine.host(), 41, evidence)
    gap = evidence.all(Gap)[0]
    assert gap.reason is (GapReason.MALFORMED if flaw == "malformed" else GapReason.OVERRUN)
    assert len(evidence.all(SocketState)) == (0 if flaw == "malformed" else 1)
