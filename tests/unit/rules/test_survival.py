"""The survival test: exact bounds, shapes by name, and error rates over simulated processes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from evidence_builders import Scene, steady
from leadline.app.diagnose import diagnose
from leadline.evidence.kinds import BirthSample, LifetimeBucket
from leadline.model import Cleared, Finding, Severity
from leadline.rules.survival import MIN_SPREAD_NS, Assessment, Population, Shape, assess
from simulated_processes import HEALTHY, LEAKING

S = 10**9


def population(births_s: list[float], *, window_s: float = 30.0, **facts: Any) -> Population:
    """Return a population whose living were born at these times."""
    ages = tuple(sorted(round((window_s - born) * S) for born in births_s))
    dead = sum(bucket.count for bucket in facts.get("lifetimes", ()))
    return Population(
        begin_ns=0,
        end_ns=round(window_s * S),
        births=len(ages) + dead,
        deaths=dead,
        alive=len(ages),
        ages_ns=ages,
        **facts,
    )


def shape(births_s: list[float], **facts: Any) -> Shape:
    return assess(population(births_s, **facts)).shape


def dead(lower_s: float, upper_s: float, count: int) -> tuple[LifetimeBucket, ...]:
    return (LifetimeBucket(round(lower_s * S), round(upper_s * S), count),)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_five_are_a_leak_and_four_are_too_few() -> None:
    assert shape(steady(5, 1, 30)) is Shape.LEAKING
    four = assess(population(steady(4, 1, 30)))
    assert four.shape is Shape.UNCLEAR
    assert "4 opened, none closed" in four.reason
    assert four.wanted


def test_confidence_grows_with_the_number_and_with_contrast() -> None:
    few = assess(population(steady(5, 1, 30)))
    many = assess(population(steady(23, 1, 30)))
    contrast = assess(population(steady(23, 1, 30), lifetimes=dead(0.001, 0.002, 600)))
    assert few.confidence == pytest.approx(0.9 * 0.7135, abs=0.001)
    assert many.confidence == pytest.approx(0.9 * 0.9968, abs=0.001)
    assert contrast.confidence == 0.99
    assert "600 that were closed lived at most about 2 ms" in contrast.reason


def test_spread_must_reach_three_seconds() -> None:
    least_s = MIN_SPREAD_NS / S
    assert shape(steady(10, 30 - least_s, 30)) is Shape.LEAKING
    brief = assess(population(steady(10, 30 - least_s + 0.001, 30)))
    assert brief.shape is Shape.UNCLEAR
    assert "trace for at least 10 s" in brief.wanted


def test_deaths_beyond_the_cut_are_allowed_to_one_in_twenty() -> None:
    births = steady(40, 0.5, 30)
    assert shape(births, lifetimes=dead(8, 9, 1)) is Shape.LEAKING
    assert shape(births, lifetimes=dead(8, 9, 3)) is not Shape.LEAKING


def test_survivors_must_be_half_again_as_old_as_the_dead() -> None:
    short = dead(0.9, 1.0, 100)
    assert shape(steady(5, 1, 28.5), lifetimes=short) is Shape.LEAKING
    assert shape(steady(5, 28.6, 29.9), lifetimes=short) is not Shape.LEAKING


def test_one_constant_risk_is_no_leak() -> None:
    """Few deaths, all early: with lifetimes much longer than the window that is what chance gives."""
    found = assess(population(steady(21, 0.5, 12), window_s=12, lifetimes=dead(2.1, 2.7, 6)))
    assert found.shape is not Shape.LEAKING


def test_growth_that_stopped_is_a_plateau() -> None:
    found = assess(population(steady(150, 0, 6), window_s=18))
    assert found.shape is Shape.PLATEAU
    assert found.is_sure
    assert "growth stopped" in found.reason


def test_growth_that_slows_down_is_not_decided() -> None:
    births = [30 * (index / 60) ** 2.2 for index in range(60)]
    found = assess(population(births))
    assert found.shape is Shape.UNCLEAR
    assert "slowing down" in found.reason


def test_a_pause_costs_confidence_only() -> None:
    """Twenty-three at 2/s in a window that ends four seconds later."""
    found = assess(population(steady(23, 0.5, 12), window_s=16))
    assert found.shape is Shape.LEAKING
    assert found.paused_ns == pytest.approx(4.5 * S, rel=0.01)
    assert found.confidence == pytest.approx(0.9 * 0.9 * 0.9968, abs=0.001)


def test_a_full_process_cannot_grow_on() -> None:
    births = steady(40, 0, 4)
    assert shape(births, window_s=12) is Shape.PLATEAU
    full = assess(population(births, window_s=12, is_full=True))
    assert full.shape is Shape.LEAKING
    assert full.rate_per_s == pytest.approx(10, rel=0.05)


def test_bursts_need_three_to_be_growth() -> None:
    def at(*times: float) -> list[float]:
        return [time + 0.01 * index for time in times for index in range(6)]

    assert shape(at(20.0)) is Shape.PLATEAU
    assert shape(at(2.0, 16.0)) is Shape.UNCLEAR
    assert shape(at(2.0, 10.0, 18.0, 26.0)) is Shape.LEAKING


def test_those_that_replace_others_are_not_decided() -> None:
    births = steady(24, 1, 30)
    assert shape(births, net_growth=24) is Shape.LEAKING
    assert shape(births, net_growth=20) is Shape.LEAKING
    replaced = assess(population(births, net_growth=19))
    assert replaced.shape is Shape.UNCLEAR
    assert "replace older ones" in replaced.reason


def test_proven_losses_need_no_contrast() -> None:
    births = steady(20, 1, 30)
    long_lives = dead(10, 12, 50)
    assert shape(births, lifetimes=long_lives) is not Shape.LEAKING
    assert assess(population(births, lifetimes=long_lives, is_proven=True)).confidence == 0.99


def test_the_rate_and_its_interval() -> None:
    found = assess(population(steady(61, 0, 30.5), window_s=30.0))
    assert found.rate_per_s == pytest.approx(2.0, rel=0.02)
    assert found.rate_low is not None
    assert found.rate_high is not None
    assert 1.4 < found.rate_low < 2.0 < found.rate_high < 2.7


# --- healthy shapes ---------------------------------------------------------------------------------------------------


def samples(alive: list[int], births: list[int] | None = None) -> tuple[BirthSample, ...]:
    """Return a series with these numbers alive, half a second apart."""
    total = births or [sum(alive[: index + 1]) for index in range(len(alive))]
    return tuple(
        BirthSample(index * S // 2, total[index], total[index] - alive[index], alive[index])
        for index in range(len(alive))
    )


def healthy(
    alive: list[int], *, lifetime_s: float, deaths: int, births: list[int] | None = None
) -> Assessment:
    window_s = (len(alive) - 1) / 2
    living = steady(alive[-1], window_s - lifetime_s, window_s) if alive[-1] else []
    return assess(
        population(
            living,
            window_s=window_s,
            lifetimes=dead(lifetime_s * 0.9, lifetime_s, deaths),
            series=samples(alive, births),
        )
    )


def test_everything_closed_is_churning() -> None:
    found = healthy([0, 1, 0, 2, 1, 0, 1, 0] * 5, lifetime_s=0.1, deaths=100)
    assert found.shape is Shape.CHURNING
    assert found.is_sure


def test_falls_to_the_base_are_batches() -> None:
    assert (
        healthy([0, 10, 20, 30, 0, 10, 20, 30, 0, 10, 20, 30], lifetime_s=2, deaths=60).shape is Shape.BATCH
    )


def test_a_number_that_stays_at_its_bound_is_capped() -> None:
    assert healthy([0, 20, 40, *([64] * 20)], lifetime_s=3, deaths=200).shape is Shape.CAPPED


def test_more_traffic_with_short_lives_is_a_ramp() -> None:
    births = [index * index // 4 for index in range(40)]
    alive = [index // 2 for index in range(40)]
    assert healthy(alive, lifetime_s=0.5, deaths=360, births=births).shape is Shape.RAMP


def test_one_opened_at_the_start_is_long_lived_and_one_opened_late_is_not_decided() -> None:
    assert shape([1.0, 2.0]) is Shape.LONG_LIVED
    assert shape([1.0, 20.0]) is Shape.UNCLEAR


def test_nothing_is_none() -> None:
    assert shape([]) is Shape.NONE
    assert shape([]).is_healthy


# --- error rates ------------------------------------------------------------------------------------------------------


def judged(name: str, seed: int, window_s: float) -> list[Finding]:
    """Return findings above info on one simulated window."""
    rng = random.Random(f"{name} {window_s} {seed}")
    scene = Scene(window_s=window_s, nofile_soft=1 << 20)
    {**HEALTHY, **LEAKING}[name](rng, scene)
    diagnosis = diagnose(scene.evidence())
    assert not diagnosis.gaps
    return [finding for finding in diagnosis.findings if finding.severity is not Severity.INFO]


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_no_false_alarm_in_simulated_healthy_processes(name: str) -> None:
    alarms = {
        (window_s, seed): found[0].title
        for window_s in (8.0, 12.0, 30.0)
        for seed in range(8)
        if (found := judged(name, seed, window_s))
    }
    assert not alarms


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAKING)
def test_simulated_leaks_are_found(name: str) -> None:
    windows = (12.0, 15.0) if name == "planted" else (8.0, 12.0, 30.0)
    missed = [
        (window_s, seed) for window_s in windows for seed in range(8) if not judged(name, seed, window_s)
    ]
    assert not missed


def test_the_same_evidence_gives_the_same_words() -> None:
    scene = Scene()
    LEAKING["some_of_many"](random.Random(7), scene)
    evidence = scene.evidence()
    first, second = diagnose(evidence), diagnose(evidence)
    assert first == second
    assert any(isinstance(verdict, Finding) for verdict in first.findings)
    assert all(isinstance(verdict, Cleared) for verdict in first.cleared)
