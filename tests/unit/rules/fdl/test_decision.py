"""What ``--until-sure`` waits for."""

from __future__ import annotations

from evidence_builders import Scene, steady
from leadline.app.diagnose import decided
from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, Window
from leadline.rules.fdl.decision import undecided


def left(scene: Scene) -> tuple[int, ...] | None:
    """Return what is undecided on interim evidence: births and the window only."""
    evidence = scene.evidence()
    return undecided(evidence.get(Window), evidence.get(Birthplace), {})


def test_nothing_is_decided_before_fifteen_seconds_or_without_births() -> None:
    scene = Scene(window_s=14.9)
    scene.place("file", "opened").all(steady(60, 0.0, 14.9))
    assert left(scene) is None
    assert undecided(None, None, {}) is None
    assert not decided(Evidence())
    assert not decided(scene.evidence())


def test_a_sure_leak_and_churn_are_decided() -> None:
    scene = Scene(window_s=15.0)
    place = scene.place("file", "opened")
    for index, born_s in enumerate(steady(600, 0.0, 15.0)):
        place.live(born_s, float("inf") if index % 30 == 0 else born_s + 0.01)
    churn = scene.place("pipe", "created")
    for born_s in steady(100, 0.0, 15.0):
        churn.live(born_s, born_s + 0.1)
    assert left(scene) == ()
    assert decided(scene.evidence())


def test_few_are_not_decided() -> None:
    scene = Scene(window_s=20.0)
    scene.place("file", "opened").all([4.0, 9.0, 17.0])
    assert left(scene) == (1,)
    assert not decided(scene.evidence())


def test_a_plateau_is_decided_ten_seconds_after_growth_stopped() -> None:
    def at(window_s: float) -> tuple[int, ...] | None:
        scene = Scene(window_s=window_s)
        scene.place("file", "opened").all(steady(150, 0.0, 6.0))
        return left(scene)

    assert at(15.5) == (1,)
    assert at(17.0) == ()
