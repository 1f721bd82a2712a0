"""FDL601: who still refers to connections that nobody uses."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import RAW_READ, Runtime
from evidence_builders import Place, Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence import Evidence
from leadline.evidence.kinds import RetentionRoot
from leadline.rules.fdl.forgotten_but_referenced import RULE

REGISTRY = RetentionRoot(kind="global", name="main.registry", path=("map", "*main.session", "net.Conn"))
STRIPPED = RetentionRoot(kind="global", users=("main.register", "main.main"), path=("[]net.Conn",))


def serving(
    count: int, *roots: RetentionRoot, verdict: str = "reachable", passes: int = 2, **facts: Any
) -> tuple[Runtime, Place]:
    """Return a server with so many connections without a goroutine, accepted early in 30 s."""
    scene = Scene()
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all(steady(count, 0.5, 2.5), **{"state": "CLOSE_WAIT", "since_ack_s": 6.0, **facts})
    runtime = Runtime(scene, passes=passes)
    for life in place.lives:
        runtime.use(life)
        runtime.retain(life, verdict, *(roots or (REGISTRY,)))
    return runtime, place


def evidence(count: int, *roots: RetentionRoot, **facts: Any) -> Evidence:
    return serving(count, *roots, **facts)[0].evidence()


def test_found_with_the_global_that_reaches_them() -> None:
    found = finding(RULE, evidence(23))
    assert found.count == 23
    assert "still reachable from global main.registry (map → *main.session → net.Conn)" in found.title
    assert "at main.serve (main.go:42)" in found.title
    assert "remove it from main.registry and close it" in found.remedy
    assert found.confidence == 0.9
    assert "leaked by" not in str(found)
    assert any("23 CLOSE_WAIT" in one.says for one in found.because)


def test_found_in_a_stripped_binary_by_the_functions_that_use_the_global() -> None:
    found = finding(RULE, evidence(23, STRIPPED))
    assert "reachable from a global used by main.register, main.main" in found.title


@pytest.mark.parametrize("count", [5, 4])
def test_5_fire_and_4_do_not(count: int) -> None:
    if count == 5:
        assert finding(RULE, evidence(count)).count == count
    else:
        assert cleared(RULE, evidence(count)).count == count


def test_idle_connections_that_a_pool_keeps_are_healthy() -> None:
    found = cleared(RULE, evidence(35, state="ESTABLISHED", since_ack_s=None))
    assert found.pattern == "kept"
    assert "a pool or a registry" in found.reason


def test_live_ones_are_found_when_they_become_more_all_the_time() -> None:
    scene = Scene()
    place = scene.place("tcp", "dialed", function="main.fetch")
    place.all(steady(23, 1.0, 29.0))
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.use(life)
        runtime.retain(life, "reachable", REGISTRY)
    found = finding(RULE, runtime.evidence())
    assert found.confidence == 0.8
    assert found.rate_per_s is not None


def test_connections_with_a_goroutine_are_never_counted() -> None:
    runtime, place = serving(23)
    with_reader = Runtime(runtime.scene)
    for life in place.lives:
        with_reader.reader(life, *RAW_READ, "main.chat:80")
        with_reader.retain(life, "reachable", REGISTRY)
    assert cleared(RULE, with_reader.evidence()).count == 0


def test_what_one_goroutine_keeps_for_itself_is_healthy_and_a_goroutines_registry_is_found() -> None:
    runtime, place = serving(23)
    own = Runtime(runtime.scene)
    for number, life in enumerate(place.lives):
        own.use(life)
        own.retain(
            life, "reachable", RetentionRoot(kind="goroutine", goid=100 + number, function="main.hold")
        )
    assert cleared(RULE, own.evidence()).count == 0
    shared = RetentionRoot(kind="goroutine", goid=7, function="main.serve", path=("[]net.Conn",))
    found = finding(RULE, evidence(23, shared))
    assert "reachable from goroutine 7 in main.serve" in found.title
    assert found.confidence == 0.7
    assert any("left over" in one.says for one in found.against)


def test_duplicates_are_none_of_its_business() -> None:
    scene = Scene()
    place = scene.place("tcp", "duplicated", function="main.remember")
    place.all(steady(23, 1.0, 29.0))
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.use(life)
        runtime.retain(life, "reachable", REGISTRY, go_type="*os.File")
    assert cleared(RULE, runtime.evidence()).count == 0


def test_one_look_is_less_sure() -> None:
    found = finding(RULE, evidence(23, passes=1))
    assert found.confidence == 0.8
    assert any("one look only" in one.says for one in found.against)


def test_unreachable_ones_are_none_of_its_business() -> None:
    assert cleared(RULE, evidence(23, verdict="unreachable")).count == 0


def test_not_judged_without_a_search_of_the_heap() -> None:
    assert is_silent_without(RULE)
    assert "--retention" in not_judged(RULE, Runtime(Scene()).evidence()).remedy
