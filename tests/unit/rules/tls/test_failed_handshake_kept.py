"""TLS102: connections that a failed handshake left behind are found; forgotten ones that succeeded are not."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import Runtime
from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import RetentionRoot
from leadline.model import Severity
from leadline.rules.tls.failed_handshake_kept import MAX_UNFINISHED_BYTES, RULE

ROOT = RetentionRoot(kind="global", name="main.attempts", path=("[]net.Conn", "*net.TCPConn"))


def abandoned(
    births: list[float],
    *,
    complete: bool | None = False,
    searched: int | None = None,
    received: int = 103,
    state: str = "CLOSE_WAIT",
    go_type: str = "*net.TCPConn",
    **facts: Any,
) -> Runtime:
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed", function="main.connect")
    place.all(births, received=received, state=state)
    runtime = Runtime(scene)
    for index, life in enumerate(place.lives):
        runtime.use(life)
        runtime.connection(life, "other", "tcp", "no-goroutine", **facts)
        if searched is None or index < searched:
            runtime.retain(life, "reachable", ROOT, handshake_complete=complete, go_type=go_type)
    return runtime


def test_failed_handshakes_are_found_with_what_keeps_them() -> None:
    found = finding(RULE, abandoned(steady(23, 0.2, 19.5)).evidence())
    assert (
        found.title
        == "23 connections at main.connect (main.go:42) stayed open after the TLS handshake failed"
    )
    assert (found.severity, found.confidence, found.count) == (Severity.HIGH, 0.9, 23)
    assert found.rate_per_s == pytest.approx(1.1, abs=0.1)
    assert (
        "no goroutine waits on it; reachable from global main.attempts ([]net.Conn → *net.TCPConn); its tls.Conn says that the"
        in found.because[0].says
    )
    assert "The peers of 23 of them have closed already." in found.explanation


def test_5_fire_and_4_do_not() -> None:
    assert finding(RULE, abandoned([1.0] * 5).evidence()).severity is Severity.MEDIUM
    assert "4 with a failed TLS handshake" in cleared(RULE, abandoned([1.0] * 4).evidence()).reason


def test_those_of_5_s_fire_and_younger_ones_do_not() -> None:
    assert finding(RULE, abandoned([15.0] * 5).evidence())
    assert cleared(RULE, abandoned([15.001] * 5).evidence())


def test_handshakes_that_succeeded_are_healthy_here() -> None:
    assert cleared(RULE, abandoned([1.0] * 23, complete=True).evidence())


def test_few_bytes_on_a_tls_connection_fire_and_a_whole_handshake_does_not() -> None:
    found = finding(RULE, abandoned([1.0] * 9, complete=None, tls=True, received=7).evidence())
    assert found.confidence == 0.7
    assert "only 7 bytes ever came in" in found.because[0].says
    by_type = abandoned([1.0] * 9, complete=None, go_type="*tls.Conn", received=MAX_UNFINISHED_BYTES)
    assert finding(RULE, by_type.evidence())
    whole = abandoned([1.0] * 9, complete=None, tls=True, received=MAX_UNFINISHED_BYTES + 1)
    assert cleared(RULE, whole.evidence())


def test_plain_connections_are_none_of_its_business() -> None:
    assert cleared(RULE, abandoned([1.0] * 23, complete=None, received=0).evidence())


def test_those_that_were_not_searched_count_where_all_searched_ones_failed() -> None:
    assert finding(RULE, abandoned([1.0] * 100, searched=64).evidence()).count == 100
    mixed = abandoned([1.0] * 100, searched=64)
    for index in range(17):
        life, one = mixed._retentions[index]
        mixed._retentions[index] = (life, type(one)(pid=one.pid, fd=0, verdict="reachable"))
    assert finding(RULE, mixed.evidence()).count == 47


def test_a_handshake_under_way_is_healthy() -> None:
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed")
    place.all([1.0] * 23, received=0)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.client(life, "tls-handshake", tls=True)
    assert cleared(RULE, runtime.evidence()).count == 0


def test_not_judged_without_a_search_of_the_heap() -> None:
    assert "whether they speak TLS" in not_judged(RULE, abandoned([1.0] * 9, searched=0).evidence()).missing
    assert is_silent_without(RULE)
