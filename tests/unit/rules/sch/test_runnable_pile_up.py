"""SCH101: many goroutines wait for a CPU at every look; never bursts."""

from __future__ import annotations

import pytest

from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence import Evidence
from leadline.evidence.kinds import GoRuntime
from leadline.model import Severity
from leadline.rules.sch.runnable_pile_up import RULE
from runtime_builders import Process


def process(*runnable: int, gomaxprocs: int | None = 8) -> Process:
    return Process(facts={"runnable": runnable, "gomaxprocs": gomaxprocs})


def test_four_times_as_many_as_may_run_fire_and_one_less_does_not() -> None:
    found = finding(RULE, process(32, 40).evidence())
    assert found.title == "32 or more goroutines are ready to run and wait for one of 8 CPUs"
    assert (found.severity, found.confidence, found.count) == (Severity.MEDIUM, 0.8, 32)
    assert cleared(RULE, process(31, 400).evidence()).count == 400


def test_twenty_are_the_least_that_fire_and_nineteen_do_not() -> None:
    assert finding(RULE, process(20, 20, gomaxprocs=1).evidence()).title.endswith("wait for 1 CPU")
    assert cleared(RULE, process(19, 20, gomaxprocs=1).evidence())


def test_twenty_times_as_many_are_high() -> None:
    assert finding(RULE, process(160, 160, 160).evidence()).severity is Severity.HIGH
    assert finding(RULE, process(159, 160, 160).evidence()).severity is Severity.MEDIUM
    assert finding(RULE, process(160, 160, 160).evidence()).confidence == 0.9


@pytest.mark.parametrize(
    "runnable", [(0, 0), (300, 0, 300), (0, 300), (3, 2), (300, 300, 300, 0), (300, 0, 300, 300)]
)
def test_bursts_are_healthy(runnable: tuple[int, ...]) -> None:
    assert cleared(RULE, process(*runnable).evidence())


def test_the_places_where_they_stand_are_named() -> None:
    seen = process(50, 50, gomaxprocs=2)
    for _ in range(50):
        seen.go("main.scale:9", state="runnable", moved=True)
    found = finding(RULE, seen.evidence())
    assert [site.function for site in found.sites] == ["main.scale"]
    assert "50 of them at the last look are in main.scale (main.go:9)." in [one.says for one in found.because]


def test_one_look_is_not_judged() -> None:
    assert "one look" in not_judged(RULE, process(300).evidence()).missing
    assert not_judged(RULE, process(300, 300, gomaxprocs=None).evidence())
    assert is_silent_without(RULE)


def test_three_looks_in_a_row_fire_and_two_after_a_quiet_one_do_not() -> None:
    assert finding(RULE, process(0, 300, 280, 310).evidence()).count == 280
    assert cleared(RULE, process(0, 300, 310).evidence())


def test_a_program_without_goroutines_has_none_that_wait() -> None:
    evidence = Evidence()
    evidence.put_all(GoRuntime, ())
    assert cleared(RULE, evidence).count == 0
