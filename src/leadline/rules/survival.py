"""Do the descriptors of one birthplace pile up? The judgement that the leak rules share, on numbers alone.

A leak is a population with a part that never dies: descriptors that have outlived what the dead of the same birthplace
allow, still being born up to the end of the window. Three questions decide:

1. *Who has outlived the others?* The **cut** is the shortest age beyond which (almost) nobody dies: at most 5 % as many
   deaths as there are survivors older than 1.5 times the cut. Without deaths the cut is 0. This is the plateau of the
   Kaplan-Meier curve; that survivors must be well past the longest ordinary lifetime is the condition of sufficient
   follow-up of cure models (Maller and Zhou 1992): the residual life of those beyond the cut must be at least twice the
   cut at 95 %, and so few deaths beyond it must be improbable (p < 0.0001) under one constant risk of death.
2. *Do more and more join them?* The births of these survivors must spread over the window from the first one on: at
   least three groups apart, or six of eight equal parts; Laplace's trend test and the silence at the end must not
   exclude a steady rate. A pool or cache that fills up, a burst and a start-up fail here: their births lie early.
3. *Do they replace others?* When the number of descriptors of that kind did not grow as much (a sixth less is
   allowed, and three standard deviations of the number of short-lived ones), older ones went as these came: not decided.

At least five survivors are asked for. Confidence is ``1 - exp(-n / 4)`` for n survivors (5: 0.71, 12: 0.95, 23: 0.997),
times 0.9 when nothing of this birthplace ever died in the window (no contrast: a long life looks the same), times 0.9
when growth seems to have paused, at most 0.99.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from enum import StrEnum

from leadline.evidence.kinds import BirthSample, LifetimeBucket
from leadline.rules.stats import (
    binomial_at_most,
    chance_of_silence,
    clusters,
    laplace_z,
    mann_kendall_z,
    occupied_bins,
    poisson_interval,
)

__all__ = ["MIN_SURVIVORS", "Assessment", "Population", "Shape", "assess"]

S = 10**9

MIN_SURVIVORS = 5
"""Fewer than this many survivors are never called a leak: 1 - exp(-5 / 4) is a confidence of 0.71."""
OUTLIVED_FACTOR = 1.5
"""A survivor has outlived the dead when it is older than this many times the cut."""
DEATHS_BEYOND_RATIO = 0.05
"""Deaths allowed beyond the cut, per survivor beyond it: stray closes, such as a pool that trims itself."""
RESIDUAL_FACTOR = 2.0
"""Those beyond the cut must have a residual life (lower 95 % bound) of this many cuts."""
SAME_RISK_CHANCE = 1e-4
"""Chance of so few deaths beyond the cut under one constant risk, below which the survivors are a population of their own."""
MIN_SPREAD_NS = 3 * S
"""Births of survivors must spread over at least this time; a leak of five at 2/s does."""
SLOWING_Z = -3.3
"""Laplace statistic below which a steady rate is excluded (one-sided p < 0.0005)."""
SILENCE_CHANCE = 1e-4
"""Chance of the silence at the end under a steady rate, below which growth has stopped."""
PAUSED_CHANCE = 0.01
"""Chance of the silence below which growth seems to pause: costs confidence only."""
CHURN_SURE_DEATHS = 10
SURE_WINDOW_NS = 15 * S
EARLY_RATIO = 0.25
"""Births in this first part of the window, and none later, are a start-up."""


class Shape(StrEnum):
    """What a birthplace's descriptors do."""

    LEAKING = "leaking"
    PLATEAU = "plateau"
    CAPPED = "capped"
    CHURNING = "churning"
    BATCH = "batch"
    RAMP = "ramp-up"
    LONG_LIVED = "long-lived"
    NONE = "none"
    UNCLEAR = "too-little-evidence"

    @property
    def is_healthy(self) -> bool:
        """Return whether the shape clears the birthplace."""
        return self not in {Shape.LEAKING, Shape.UNCLEAR}


