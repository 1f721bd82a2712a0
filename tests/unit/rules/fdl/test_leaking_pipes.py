"""FDL104: pipes that are never closed are found, healthy patterns are cleared by name."""

from __future__ import annotations

import pytest

from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.rules.fdl.leaking_pipes import RULE


def scene_with(births_s: list[float], window_s: float = 12.0) -> Scene:
    scene = Scene(window_s=window_s)
    scene.place("pipe", "created", function="main.load").all(births_s)
    return scene


def test_a_planted_leak_is_found() -> None:
    found = finding(RULE, scene_with(steady(23, 0.2, 11.7)))
    assert (found.code, found.count, found.kind) == ("FDL104", 23, "pipe")
    assert "at main.load (main.go:42) were never closed; 1.9 more each second" in found.title
    assert found.rate_per_s == pytest.approx(1.86, rel=0.02)


def test_five_fire_and_four_do_not() -> None:
    assert finding(RULE, scene_with(steady(5, 0.2, 11.7))).count == 5
    assert "too few" in not_judged(RULE, scene_with(steady(4, 0.2, 11.7))).missing


def test_a_few_among_many_are_found() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("pipe", "created")
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


def test_pipes_of_commands_say_wait() -> None:
    scene = Scene(window_s=12.0)
    below = ("os.Pipe", "os/exec.(*Cmd).StdoutPipe")
    scene.place("pipe", "created", below=below).all(steady(23, 0.2, 11.7))
    assert "cmd.Wait" in finding(RULE, scene).remedy


def test_pipes_to_children_that_end_are_cleared() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("pipe", "created")
    for born_s in steady(96, 0.0, 12.0):
        place.live(born_s, born_s + 0.1)
    assert cleared(RULE, scene).pattern == "churning"
