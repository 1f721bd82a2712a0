"""FDL603: goroutines that keep a connection whose peer has gone, and wait for something else."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import RAW_READ, Runtime
from evidence_builders import Place, Scene, steady
from judging import cleared, finding, is_silent_without
from leadline.evidence import Evidence
from leadline.evidence.kinds import RetentionRoot
from leadline.rules.fdl.close_wait_ignored import RULE

COLLECT = ("runtime.gopark", "runtime.chanrecv1", "main.collect:54")


def serving(count: int, **facts: Any) -> tuple[Scene, Place]:
    scene = Scene()
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all(steady(count, 1.0, 20.0), **{"state": "CLOSE_WAIT", "since_ack_s": 6.0, **facts})
    return scene, place


def blocked(count: int, *, passes: int = 2, go: dict[str, Any] | None = None, **facts: Any) -> Evidence:
    """Return connections whose layer names a goroutine that waits on a channel."""
    scene, place = serving(count, **facts)
    runtime = Runtime(scene, passes=passes)
    for life in place.lives:
        goid = runtime.go(*COLLECT, **{"state": "chan receive", **(go or {})})
        runtime.use(life)
        runtime.connection(life, "server", "tcp", "blocked", owner_goid=goid, goids=(goid,))
    return runtime.evidence()


def on_stacks(count: int, *, shared: bool = False) -> Evidence:
    """Return connections that only the stack of a goroutine refers to: of one each, or of one for all."""
    scene, place = serving(count)
    runtime = Runtime(scene)
    goids = [runtime.go(*COLLECT, state="chan receive") for _ in place.lives]
    for goid, life in zip(goids, place.lives, strict=True):
        runtime.use(life)
        runtime.retain(life, "reachable", RetentionRoot(kind="goroutine", goid=goids[0] if shared else goid))
    return runtime.evidence()


def test_found_with_the_goroutine_and_where_it_waits() -> None:
    found = finding(RULE, blocked(23))
    assert found.count == 23
    assert "their goroutines wait at main.collect (main.go:54) (chan receive)" in found.title
    assert [(site.role, site.function) for site in found.sites] == [
        ("acquired", "main.serve"),
        ("parked", "main.collect"),
    ]
    assert found.confidence == 0.9
    assert any("23 CLOSE_WAIT" in one.says for one in found.because)
    assert "goroutine 100" in found.because[0].says


def test_found_where_only_the_stack_refers_to_the_connection() -> None:
    found = finding(RULE, on_stacks(23))
    assert found.count == 23
    assert found.confidence == 0.75
    assert found.sites[1].function == "main.collect"


def test_one_goroutine_that_refers_to_all_is_none_of_its_business() -> None:
    assert cleared(RULE, on_stacks(23, shared=True)).count == 23


@pytest.mark.parametrize("count", [5, 4])
def test_5_fire_and_4_do_not(count: int) -> None:
    if count == 5:
        assert finding(RULE, blocked(count)).count == count
    else:
        assert "4 of them with a goroutine" in cleared(RULE, blocked(count)).reason


@pytest.mark.parametrize(
    "facts",
    [
        {"state": "ESTABLISHED", "since_ack_s": None},
        {"since_ack_s": 1.9},
        {"go": {"moved": True}},
        {"go": {"state": "running"}},
    ],
)
def test_live_peers_fresh_ends_and_busy_goroutines_are_healthy(facts: dict[str, Any]) -> None:
    assert cleared(RULE, blocked(23, **facts))


def test_a_goroutine_that_reads_will_see_the_end_and_is_never_counted() -> None:
    scene, place = serving(23)
    runtime = Runtime(scene)
    for life in place.lives:
        goid = runtime.reader(life, *RAW_READ, "main.read:5")
        runtime.connection(life, "server", "tcp", "reading", owner_goid=goid, goids=(goid,))
    assert cleared(RULE, runtime.evidence()).count == 23


def test_one_look_is_less_sure() -> None:
    found = finding(RULE, blocked(23, passes=1))
    assert found.confidence == 0.8
    assert found.against


def test_not_judged_without_goroutines() -> None:
    assert is_silent_without(RULE)