@dataclass(frozen=True, slots=True)
class Population:
    """Births, deaths and ages at one birthplace.

    Attributes:
        begin_ns, end_ns: the window; one clock.
        ages_ns: ages at the end of the living under suspicion, ascending. Those that other evidence excuses (in use, peer
            still connected) are left out.
        alive: all living, excused ones included.
        lifetimes: of the dead.
        series: samples over the window; may be empty.
        net_growth: by how many the process's descriptors of this kind grew in the window; None when unknown.
        min_survivors: least number called a leak.
        is_full: the process was at its limit at the end, so growth could not go on.
        is_proven: each suspect is known to be lost by other evidence, so lifetimes of the dead do not matter.
    """

    begin_ns: int
    end_ns: int
    births: int
    deaths: int
    alive: int
    ages_ns: tuple[int, ...]
    lifetimes: tuple[LifetimeBucket, ...] = ()
    series: tuple[BirthSample, ...] = ()
    net_growth: int | None = None
    min_survivors: int = MIN_SURVIVORS
    is_full: bool = False
    is_proven: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """The judgement on a population.

    Attributes:
        leaked: survivors under suspicion (all, also the youngest).
        outlived: those older than 1.5 cuts, on which the judgement rests.
        cut_ns: age beyond which (almost) nobody dies; 0 without deaths.
        rate_per_s, rate_low, rate_high: growth with its 95 % interval; None unless leaking.
        reason: one sentence with numbers.
        wanted: what more would decide; only for ``UNCLEAR``.
        is_sure: whether a longer window would hardly change it.
    """

    shape: Shape
    confidence: float
    leaked: int
    reason: str
    outlived: int = 0
    cut_ns: int = 0
    rate_per_s: float | None = None
    rate_low: float | None = None
    rate_high: float | None = None
    wanted: str = ""
    is_sure: bool = False
    paused_ns: int | None = field(default=None)


def assess(population: Population) -> Assessment:
    """Return what the descriptors of a birthplace do."""
    if population.births == 0 and population.alive == 0:
        return Assessment(Shape.NONE, 1.0, 0, "nothing was acquired here during the window", is_sure=True)
    cut_ns, outlived = _cut(population)
    if outlived:
        growth = _growth(population, cut_ns, outlived)
        if growth is not None:
            return growth
    return _healthy(population)


def _cut(population: Population) -> tuple[int, int]:
    """Return the cut and how many survivors lie well beyond it; (0, 0) when there is no such age."""
    ages = population.ages_ns
    if population.is_proven:
        return 0, len(ages) if len(ages) >= population.min_survivors else 0
    bounds = [0, *sorted({bucket.upper_ns for bucket in population.lifetimes})]
    for bound_ns in bounds:
        outlived = len(ages) - bisect_right(ages, int(bound_ns * OUTLIVED_FACTOR))
        if outlived < population.min_survivors:
            break  # larger cuts leave fewer still
        beyond = sum(bucket.count for bucket in population.lifetimes if bucket.upper_ns > bound_ns)
        if beyond <= DEATHS_BEYOND_RATIO * outlived:
            return bound_ns, outlived
    return 0, 0


def _growth(population: Population, cut_ns: int, outlived: int) -> Assessment | None:
    """Return leaking, plateau or unclear for a population with survivors beyond the cut; None when the cut proves nothing."""
    ages = population.ages_ns[-outlived:]
    if cut_ns and not _is_separate(population, cut_ns, ages):
        return None
    horizon_ns = population.end_ns - population.begin_ns - int(cut_ns * OUTLIVED_FACTOR)
    births_ns = sorted(population.end_ns - population.begin_ns - age for age in ages)
    first_ns = births_ns[0]
    if population.is_full:
        horizon_ns = births_ns[-1]
    span_ns = horizon_ns - first_ns
    leaked = len(population.ages_ns)
    found = Assessment(Shape.UNCLEAR, 0.5, leaked, "", outlived=outlived, cut_ns=cut_ns)
    silence_ns = horizon_ns - births_ns[-1]
    if span_ns < MIN_SPREAD_NS:
        return _brief(population, found, span_ns)
    positions = [(birth - first_ns) / span_ns for birth in births_ns[1:]]
    groups, parts = clusters([0.0, *positions], 1 / 40), occupied_bins([0.0, *positions], 8)
    if groups < 3 and parts < 3:
        return _burst(population, found, groups, silence_ns)
    chance = chance_of_silence(silence_ns / span_ns, len(positions))
    if laplace_z(positions) < SLOWING_Z or chance < SILENCE_CHANCE:
        return _stopped(population, found, births_ns, silence_ns)
    if groups < 3 and parts < 6:
        return replace(
            found,
            reason=f"{outlived} are open that came in {'one go' if groups == 1 else 'two goes'}",
            wanted="trace longer, to see whether more come",
        )
    if population.net_growth is not None and population.net_growth < _least_growth(population, leaked):
        return replace(
            found,
            reason=f"{leaked} are new, but the process has only {population.net_growth:+d} of this kind:"
            " they seem to replace older ones",
            wanted="trace longer than these descriptors usually live",
        )
    return _leaking(population, found, span_ns, len(positions), chance=chance, silence_ns=silence_ns)


def _least_growth(population: Population, leaked: int) -> float:
    """Return by how many descriptors of this kind must have become more, if none of the leaked took an older one's place.

    Short-lived ones were open at the beginning too: by Little's law their mean number is the sum of their lifetimes over
    the window; three of their standard deviations are allowed.
    """
    window_ns = population.end_ns - population.begin_ns
    lived_ns = sum(bucket.upper_ns * bucket.count for bucket in population.lifetimes)
    passing = min(lived_ns / window_ns, float(population.deaths)) if window_ns > 0 else 0.0
    return leaked - leaked // 6 - passing - 3 * math.sqrt(passing)


