"""FDL103: files that are never closed are found, healthy patterns are cleared by name."""

from __future__ import annotations

import random

import pytest

from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without, not_judged, verdicts
from leadline.model import Finding
from leadline.rules.fdl.leaking_files import RULE
from simulated_processes import Process, batch, capped_cache, churn, log_rotation


def scene_with(births_s: list[float], window_s: float = 12.0) -> Scene:
    scene = Scene(window_s=window_s)
    scene.place("file", "opened", function="main.load").all(births_s)
    return scene


def test_a_planted_leak_is_found() -> None:
    found = finding(RULE, scene_with(steady(23, 0.2, 11.7)))
    assert (found.code, found.count, found.kind) == ("FDL103", 23, "file")
    assert "at main.load (main.go:42) were never closed; 1.9 more each second" in found.title
    assert found.rate_per_s == pytest.approx(1.86, rel=0.02)


def test_five_fire_and_four_do_not() -> None:
    assert finding(RULE, scene_with(steady(5, 0.2, 11.7))).count == 5
    assert "too few" in not_judged(RULE, scene_with(steady(4, 0.2, 11.7))).missing


def test_a_few_among_many_are_found() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("file", "opened")
    for index, born_s in enumerate(steady(600, 0.0, 12.0)):
        place.live(born_s, float("inf") if index % 30 == 0 else born_s + 0.002)
    found = finding(RULE, scene)
    assert found.count == 20
    assert "About 3.3 % of those acquired here" in found.explanation


def test_nothing_of_the_kind_is_cleared() -> None:
    assert cleared(RULE, Scene()).pattern == "none"


def test_opened_at_the_start_is_cleared() -> None:
    assert cleared(RULE, scene_with([0.1, 0.2, 0.3])).pattern == "long-lived"


def test_not_judged_without_births() -> None:
    assert is_silent_without(RULE)
    assert "stacks" in not_judged(RULE, Scene(mode="snapshots")).missing


@pytest.mark.parametrize("process", [batch, capped_cache, churn, log_rotation])
@pytest.mark.parametrize("seed", range(5))
def test_healthy_patterns_are_never_found(process: Process, seed: int) -> None:
    scene = Scene(window_s=20.0)
    process(random.Random(seed), scene)
    verdict = verdicts(RULE, scene)[0]
    assert not isinstance(verdict, Finding)


def test_healthy_patterns_have_their_names() -> None:
    scene = Scene(window_s=20.0)
    place = scene.place("file", "opened")
    for begin_s in (1.0, 4.0, 7.0, 10.0, 13.0, 16.0):
        for index in range(50):
            place.live(begin_s + 0.001 * index, begin_s + 0.7)
    assert cleared(RULE, scene).pattern == "batch"
    scene = Scene(window_s=20.0)
    capped_cache(random.Random(1), scene)
    assert cleared(RULE, scene).pattern == "capped"


def test_old_files_of_the_same_path_are_tied_to_the_place() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("file", "opened")
    place.all([-50.0] * 40, path="/srv/data/17.seg")
    place.all([-50.0] * 7, path="/etc/hosts")
    place.all(steady(23, 0.2, 11.7), path="/srv/data/9931.seg")
    assert "40 older descriptors look the same" in finding(RULE, scene).explanation


def test_a_target_in_another_language_gets_plain_advice() -> None:
    scene = Scene(window_s=12.0, go_version=None)
    scene.place("file", "opened", function="load_page(char const*)").all(steady(23, 0.2, 11.7))
    assert "defer" not in finding(RULE, scene).remedy
