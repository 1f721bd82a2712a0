"""FDL602: connections that nothing refers to, and when a collection will close them."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import Runtime
from evidence_builders import T0, S, Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence import Evidence
from leadline.evidence.kinds import GoRuntime
from leadline.model import Severity
from leadline.rules.fdl.forgotten_until_next_gc import RULE, next_collection

END = T0 + 30 * S


def evidence(
    count: int, verdict: str = "unreachable", *, births_end_s: float = 24.0, **facts: Any
) -> Evidence:
    """Return a server that dropped so many connections, with these facts of its runtime."""
    scene = Scene()
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all(steady(count, 1.0, births_end_s), state="CLOSE_WAIT", since_ack_s=6.0)
    told = {"gc_cycles": 0, "last_gc_mono_ns": 0, **facts}
    runtime = Runtime(scene, facts=told)
    for life in place.lives:
        runtime.use(life)
        runtime.retain(life, verdict)
    return runtime.evidence()


def runtime(**facts: Any) -> GoRuntime:
    return GoRuntime(pid=1, source="memory", **facts)


def test_found_where_no_collection_has_run() -> None:
    found = finding(RULE, evidence(23, heap_goal_bytes=4 << 20, heap_live_bytes=1 << 20))
    assert found.count == 23
    assert "were dropped without Close" in found.title
    assert "no collection has run yet" in found.explanation
    assert "when the heap reaches 4.0 MiB (it has 1.0 MiB now)" in found.explanation
    assert found.severity is not Severity.LOW
    assert found.confidence == 0.85
    assert not found.against


@pytest.mark.parametrize("count", [5, 4])
def test_5_fire_and_4_do_not(count: int) -> None:
    if count == 5:
        assert finding(RULE, evidence(count)).count == count
    else:
        assert "fewer than 5" in cleared(RULE, evidence(count)).reason


def test_low_where_a_collection_will_come_within_two_minutes() -> None:
    found = finding(RULE, evidence(23, gc_cycles=7, last_gc_mono_ns=T0 + S, heap_goal_bytes=8 << 20))
    assert found.severity is Severity.LOW
    assert "at the latest 2 minutes after the last one, which ended 29 s before" in found.explanation


def test_those_that_survived_a_collection_are_doubted() -> None:
    found = finding(
        RULE, evidence(23, births_end_s=5.0, gc_cycles=7, gc_cycles_in_window=2, last_gc_mono_ns=T0 + 20 * S)
    )
    assert found.confidence == 0.5
    assert found.against


def test_reachable_ones_are_healthy_here() -> None:
    assert cleared(RULE, evidence(23, "reachable")).count == 0


@pytest.mark.parametrize(
    ("facts", "expected", "may_never"),
    [
        ({"gc_percent": -1, "gc_cycles": 3, "last_gc_mono_ns": T0}, "switched off", True),
        ({"gc_cycles": 0}, "for ever", True),
        ({"last_gc_mono_ns": 0}, "for ever", True),
        ({"gc_cycles": 3, "last_gc_mono_ns": END - 120 * S}, "at the latest 2 minutes after", False),
        ({"gc_cycles": 3, "last_gc_mono_ns": END - 121 * S}, "so one is due", False),
        ({"gc_cycles": 3}, "not known", False),
        ({"gc_cycles": 3, "heap_goal_bytes": 4 << 20}, "when the heap reaches 4.0 MiB", False),
        ({"gc_cycles": 0, "heap_goal_bytes": (1 << 64) - 1}, "when the heap has grown", True),
    ],
)
def test_when_the_next_collection_comes(facts: dict[str, Any], expected: str, *, may_never: bool) -> None:
    words, never = next_collection(runtime(**facts), END)
    assert expected in words
    assert never is may_never


def test_an_unknown_runtime_tells_nothing() -> None:
    assert next_collection(None, END) == ("when the next garbage collection comes is not known", False)


def test_not_judged_without_a_search_of_the_heap() -> None:
    assert is_silent_without(RULE)
    assert "--retention" in not_judged(RULE, Runtime(Scene()).evidence()).remedy
