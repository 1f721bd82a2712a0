"""Descriptors over time, as series to draw: the whole process, and its most telling birthplaces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, TimelineSample, Window
from leadline.evidence.queries import birthplaces, target
from leadline.model import printable

__all__ = ["Series", "TimelineView", "place_series", "thin", "timeline_view"]

MAX_SERIES = 6
MAX_POINTS = 240


@dataclass(frozen=True, slots=True)
class Series:
    """One line of at least two points (seconds since the window began, count); ``id`` is its birthplace, None for the whole."""

    id: int | None
    name: str
    points: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class TimelineView:
    """What to draw; ``whole`` is None when the table was not counted over time."""

    duration_s: float
    whole: Series | None
    places: tuple[Series, ...]


def timeline_view(evidence: Evidence, first: Iterable[int]) -> TimelineView:
    """Return the lines of a report; birthplaces in ``first`` (those of findings) come before the others."""
    window = evidence.first(Window)
    process = target(evidence)
    if window is None:
        return TimelineView(0.0, None, ())
    begin_ns = window.begin_mono_ns
    pid = None if process is None else process.pid
    samples = [
        (sample.mono_ns, sample.alive) for sample in evidence.all(TimelineSample) if pid in (None, sample.pid)
    ]
    points = _points(samples, begin_ns)
    whole = Series(None, "all descriptors", points) if len(points) > 1 else None
    preferred = tuple(first)
    rank = {number: place for place, number in reversed(list(enumerate(preferred)))}
    ordered = sorted(birthplaces(evidence), key=lambda place: rank.get(place.id, len(rank)))
    lines = [
        series
        for place in ordered
        if place.births or place.alive
        if (series := place_series(place, begin_ns))
    ]
    return TimelineView(window.duration_ns / 1e9, whole, tuple(lines[:MAX_SERIES]))


def place_series(place: Birthplace, begin_ns: int) -> Series | None:
    """Return a birthplace's alive count over time; None with fewer than two samples."""
    points = _points([(sample.mono_ns, sample.alive) for sample in place.series], begin_ns)
    if len(points) < 2:
        return None
    site = place.site
    name = f"{place.kind.value} {place.role}" if site is None else printable(site.function)
    if site is not None and site.file is not None and site.line is not None:
        name += f" {printable(site.file.rpartition('/')[2])}:{site.line}"
    return Series(place.id, name, points)


def thin(points: tuple[tuple[float, int], ...], limit: int) -> tuple[tuple[float, int], ...]:
    """Return at most about ``limit`` points: the first, the last, and the lowest and highest of each stretch between."""
    if len(points) <= limit:
        return points
    buckets = max(limit // 2 - 1, 1)
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(buckets):
        stretch = inner[number * len(inner) // buckets : (number + 1) * len(inner) // buckets]
        if stretch:
            low = min(stretch, key=lambda point: point[1])
            high = max(stretch, key=lambda point: point[1])
            kept += sorted({low, high})
    return (*kept, points[-1])


def _points(samples: list[tuple[int, int]], begin_ns: int) -> tuple[tuple[float, int], ...]:
    points = tuple((max(mono_ns - begin_ns, 0) / 1e9, alive) for mono_ns, alive in sorted(samples))
    return thin(points, MAX_POINTS)
