"""FDL101: connections that nobody can use any more are found; those in use are cleared."""

from __future__ import annotations

import pytest

from evidence_builders import HTTP_DIAL, Place, Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import SocketState
from leadline.model import Severity
from leadline.rules.fdl.leaking_dialed_connections import RULE


def http(scene: Scene) -> Place:
    return scene.place("tcp", "dialed", function="main.refresh", below=HTTP_DIAL)


def test_forgotten_bodies_are_found() -> None:
    scene = Scene(window_s=12.0)
    http(scene).all(steady(23, 0.2, 11.7))
    found = finding(RULE, scene)
    assert (
        found.title
        == "23 TCP connections dialed at main.refresh (main.go:42) were never closed; 1.9 more each second"
    )
    assert (found.count, found.kind, found.severity) == (23, "tcp", Severity.CRITICAL)
    assert found.confidence > 0.9
    assert "resp.Body.Close()" in found.remedy
    assert "23 ESTABLISHED" in found.explanation
    assert "the soft limit is reached in 8 min" in found.explanation
    assert [(site.function, site.line, site.role) for site in found.sites] == [
        ("main.refresh", 42, "acquired")
    ]
    assert {because.evidence.partition(":")[0] for because in found.because} == {"birthplace", "socket"}
    assert "leadline diff" in found.verify


def test_five_fire_and_four_do_not() -> None:
    scene = Scene(window_s=12.0)
    place = http(scene)
    place.all(steady(5, 0.2, 11.7))
    assert finding(RULE, scene).count == 5
    place.lives.pop()
    assert not_judged(RULE, scene).missing


def test_a_pool_in_use_is_cleared() -> None:
    """Dialed one by one, all busy to the end."""
    scene = Scene(window_s=12.0)
    http(scene).all(steady(23, 0.2, 11.7), last_data_s=11.9)
    verdict = cleared(RULE, scene)
    assert verdict.pattern == "in-use"
    assert "23 are open and in use" in verdict.reason


def test_a_full_pool_is_a_plateau() -> None:
    scene = Scene(window_s=12.0)
    place = http(scene)
    for born_s in steady(40, 0.0, 3.0):
        place.live(born_s, last_data_s=3.0 + born_s)
    assert cleared(RULE, scene).pattern == "plateau"


def test_idle_connections_without_a_later_dial_are_in_the_pool() -> None:
    """A burst leaves them idle; none is dialed while they are: nothing is proven."""
    scene = Scene(window_s=12.0)
    http(scene).all([2.0 + 0.01 * index for index in range(30)], last_data_s=2.6)
    assert cleared(RULE, scene).pattern == "plateau"


def test_connections_lost_by_a_busy_pool_count_those_from_before_too() -> None:
    """The pool had 10; every second one is lost and one is dialed in its place."""
    scene = Scene(window_s=12.0)
    place = http(scene)
    for index in range(10):
        place.live(-20.0, last_data_s=0.5 + index)
    for index in range(10):
        place.live(0.6 + index, last_data_s=11.95)
    found = finding(RULE, scene)
    assert found.count == 9, "the last one to fall silent has no later dial"
    assert any("9 of them were dialed before tracing began" in because.says for because in found.because)


def test_what_was_lost_before_the_window_is_shown_as_old() -> None:
    scene = Scene(window_s=12.0)
    place = http(scene)
    place.all([-100.0 + index / 4 for index in range(200)])
    place.all(steady(23, 0.2, 11.7))
    found = finding(RULE, scene)
    assert found.count == 23
    assert (
        "200 older descriptors look the same and were open before tracing began: same peer 10.0.0.9:8080, state ESTABLISHED."
        in found.explanation
    )


def test_raw_connections_without_a_close_are_found_and_used_ones_are_not_counted() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed", function="main.reconnect")
    place.all(steady(23, 0.2, 11.7))
    place.all([0.5, 1.0, 1.5], last_data_s=11.9)
    found = finding(RULE, scene)
    assert found.count == 23
    assert "defer conn.Close()" in found.remedy
    assert any("3 others" in doubt.says for doubt in found.against)


def test_a_raw_connection_is_in_use_until_it_is_silent_for_half_its_life() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed")
    place.all(steady(10, 0.0, 6.0), last_data_s=9.1)
    assert cleared(RULE, scene).pattern in {"in-use", "plateau"}
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed")
    for born_s in steady(10, 0.0, 12.0):
        place.live(born_s, last_data_s=born_s + (12.0 - born_s) * 0.49)
    assert finding(RULE, scene).count == 10


def test_dials_under_way_are_not_leaks() -> None:
    scene = Scene(window_s=12.0)
    scene.place("tcp", "dialed").all(steady(23, 0.2, 11.7), state="SYN_SENT")
    assert cleared(RULE, scene)


def test_requests_that_wait_are_not_decided_until_30_s_and_then_found() -> None:
    scene = Scene(window_s=20.0)
    http(scene).all(steady(20, 0.2, 20.0), received=0)
    assert "wait for its first byte" in not_judged(RULE, scene).missing
    scene = Scene(window_s=40.0)
    http(scene).all(steady(40, 0.2, 40.0), received=0)
    assert "http.Client.Timeout" in finding(RULE, scene).remedy


def test_connections_closed_by_the_peer_are_found_without_growth() -> None:
    """All in the beginning, five seconds old: no pool holds connections that the peer has closed."""
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed")
    place.all(steady(5, 0.0, 1.0), state="CLOSE_WAIT")
    found = finding(RULE, scene)
    assert found.severity is Severity.MEDIUM
    assert found.rate_per_s is None
    place.lives.pop()
    assert cleared(RULE, scene).pattern == "long-lived"


def test_without_socket_states_a_pool_needs_twelve() -> None:
    scene = Scene(window_s=12.0, has_sockets=False)
    place = http(scene)
    place.all(steady(12, 0.2, 11.7))
    assert finding(RULE, scene).count == 12
    place.lives.pop()
    assert not_judged(RULE, scene)


def test_a_database_pool_says_rows_close() -> None:
    scene = Scene(window_s=12.0)
    below = ("net.(*Dialer).DialContext", "database/sql.(*DB).conn", "database/sql.(*DB).Query")
    scene.place("tcp", "dialed", below=below).all(steady(23, 0.2, 11.7))
    assert "rows.Close" in finding(RULE, scene).remedy


@pytest.mark.parametrize(("alive", "pattern"), [(0, "churning"), (1, "in-use")])
def test_churn_is_cleared(alive: int, pattern: str) -> None:
    scene = Scene(window_s=12.0)
    place = http(scene)
    for born_s in steady(300, 0.0, 11.9):
        place.live(born_s, born_s + 0.02)
    place.all([11.95] * alive)
    verdict = cleared(RULE, scene)
    assert verdict.pattern == pattern
    assert f"300 of {300 + alive} were closed" in verdict.reason


def test_not_judged_without_births() -> None:
    assert is_silent_without(RULE)
    assert "stacks" in not_judged(RULE, Scene(mode="snapshots")).missing


def test_socket_states_may_be_missing_for_single_sockets() -> None:
    scene = Scene(window_s=12.0)
    scene.place("tcp", "dialed").all(steady(23, 0.2, 11.7))
    evidence = scene.evidence()
    evidence._records[SocketState] = evidence._records[SocketState][:3]
    assert finding(RULE, evidence).count == 23