def _is_separate(population: Population, cut_ns: int, ages: tuple[int, ...]) -> bool:
    """Return whether death really stops at the cut: the risk beyond it is lower, and the residual life long.

    Under one constant risk, deaths fall before and beyond the cut as the time lived there does; so few beyond it must have
    a chance below ``SAME_RISK_CHANCE``. The residual life beyond it, at 95 %, must be at least twice the cut.
    """
    beyond = sum(bucket.count for bucket in population.lifetimes if bucket.upper_ns > cut_ns)
    exposure_ns = sum(age - cut_ns for age in ages)
    if exposure_ns / poisson_interval(beyond).high < RESIDUAL_FACTOR * cut_ns:
        return False
    lived_ns = sum(min(bucket.upper_ns, cut_ns) * bucket.count for bucket in population.lifetimes)
    lived_ns += sum(min(age, cut_ns) for age in population.ages_ns)
    share_beyond = exposure_ns / (exposure_ns + lived_ns)
    return binomial_at_most(beyond, population.deaths, share_beyond) < SAME_RISK_CHANCE


def _leaking(
    population: Population, found: Assessment, span_ns: int, count: int, *, chance: float, silence_ns: int
) -> Assessment:
    confidence = 1 - math.exp(-found.outlived / 4)
    if not population.deaths and not population.is_proven:
        confidence *= 0.9
    paused = chance < PAUSED_CHANCE
    if paused:
        confidence *= 0.9
    confidence = round(min(confidence, 0.99), 3)
    span_s = span_ns / S
    interval = poisson_interval(count)
    if found.cut_ns:
        reason = (
            f"{found.outlived} are alive that are older than {_seconds(found.cut_ns * OUTLIVED_FACTOR)},"
            f" while the {population.deaths} that were closed lived at most about {_seconds(found.cut_ns)}"
        )
    elif population.deaths:
        reason = f"{population.deaths} of {population.births} were closed"
    else:
        reason = f"none of {population.births} was closed"
    reason += f"; they came in all the time over {span_s:.1f} s"
    return replace(
        found,
        shape=Shape.LEAKING,
        confidence=confidence,
        rate_per_s=count / span_s,
        rate_low=interval.low / span_s,
        rate_high=interval.high / span_s,
        reason=reason,
        is_sure=confidence >= 0.9 and not paused,
        paused_ns=silence_ns if paused else None,
    )


def _brief(population: Population, found: Assessment, span_ns: int) -> Assessment:
    """All survivors beyond the cut were born within a moment of the end: nothing can be said yet."""
    return replace(
        found,
        reason=f"{len(population.ages_ns)} came in during the last {_seconds(max(span_ns, 0))} of the window",
        wanted="trace for at least 10 s after they begin to appear",
    )


