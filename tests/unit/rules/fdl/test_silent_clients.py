"""FDL202: clients that never asked for anything; never websockets, keep-alive connections or long polls."""

from __future__ import annotations

import msgspec
import pytest

from evidence_builders import Scene
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import Listener, SocketState
from leadline.model import Severity
from leadline.rules.fdl.silent_clients import MAX_RECEIVED_BYTES, RULE

LISTENERS = (Listener(inode=1, address="10.0.0.1", port=8080),)


def clients(
    count: int, *, silent_s: float = 30.0, received: int = 0, sent: int = 0, soft: int | None = 20000
) -> Scene:
    scene = Scene(window_s=12.0, listeners=LISTENERS, nofile_soft=soft)
    place = scene.place("tcp", "accepted")
    place.all([-60.0] * count, local_port=8080, last_data_s=12.0 - silent_s, received=received, sent=sent)
    return scene


def test_ten_fire_and_nine_do_not() -> None:
    found = finding(RULE, clients(10))
    assert found.title == "10 clients on port 8080 hold a connection and have never asked for anything"
    assert found.severity is Severity.LOW
    assert found.against
    assert "9 have never asked" in cleared(RULE, clients(9)).reason


def test_twenty_are_medium_or_a_tenth_of_the_limit_and_never_more() -> None:
    assert finding(RULE, clients(19)).severity is Severity.LOW
    assert finding(RULE, clients(20)).severity is Severity.MEDIUM
    assert finding(RULE, clients(10, soft=100)).severity is Severity.MEDIUM
    assert finding(RULE, clients(900)).severity is Severity.MEDIUM


def test_ten_seconds_fire_and_less_does_not() -> None:
    assert finding(RULE, clients(23, silent_s=10.0))
    assert cleared(RULE, clients(23, silent_s=9.999))


def test_half_a_request_line_is_silent_and_a_request_is_not() -> None:
    assert finding(RULE, clients(23, received=MAX_RECEIVED_BYTES))
    assert cleared(RULE, clients(23, received=MAX_RECEIVED_BYTES + 1)).pattern == "idle-but-answered"


@pytest.mark.parametrize(("received", "sent"), [(200, 129), (8, 2), (90, 0)])
def test_ten_thousand_idle_websockets_and_long_polls_are_cleared(received: int, sent: int) -> None:
    verdict = cleared(RULE, clients(10_000, silent_s=600, received=received, sent=sent))
    assert "10000 are idle" in verdict.reason


def test_the_accepting_line_is_named_where_it_is_known() -> None:
    scene = Scene(window_s=30.0, listeners=LISTENERS)
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all([1.0] * 23, local_port=8080, received=8, sent=0)
    assert [(site.function, site.line) for site in finding(RULE, scene).sites] == [("main.serve", 42)]
    assert finding(RULE, clients(10)).sites == ()


def test_dialed_connections_are_none_of_its_business() -> None:
    scene = Scene(window_s=12.0, listeners=LISTENERS)
    scene.place("tcp", "dialed").all([-60.0] * 50, received=0, sent=0)
    assert cleared(RULE, scene).count == 0


def test_a_kernel_that_does_not_tell_gives_not_judged() -> None:
    evidence = clients(10).evidence()
    evidence._records[SocketState] = [
        msgspec.structs.replace(socket, bytes_received=None) for socket in evidence.all(SocketState)
    ]
    assert "tcp_info" in not_judged(RULE, evidence).missing
    assert is_silent_without(RULE)
