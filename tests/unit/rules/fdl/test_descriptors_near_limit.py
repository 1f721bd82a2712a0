"""FDL301: share of the soft limit, and the time left at the growth of the window."""

from __future__ import annotations

import msgspec
import pytest

from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import ProcessInfo
from leadline.model import Severity
from leadline.rules.fdl.descriptors_near_limit import RULE


def using(count: int, soft: int | None = 1000) -> Scene:
    scene = Scene(window_s=12.0, nofile_soft=soft)
    scene.place("file", "opened").all([-60.0] * count)
    return scene


@pytest.mark.parametrize(
    ("count", "severity"),
    [
        (800, Severity.MEDIUM),
        (899, Severity.MEDIUM),
        (900, Severity.HIGH),
        (969, Severity.HIGH),
        (970, Severity.CRITICAL),
        (1000, Severity.CRITICAL),
    ],
)
def test_severity_steps_exactly_at_its_bounds(count: int, severity: Severity) -> None:
    found = finding(RULE, using(count))
    assert (found.severity, found.count) == (severity, count)
    assert found.title.startswith(f"{count} of 1000 descriptors are open")


def test_just_below_is_cleared() -> None:
    verdict = cleared(RULE, using(799))
    assert verdict.pattern == "below-limit"
    assert "79.9 %" in verdict.reason


def test_growth_that_reaches_the_limit_within_the_hour_is_high_from_half() -> None:
    scene = using(500)
    scene.places[0].all(steady(24, 0.0, 12.0))
    found = finding(RULE, scene)
    assert found.severity is Severity.HIGH
    assert "the rest is used up in 3 min" in found.title
    below = using(470)
    below.places[0].all(steady(24, 0.0, 12.0))
    assert "is 4 min" in cleared(RULE, below).reason


def test_noise_is_no_growth() -> None:
    scene = using(600)
    for index in range(24):
        scene.places[0].live(index / 2 + 0.1, index / 2 + 0.3)
    assert "growth" not in cleared(RULE, scene).reason


def test_not_judged_without_the_limit() -> None:
    assert is_silent_without(RULE)
    assert "soft limit" in not_judged(RULE, using(10, soft=None)).missing


def test_a_process_that_ended_is_cleared() -> None:
    evidence = using(999).evidence()
    process = evidence.all(ProcessInfo)[0]
    evidence._records[ProcessInfo] = [msgspec.structs.replace(process, ended_mono_ns=5)]
    assert cleared(RULE, evidence).reason == "it has ended"
