"""The small statistics agree with their definitions and with tabulated values."""

from __future__ import annotations

import random

import pytest

from leadline.rules.stats import (
    binomial_at_most,
    chance_of_silence,
    clusters,
    kaplan_meier,
    laplace_z,
    mann_kendall_z,
    occupied_bins,
    poisson_interval,
    theil_sen,
)


def test_laplace_is_near_zero_for_a_steady_rate_and_far_below_for_an_early_one() -> None:
    rng = random.Random(1)
    steady = [laplace_z([rng.random() for _ in range(20)]) for _ in range(500)]
    assert abs(sum(steady) / 500) < 0.2
    assert sum(z < -3.3 for z in steady) == 0
    assert laplace_z([0.1 * rng.random() for _ in range(20)]) < -6
    assert laplace_z([]) == 0.0


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (100, 81.36, 121.63)]
)
def test_poisson_intervals_agree_with_the_exact_ones(count: int, low: float, high: float) -> None:
    interval = poisson_interval(count)
    assert interval.low == pytest.approx(low, rel=0.02, abs=0.03)
    assert interval.high == pytest.approx(high, rel=0.03)


def test_binomial_tail() -> None:
    assert binomial_at_most(1, 4, 0.5) == pytest.approx(5 / 16)
    assert binomial_at_most(0, 10, 0.0) == 1.0
    assert binomial_at_most(0, 10, 1.0) == 0.0
    assert binomial_at_most(0, 100_000, 0.01) == pytest.approx(0.0, abs=1e-300)


def test_chance_of_silence_is_bounded() -> None:
    assert chance_of_silence(0.0, 7) == 1.0
    assert chance_of_silence(1.5, 7) == 0.0
    assert chance_of_silence(-1.0, 7) == 1.0


def test_clusters_and_bins() -> None:
    assert clusters([], 0.1) == 0
    assert clusters([0.0, 0.1, 0.2], 0.1) == 1
    assert clusters([0.0, 0.11, 0.22], 0.1) == 3
    assert occupied_bins([0.0, 0.05, 0.5, 1.0], 4) == 3


def test_mann_kendall_agrees_with_the_textbook() -> None:
    # Gilbert 1987, n = 10 without ties, S = 29: z = 28 / sqrt(125) = 2.504
    values = [1.0, 2.0, 4.0, 3.0, 5.0, 7.0, 6.0, 8.0, 10.0, 9.0]
    score = 45 - 2 * 3
    assert mann_kendall_z(values) == pytest.approx((score - 1) / 125**0.5)
    assert mann_kendall_z([1.0, 2.0, 3.0]) == 0.0
    assert mann_kendall_z([5.0] * 20) == 0.0


def test_theil_sen_ignores_an_outlier() -> None:
    points = [(float(x), 2.0 * x) for x in range(20)]
    points[7] = (7.0, 500.0)
    slope = theil_sen(points)
    assert slope is not None
    assert slope.value == pytest.approx(2.0)
    assert slope.low <= 2.0 <= slope.high
    assert theil_sen([(0.0, 1.0), (0.0, 2.0), (1.0, 3.0), (2.0, 4.0)]) is None


def test_kaplan_meier_counts_only_those_still_at_risk() -> None:
    # Two die at 1, one at 3, one is censored at 2: 1 - 2/4 = 0.5, then 1 - 1/1 = 0.
    assert kaplan_meier([(1, 2), (3, 1)], [2], 2) == pytest.approx(0.5)
    assert kaplan_meier([(1, 2), (3, 1)], [2], 3) == pytest.approx(0.0)
    assert kaplan_meier([], [5, 6], 10) == 1.0


def test_any_positions_give_a_number() -> None:
    rng = random.Random(5)
    for size in range(40):
        ordered = sorted(rng.choice([0.0, 0.5, 1.0, rng.random()]) for _ in range(size))
        assert isinstance(laplace_z(ordered), float)
        assert 0 <= clusters(ordered, rng.random()) <= size
        assert 0 <= occupied_bins(ordered, 8) <= min(size, 8)
