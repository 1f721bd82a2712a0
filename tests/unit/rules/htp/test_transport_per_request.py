"""HTP102: transports that are made for one request are found; clients of their own are not."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import Runtime
from evidence_builders import HTTP_DIAL, Place, Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.model import Severity
from leadline.rules.htp.transport_per_request import MANY, RULE, TRANSPORT

OLD = -600.0


def transports(
    births: list[float], *, passes: int = 2, hosts: int = 1, **facts: Any
) -> tuple[Runtime, Place]:
    """Return a process with a transport for each birth, whose connection is idle."""
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed", function="main.notify", below=HTTP_DIAL)
    place.all(births, **facts)
    runtime = Runtime(scene, passes)
    for index, life in enumerate(place.lives):
        host = f"hook{index % hosts}.test:443"
        number = runtime.pool(TRANSPORT, [life], name=host, open=1, idle=1)
        runtime.client(
            life, "idle", moved=False if life.born_s < 0 else None, host=host, scheme="https", pool=number
        )
    return runtime, place


def test_transports_that_come_all_the_time_are_found() -> None:
    runtime, _ = transports(steady(23, 0.2, 19.0))
    found = finding(RULE, runtime.evidence())
    assert (
        found.title
        == "23 HTTP transports keep one idle connection each to hook0.test:443 at main.notify (main.go:42)"
    )
    assert (found.count, found.kind, found.confidence) == (23, "tcp", 0.897)
    assert found.rate_per_s == pytest.approx(1.2, abs=0.1)
    assert found.severity is Severity.HIGH
    assert "idle in the pool of net/http.Transport" in found.because[0].says
    assert "23 different transports" in found.because[1].says
    assert found.sites[0].function == "main.notify"


def test_5_fire_and_4_do_not() -> None:
    assert finding(RULE, transports(steady(5, 0.2, 19.0))[0].evidence()).count == 5
    assert cleared(RULE, transports(steady(4, 0.2, 19.0))[0].evidence()).count == 4


def test_50_old_ones_fire_and_49_do_not() -> None:
    found = finding(RULE, transports([OLD] * MANY)[0].evidence())
    assert (found.severity, found.confidence) == (Severity.MEDIUM, 0.7)
    assert "did not grow" in found.against[0].says
    assert cleared(RULE, transports([OLD] * (MANY - 1))[0].evidence())


def test_one_look_at_many_is_not_judged() -> None:
    runtime, _ = transports([OLD] * MANY, passes=1)
    assert "one look only" in not_judged(RULE, runtime.evidence()).missing


def test_clients_for_different_hosts_are_healthy() -> None:
    runtime, _ = transports(steady(40, 0.2, 19.0), hosts=10)
    assert cleared(RULE, runtime.evidence()).count == 40


def test_transports_that_are_used_again_are_healthy() -> None:
    runtime, _ = transports(steady(23, 0.2, 12.0), last_data_s=19.5)
    assert cleared(RULE, runtime.evidence())
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed")
    place.all([OLD] * 80)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.client(life, "idle", moved=True, pool=runtime.pool(TRANSPORT, [life]))
    assert cleared(RULE, runtime.evidence())


def test_transports_that_come_and_go_are_healthy() -> None:
    """Their idle connections are given up after two seconds."""
    runtime, place = transports([])
    for born_s in steady(60, 0.0, 20.0):
        life = place.live(born_s, born_s + 1.9)
        if life.died_s > 20.0:
            number = runtime.pool(TRANSPORT, [life], name="hook.test:443")
            runtime.client(life, "idle", moved=None, pool=number)
    assert cleared(RULE, runtime.evidence()).count == 5


def test_one_transport_with_many_connections_is_healthy() -> None:
    scene = Scene(window_s=20.0)
    place = scene.place("tcp", "dialed", below=HTTP_DIAL)
    place.all(steady(60, 0.0, 19.0))
    runtime = Runtime(scene)
    number = runtime.pool(TRANSPORT, place.lives, name="api.test:80", open=60, idle=60)
    for life in place.lives:
        runtime.client(life, "idle", moved=None, pool=number)
    assert cleared(RULE, runtime.evidence()).count == 1


def test_not_judged_without_pools() -> None:
    assert is_silent_without(RULE)
    assert not_judged(RULE, Scene())
