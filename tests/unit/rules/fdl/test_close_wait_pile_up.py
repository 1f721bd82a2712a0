"""FDL201: sockets in CLOSE_WAIT that nobody attends to."""

from __future__ import annotations

import msgspec

from evidence_builders import Scene
from judging import cleared, finding, is_silent_without, verdicts
from leadline.evidence.kinds import Listener, SocketState
from leadline.model import Severity
from leadline.rules.fdl.close_wait_pile_up import HIGH_COUNT, RULE

LISTENERS = (Listener(inode=1, address="10.0.0.1", port=9000),)


def pile(count: int, *, since_ack_s: float = 2.0, born_s: float = -60.0, soft: int | None = 20000) -> Scene:
    scene = Scene(window_s=12.0, listeners=LISTENERS, nofile_soft=soft)
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all([born_s] * count, state="CLOSE_WAIT", local_port=9000, since_ack_s=since_ack_s)
    return scene


def test_five_fire_and_four_do_not() -> None:
    found = finding(RULE, pile(5))
    assert (
        found.title == "5 connections (accepted on port 9000) were closed by the peer and not by this process"
    )
    assert found.severity is Severity.MEDIUM
    assert "only 4" in cleared(RULE, pile(4)).reason


def test_two_seconds_fire_and_less_does_not() -> None:
    assert finding(RULE, pile(23, since_ack_s=2.0)).count == 23
    assert cleared(RULE, pile(23, since_ack_s=1.999))


def test_a_hundred_are_high_and_so_is_a_tenth_of_the_limit() -> None:
    assert finding(RULE, pile(HIGH_COUNT)).severity is Severity.HIGH
    assert finding(RULE, pile(HIGH_COUNT - 1)).severity is Severity.MEDIUM
    assert finding(RULE, pile(13, soft=130)).severity is Severity.HIGH
    assert finding(RULE, pile(13, soft=None)).severity is Severity.MEDIUM


def test_the_birthplace_is_named_where_it_is_known() -> None:
    found = finding(RULE, pile(23, born_s=1.0))
    assert [(site.function, site.line) for site in found.sites] == [("main.serve", 42)]
    assert finding(RULE, pile(23)).sites == ()


def test_where_the_kernel_does_not_tell_the_wait_age_stands_for_it() -> None:
    def untold(born_s: float) -> list[SocketState]:
        evidence = pile(23, born_s=born_s).evidence()
        sockets = [
            msgspec.structs.replace(socket, last_ack_recv_ms=None) for socket in evidence.all(SocketState)
        ]
        evidence._records[SocketState] = list(sockets)
        return verdicts(RULE, evidence)  # type: ignore[return-value]

    assert type(untold(7.0)[0]).__name__ == "Finding"
    assert type(untold(7.1)[0]).__name__ == "Cleared"


def test_a_socket_that_waited_at_the_beginning_counts_at_once() -> None:
    evidence = pile(5, since_ack_s=0.5).evidence()
    for socket in evidence.all(SocketState):
        evidence.put(msgspec.structs.replace(socket, when="begin"))
    assert finding(RULE, evidence).count == 5


def test_established_connections_are_cleared() -> None:
    scene = Scene(listeners=LISTENERS)
    scene.place("tcp", "accepted").all([-5.0] * 50, local_port=9000)
    assert cleared(RULE, scene).count == 0


def test_not_judged_without_sockets() -> None:
    assert is_silent_without(RULE)
