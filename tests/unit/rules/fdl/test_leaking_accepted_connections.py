"""FDL102: connections whose clients have left are found; connected clients are cleared, however idle."""

from __future__ import annotations

from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.model import Severity
from leadline.rules.fdl.leaking_accepted_connections import RULE


def test_clients_that_left_are_found() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "accepted", function="main.(*server).serve", line=33)
    place.all(steady(23, 0.2, 11.7), state="CLOSE_WAIT", local_port=9000, since_ack_s=2.0)
    found = finding(RULE, scene)
    assert found.title.startswith(
        "23 TCP connections accepted at main.(*server).serve (main.go:33) were never closed"
    )
    assert "23 CLOSE_WAIT" in found.explanation
    assert found.related == ("FDL201", "FDL301")


def test_five_fire_and_four_do_not() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "accepted")
    place.all(steady(5, 0.2, 11.7), state="CLOSE_WAIT", since_ack_s=2.0)
    assert finding(RULE, scene).count == 5
    place.lives.pop()
    assert not_judged(RULE, scene)


def test_websockets_that_arrive_all_the_time_are_cleared() -> None:
    scene = Scene(window_s=12.0, nofile_soft=20000)
    scene.place("tcp", "accepted").all(steady(3000, 0.0, 12.0), local_port=8080)
    verdict = cleared(RULE, scene)
    assert verdict.pattern == "live-peers"
    assert "3000 are open and their peers are still connected" in verdict.reason


def test_a_client_that_left_this_moment_is_not_counted() -> None:
    """Boundary: the peer's FIN is unattended only after a second."""
    scene = Scene(window_s=12.0)
    scene.place("tcp", "accepted").all(steady(20, 0.2, 11.7), state="CLOSE_WAIT", since_ack_s=0.999)
    assert cleared(RULE, scene)
    scene = Scene(window_s=12.0)
    scene.place("tcp", "accepted").all(steady(20, 0.2, 11.7), state="CLOSE_WAIT", since_ack_s=1.0)
    assert finding(RULE, scene).count == 20


def test_a_leak_that_ran_into_the_limit_is_critical() -> None:
    """Growth stops when no descriptor is left; that is no plateau."""
    scene = Scene(window_s=12.0, nofile_soft=48)
    scene.place("file", "opened").all([-5.0] * 8)
    scene.place("tcp", "accepted").all(steady(40, 0.0, 4.0), state="CLOSE_WAIT", since_ack_s=3.0)
    found = finding(RULE, scene)
    assert (found.count, found.severity) == (40, Severity.CRITICAL)
    assert "soft limit of 48 descriptors is reached" in found.explanation


def test_handlers_that_close_are_cleared() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "accepted")
    for born_s in steady(200, 0.0, 12.0):
        place.live(born_s, born_s + 0.05)
    assert cleared(RULE, scene).pattern == "churning"


def test_growth_without_socket_states_is_not_judged() -> None:
    assert is_silent_without(RULE)
    scene = Scene(window_s=12.0, has_sockets=False)
    scene.place("tcp", "accepted").all(steady(23, 0.2, 11.7))
    assert not_judged(RULE, scene).missing == "socket states"