def _stopped(population: Population, found: Assessment, births_ns: list[int], silence_ns: int) -> Assessment:
    window_ns = population.end_ns - population.begin_ns
    late = sum(birth > window_ns * 2 // 3 for birth in births_ns)
    if late > 0.15 * len(births_ns):
        return replace(
            found,
            reason=f"{found.outlived} are open and growth is slowing down, {late} came in the last third of the window",
            wanted="trace longer, to see whether growth stops",
        )
    return replace(
        found,
        shape=Shape.PLATEAU,
        confidence=0.9,
        reason=f"{population.alive} are open; growth stopped: the last lasting one came {_seconds(silence_ns)} before the end",
        is_sure=silence_ns >= 10 * S,
    )


def _burst(population: Population, found: Assessment, groups: int, silence_ns: int) -> Assessment:
    times = "at one moment" if groups <= 1 else "in two bursts"
    if groups <= 1 and silence_ns >= MIN_SPREAD_NS:
        return replace(
            found,
            shape=Shape.PLATEAU,
            confidence=0.8,
            reason=f"{population.alive} are open; they came {times}, none in the last {_seconds(silence_ns)}",
            is_sure=silence_ns >= 10 * S,
        )
    return replace(
        found,
        reason=f"{found.outlived} are open that came {times}",
        wanted="trace longer than three of these bursts",
    )


def _healthy(population: Population) -> Assessment:
    """Return a shape for a population without a growing part that never dies."""
    window_ns = population.end_ns - population.begin_ns
    leaked = len(population.ages_ns)
    if population.deaths == 0:
        return _few(population, leaked, window_ns)
    turnover = f"{population.deaths} of {population.births} were closed, {population.alive} are open"
    typical_ns = _quantile_ns(population.lifetimes, 0.95)
    sure = population.deaths >= CHURN_SURE_DEATHS and window_ns >= 10 * S and typical_ns * 5 <= window_ns
    if population.alive <= max(2, population.deaths // 50) or population.alive == 0:
        shape = Shape.BATCH if _returns(population.series) >= 2 else Shape.CHURNING
        return Assessment(shape, 0.95, leaked, f"{turnover}", is_sure=sure)
    if _returns(population.series) >= 2:
        return Assessment(
            Shape.BATCH, 0.9, leaked, f"{turnover}; the number falls back again and again", is_sure=sure
        )
    if _is_ramp(population, typical_ns, window_ns):
        reason = f"{turnover}; more are open because more are asked for, and each lives at most about {_seconds(typical_ns)}"
        return Assessment(Shape.RAMP, 0.8, leaked, reason, is_sure=sure)
    if _is_flat(population.series):
        reason = f"{turnover}; the number reached its bound and stays there"
        return Assessment(Shape.CAPPED, 0.9, leaked, reason, is_sure=sure)
    if leaked < population.min_survivors or not _still_rising(population.series):
        return Assessment(
            Shape.CHURNING, 0.85, leaked, f"{turnover}; deaths keep up with births", is_sure=sure
        )
    return Assessment(
        Shape.UNCLEAR,
        0.5,
        leaked,
        f"{turnover} and the number still rises, but lifetimes of about {_seconds(typical_ns)} are as long as the window allows",
        wanted=f"trace for at least {_seconds(max(6 * typical_ns, 2 * window_ns))}",
    )


def _few(population: Population, leaked: int, window_ns: int) -> Assessment:
    """No deaths, and too few survivors under suspicion for a leak."""
    born_ns = [window_ns - age for age in population.ages_ns]
    if leaked == 0:
        return Assessment(Shape.LONG_LIVED, 0.9, 0, f"{population.alive} are open", is_sure=True)
    if max(born_ns) <= EARLY_RATIO * window_ns:
        reason = f"{leaked} opened at the beginning of the window and none since"
        return Assessment(Shape.LONG_LIVED, 0.8, leaked, reason, is_sure=window_ns >= SURE_WINDOW_NS)
    return Assessment(
        Shape.UNCLEAR,
        0.5,
        leaked,
        f"{leaked} opened, none closed: too few to tell a leak from a long life",
        wanted="trace longer, for example with --until-sure -d 5m",
    )


def _quantile_ns(lifetimes: tuple[LifetimeBucket, ...], share: float) -> int:
    """Return the upper bound of the bucket in which that share of the dead is reached; 0 without deaths."""
    total = sum(bucket.count for bucket in lifetimes)
    seen = 0
    for bucket in lifetimes:
        seen += bucket.count
        if seen >= share * total:
            return bucket.upper_ns
    return 0


def _returns(series: tuple[BirthSample, ...]) -> int:
    """Return how often the number alive fell within two samples from above 60 % of its range to below 20 %.

    A range below 8 is noise and counts as none.
    """
    base = min((sample.alive for sample in series), default=0)
    top = max((sample.alive for sample in series), default=0)
    if top - base < 8:
        return 0
    falls, last_high = 0, -3
    for index, sample in enumerate(series):
        height = (sample.alive - base) / (top - base)
        if height >= 0.6:
            last_high = index
        elif height <= 0.2 and index - last_high <= 2:
            falls, last_high = falls + 1, -3
    return falls


def _is_flat(series: tuple[BirthSample, ...]) -> bool:
    """Return whether the second half of the window stays within 10 % (or 2) of the highest number."""
    late = [sample.alive for sample in series[len(series) // 2 :]]
    return len(late) >= 4 and max(late) - min(late) <= max(2, max(late) // 10)


def _is_ramp(population: Population, typical_ns: int, window_ns: int) -> bool:
    """Return whether births speed up and lifetimes stay short: Little's law explains the rise."""
    series = population.series
    if len(series) < 6 or typical_ns * 4 > window_ns:
        return False
    middle = series[len(series) // 2]
    early = middle.births - series[0].births
    late = series[-1].births - middle.births
    return late >= 1.2 * early and late - early >= 3 * math.sqrt(max(early, 1))


def _still_rising(series: tuple[BirthSample, ...]) -> bool:
    """Return whether the lower envelope of the number alive rises in the second half (Mann-Kendall over eight minima)."""
    late = [sample.alive for sample in series[len(series) // 2 :]]
    if len(late) < 8:
        return True  # cannot be excluded
    size = len(late) // 8
    floors = [min(late[index * size : (index + 1) * size]) for index in range(8)]
    return mann_kendall_z([float(floor) for floor in floors]) > 2.0 and floors[-1] - floors[0] >= 3


def _seconds(duration_ns: float) -> str:
    """Return a duration in seconds with at most three significant digits."""
    seconds = duration_ns / S
    if seconds >= 100:
        return f"{seconds:.0f} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
