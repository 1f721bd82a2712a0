"""FDL604: recovered panics, and as many connections that stayed open."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import RAW_READ, Runtime, frame
from evidence_builders import PID, Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence import Evidence
from leadline.evidence.kinds import PanicSite, Stack
from leadline.rules.fdl.recovered_panic_without_close import RULE

STACK = 1 << 30


def scene_of(left: int, panics: int, *, starter: str = "main.serve:18", **facts: Any) -> Scene:
    """Return a server with so many connections that their peers have left, and so many survived panics."""
    scene = Scene()
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all(steady(left, 1.0, 24.0), **{"state": "CLOSE_WAIT", "since_ack_s": 6.0, **facts})
    frames = (frame("runtime.gopanic"), frame("main.handle:40"), frame("runtime.goexit"))
    scene.more = [
        Stack(id=STACK, pid=PID, frames=frames),
        PanicSite(
            id=1, pid=PID, count=panics, stack=STACK, site=frame("main.handle:40"), created_by=frame(starter)
        ),
    ]
    return scene


def test_found_with_the_place_of_the_panic() -> None:
    found = finding(RULE, scene_of(23, 23))
    assert found.count == 23
    assert "stayed open after 23 recovered panics at main.handle (main.go:40)" in found.title
    assert [(site.role, site.function, site.line) for site in found.sites] == [
        ("acquired", "main.serve", 42),
        ("panicked", "main.handle", 40),
    ]
    assert found.sites[1].stack
    assert found.confidence == 0.9
    assert "`defer conn.Close()` first" in found.remedy


@pytest.mark.parametrize("count", [5, 4])
def test_5_fire_and_4_do_not(count: int) -> None:
    if count == 5:
        assert finding(RULE, scene_of(count, count)).count == count
    else:
        assert cleared(RULE, scene_of(count, count)).count == count


@pytest.mark.parametrize(
    ("left", "panics", "confidence"), [(30, 20, 0.9), (20, 30, 0.9), (20, 31, 0.6), (20, 80, 0.6)]
)
def test_the_numbers_must_fit_exactly_so_far(left: int, panics: int, confidence: float) -> None:
    assert finding(RULE, scene_of(left, panics)).confidence == confidence


@pytest.mark.parametrize(("left", "panics"), [(31, 20), (20, 81), (0, 23), (23, 0)])
def test_other_numbers_are_cleared(left: int, panics: int) -> None:
    assert cleared(RULE, scene_of(left, panics))


def test_panics_of_goroutines_that_others_start_are_none_of_its_business() -> None:
    found = cleared(RULE, scene_of(23, 23, starter="main.background:7"))
    assert found.pattern == "closed-after-panics"


def test_connections_with_live_peers_are_healthy() -> None:
    assert cleared(RULE, scene_of(23, 23, state="ESTABLISHED", since_ack_s=None))


def with_runtime(*, reads: bool) -> Evidence:
    scene = scene_of(23, 23, state="ESTABLISHED", since_ack_s=None)
    runtime = Runtime(scene)
    for life in scene.places[0].lives:
        if reads:
            runtime.reader(life, *RAW_READ, "main.read:5")
        else:
            runtime.use(life)
    return runtime.evidence()


def test_found_with_live_peers_where_no_goroutine_is_left() -> None:
    """Those that were accepted in the last five seconds are not counted yet."""
    assert finding(RULE, with_runtime(reads=False)).count == 23
    assert cleared(RULE, with_runtime(reads=True))


def test_not_judged_without_panics_being_counted() -> None:
    assert is_silent_without(RULE)
    assert "panics" in not_judged(RULE, Scene()).missing
