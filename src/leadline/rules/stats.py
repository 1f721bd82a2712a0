"""Small statistics that several rules share: trends, rates with intervals, survival. Pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = [
    "Interval",
    "Slope",
    "binomial_at_most",
    "chance_of_silence",
    "clusters",
    "kaplan_meier",
    "laplace_z",
    "mann_kendall_z",
    "occupied_bins",
    "poisson_interval",
    "theil_sen",
]

Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval; ``high`` may be infinite."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Slope:
    """A robust slope per unit of x with its 95 % interval."""

    value: float
    low: float
    high: float


def laplace_z(positions: Sequence[float]) -> float:
    """Return Laplace's trend statistic of event positions in (0, 1): 0 steady, below -2 slowing down, above 2 speeding up.

    Under a steady rate the positions are uniform, their mean is 1/2 with variance 1/(12 n), so the statistic is standard
    normal. The usual test of reliability growth (Cox and Lewis 1966). No positions give 0.0.

    >>> laplace_z([0.1, 0.3, 0.5, 0.7, 0.9])
    0.0
    """
    if not positions:
        return 0.0
    count = len(positions)
    return (math.fsum(positions) / count - 0.5) * math.sqrt(12 * count)


def chance_of_silence(silence_ratio: float, count: int) -> float:
    """Return the chance that ``count`` uniform events all avoid the last ``silence_ratio`` (0 to 1) of the time.

    >>> chance_of_silence(0.5, 2)
    0.25
    """
    return (1.0 - min(max(silence_ratio, 0.0), 1.0)) ** count


def binomial_at_most(successes: int, trials: int, chance: float) -> float:
    """Return the probability of at most so many successes.

    >>> round(binomial_at_most(0, 3, 0.5), 3), binomial_at_most(3, 3, 0.5)
    (0.125, 1.0)
    """
    if successes >= trials or chance <= 0:
        return 1.0
    if chance >= 1:
        return 0.0
    terms = (
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(found + 1)
            - math.lgamma(trials - found + 1)
            + found * math.log(chance)
            + (trials - found) * math.log1p(-chance)
        )
        for found in range(successes + 1)
    )
    return min(math.fsum(terms), 1.0)


def clusters(positions: Sequence[float], gap: float) -> int:
    """Return into how many groups the sorted positions fall when groups are more than ``gap`` apart.

    >>> clusters([0.0, 0.01, 0.5, 0.52, 0.9], 0.1)
    3
    """
    if not positions:
        return 0
    return 1 + sum(later - earlier > gap for earlier, later in pairwise(positions))


def occupied_bins(positions: Sequence[float], bins: int) -> int:
    """Return how many of ``bins`` equal parts of (0, 1) hold at least one position."""
    return len({min(int(position * bins), bins - 1) for position in positions})


def poisson_interval(count: int) -> Interval:
    """Return the 95 % interval of the mean of a Poisson count, by the approximation of Wilson and Hilferty (error < 2 %).

    >>> poisson_interval(0).low, round(poisson_interval(0).high, 1)
    (0.0, 3.7)
    """
    upper = count + 1
    high = upper * (1 - 1 / (9 * upper) + Z_95 / (3 * math.sqrt(upper))) ** 3
    if count == 0:
        return Interval(0.0, high)
    low = count * (1 - 1 / (9 * count) - Z_95 / (3 * math.sqrt(count))) ** 3
    return Interval(max(low, 0.0), high)


def mann_kendall_z(values: Sequence[float]) -> float:
    """Return the Mann-Kendall trend statistic, standard normal without trend, ties corrected; 0.0 below 4 values."""
    count = len(values)
    if count < 4:
        return 0.0
    score = sum(
        (values[later] > values[earlier]) - (values[later] < values[earlier])
        for earlier in range(count)
        for later in range(earlier + 1, count)
    )
    ties: dict[float, int] = {}
    for value in values:
        ties[value] = ties.get(value, 0) + 1
    variance = count * (count - 1) * (2 * count + 5)
    variance -= sum(size * (size - 1) * (2 * size + 5) for size in ties.values())
    if variance <= 0 or score == 0:
        return 0.0
    return (score - math.copysign(1, score)) / math.sqrt(variance / 18)


def theil_sen(points: Sequence[tuple[float, float]]) -> Slope | None:
    """Return the median slope of all pairs of (x, y) points with Sen's 95 % interval; None below 4 distinct x."""
    slopes = sorted(
        (y2 - y1) / (x2 - x1)
        for index, (x1, y1) in enumerate(points)
        for x2, y2 in points[index + 1 :]
        if x2 != x1
    )
    count = len(points)
    if len({x for x, _ in points}) < 4:
        return None
    spread = Z_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(int((len(slopes) - spread) / 2), 0)
    high = min(int((len(slopes) + spread) / 2) + 1, len(slopes) - 1)
    middle = len(slopes) // 2
    median = slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2
    return Slope(median, slopes[low], slopes[high])


def kaplan_meier(deaths: Sequence[tuple[int, int]], ages: Sequence[int], at: int) -> float:
    """Return the Kaplan-Meier estimate of the share that outlives age ``at``.

    Args:
        deaths: (lifetime, count) pairs; for bucketed lifetimes give the upper bound, which errs towards longer lives.
        ages: of the living, right-censored lifetimes, ascending or not.
        at: age in the same unit.

    >>> kaplan_meier([(1, 1), (2, 1)], [5, 5], 3)
    0.5
    """
    share = 1.0
    for lifetime, count in sorted(deaths):
        if lifetime > at:
            break
        at_risk = sum(size for other, size in deaths if other >= lifetime) + sum(
            age >= lifetime for age in ages
        )
        share *= 1.0 - count / at_risk
    return share
