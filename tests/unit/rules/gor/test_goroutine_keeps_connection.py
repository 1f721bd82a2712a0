"""GOR101: goroutines that keep more and more connections are found; a number alone is never a fault."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import RAW_READ, Runtime
from evidence_builders import Place, Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import Listener, RetentionRoot
from leadline.model import Severity
from leadline.rules.gor.goroutine_keeps_connection import RULE

LISTENERS = (Listener(inode=1, address="10.0.0.1", port=8080),)
READER = (*RAW_READ, "bufio.(*Reader).ReadString", "main.listen:28")


def readers(
    births: list[float],
    *,
    role: str = "dialed",
    passes: int = 2,
    deadline_s: float | None = 0.0,
    moved: bool | None = None,
    state: str = "IO wait",
    **facts: Any,
) -> tuple[Runtime, Place]:
    """Return goroutines that read from connections on which nothing comes."""
    scene = Scene(window_s=20.0, listeners=LISTENERS)
    place = scene.place("tcp", role, function="main.openTopic")
    place.all(births, local_port=8080 if role == "accepted" else 40000, **facts)
    runtime = Runtime(scene, passes)
    for life in place.lives:
        was_there = life.born_s < 0
        told = False if was_there and moved is None else moved
        goid = runtime.reader(
            life, *READER, deadline_s=deadline_s, moved=told, state=state, is_new=not was_there
        )
        runtime.connection(life, "other", "tcp", "reading", owner_goid=goid, goids=(goid,))
    return runtime, place


def blocked(births: list[float], *, role: str = "dialed", moved: bool | None = None, **facts: Any) -> Runtime:
    """Return goroutines that wait for a channel and have a connection."""
    scene = Scene(window_s=20.0, listeners=LISTENERS)
    place = scene.place("tcp", role, function="main.connect")
    place.all(births, local_port=8080 if role == "accepted" else 40000, **facts)
    runtime = Runtime(scene)
    for life in place.lives:
        told = False if life.born_s < 0 and moved is None else moved
        goid = runtime.go(
            "runtime.gopark", "runtime.chanrecv1", "main.pay:36", state="chan receive", moved=told
        )
        runtime.use(life)
        runtime.connection(life, "other", "tcp", "blocked", owner_goid=goid, goids=(goid,))
    return runtime


def test_readers_that_become_more_are_found_with_both_places() -> None:
    found = finding(RULE, readers(steady(23, 0.2, 19.5))[0].evidence())
    assert found.title == (
        "23 goroutines parked at main.listen (main.go:28) keep 23 connections of main.openTopic (main.go:42) open"
    )
    assert (found.count, found.kind, found.severity) == (23, "tcp", Severity.HIGH)
    assert found.confidence == pytest.approx(0.897)
    assert found.rate_per_s == pytest.approx(1.1, abs=0.1)
    assert [(site.function, site.role) for site in found.sites] == [
        ("main.openTopic", "acquired"),
        ("main.listen", "parked"),
    ]
    assert "net.(*conn).Read at main.go:28, no read deadline" in found.because[0].says
    assert "SetReadDeadline" not in found.remedy
    assert "Set a read deadline" in found.remedy


def test_goroutines_from_before_prove_that_they_wait() -> None:
    runtime, _ = readers([*([-50.0] * 30), *steady(23, 0.2, 19.5)])
    found = finding(RULE, runtime.evidence())
    assert found.count == 53
    assert found.because[1].says == "30 of them did not run in the 20 s between two looks."


def test_goroutines_that_wait_for_a_channel_are_found() -> None:
    found = finding(RULE, blocked(steady(23, 0.2, 19.5)).evidence())
    assert found.title.startswith(
        "23 goroutines parked at main.pay (main.go:36) keep 23 connections of main.connect"
    )
    assert "state chan receive" in found.explanation
    assert "ctx.Done()" in found.remedy


def test_5_fire_and_4_do_not() -> None:
    assert finding(RULE, readers(steady(5, 0.2, 15.0))[0].evidence()).count == 5
    assert cleared(RULE, readers(steady(4, 0.2, 15.0))[0].evidence())


def test_ten_thousand_that_do_not_become_more_are_healthy() -> None:
    verdict = cleared(RULE, readers([-50.0] * 10_000)[0].evidence())
    assert (verdict.pattern, verdict.count) == ("parked", 10_000)
    assert "10000 on dialed ones on which nothing moves and that do not become more" in verdict.reason


@pytest.mark.parametrize(
    "facts",
    [{"deadline_s": 50.0}, {"moved": True}, {"state": "sleep"}, {"last_data_s": 19.8}],
    ids=["deadline", "has run", "sleeps", "data moves"],
)
def test_readers_with_a_limit_and_busy_ones_are_healthy(facts: dict[str, Any]) -> None:
    runtime, _ = readers(steady(23, 0.2, 15.0), **facts)
    assert cleared(RULE, runtime.evidence())


def test_an_unknown_deadline_costs_confidence() -> None:
    found = finding(RULE, readers(steady(23, 0.2, 19.5), deadline_s=None)[0].evidence())
    assert found.confidence == pytest.approx(0.807)
    assert "could not be read" in found.against[-1].says


def test_readers_of_live_clients_are_healthy_however_many_come() -> None:
    runtime, _ = readers(steady(500, 0.2, 19.5), role="accepted")
    assert cleared(RULE, runtime.evidence()).pattern == "parked"


def test_connections_whose_peer_has_closed_are_another_rules_business() -> None:
    for role in ("dialed", "accepted"):
        assert cleared(RULE, blocked(steady(23, 0.2, 19.5), role=role, state="CLOSE_WAIT").evidence())


def test_sessions_that_come_and_go_are_healthy() -> None:
    """Each lasts three seconds; five are there at the end."""
    runtime, place = readers([])
    for born_s in steady(34, 0.0, 20.0):
        life = place.live(born_s, born_s + 3.0)
        if life.died_s > 20.0:
            runtime.reader(life, *READER, moved=None)
    assert cleared(RULE, runtime.evidence())


@pytest.mark.parametrize(
    ("role", "protocol", "activity"),
    [
        ("client", "http/1.1", "idle"),
        ("client", "sql", "in-use"),
        ("client", "redis", "reading"),
        ("client", "grpc", "in-use"),
        ("server", "websocket", "hijacked"),
        ("listener", "tcp", "accepting"),
        ("client", "http/1.1", "body-held"),
    ],
)
def test_protocols_with_rules_of_their_own_are_none_of_its_business(
    role: str, protocol: str, activity: str
) -> None:
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed")
    place.all(steady(23, 0.2, 19.5))
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.reader(life)
        runtime.connection(life, role, protocol, activity)
    assert cleared(RULE, runtime.evidence()).count == 0


def test_a_parked_reader_that_no_layer_recognised_counts() -> None:
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed")
    place.all(steady(23, 0.2, 19.5))
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.reader(life, *READER, moved=None)
    assert finding(RULE, runtime.evidence()).count == 23


def kept(count: int, *, searched: int, goroutines: int = 0) -> Runtime:
    """Return connections on which nobody waits, and goroutines whose stacks refer to those that were searched."""
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed", function="main.connect")
    place.all(steady(count, 0.2, 19.5))
    runtime = Runtime(scene)
    for index, life in enumerate(place.lives):
        runtime.use(life, read_deadline_mono_ns=0)
        goid = 500 + index % (goroutines or count)
        if index < (goroutines or count):
            runtime.go("runtime.gopark", "main.pay:36", state="chan receive", moved=None, goid=goid)
        if index < searched:
            root = RetentionRoot(kind="goroutine", goid=goid, function="main.pay")
            runtime.retain(life, "reachable", root)
    return runtime


def test_goroutines_whose_stack_refers_to_the_connection_are_found() -> None:
    found = finding(RULE, kept(23, searched=23).evidence())
    assert found.title.startswith(
        "23 goroutines parked at main.pay (main.go:36) keep 23 connections of main.connect"
    )
    assert found.confidence == pytest.approx(0.807)
    assert "goroutine 500 is parked in main.pay at main.go:36 (chan receive)" in found.because[0].says
    assert "left over from an earlier call" in found.against[-1].says


def test_those_that_were_not_searched_are_held_to_be_alike() -> None:
    assert finding(RULE, kept(100, searched=64).evidence()).count == 100


def test_a_goroutine_that_refers_to_many_is_their_registry_and_healthy_here() -> None:
    assert cleared(RULE, kept(23, searched=23, goroutines=2).evidence())


def test_one_look_is_not_judged() -> None:
    runtime, _ = readers([-50.0] * 23, passes=1)
    assert "one look only" in not_judged(RULE, runtime.evidence()).missing
    assert is_silent_without(RULE)
