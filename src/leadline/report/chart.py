"""Lines over time as SVG, drawn without a library: a chart with axes, and a spark line for a table row."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from leadline.report.markup import Safe, tag
from leadline.report.series import Series

__all__ = ["chart", "spark"]

WIDTH, HEIGHT = 920, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 30
SPARK_WIDTH, SPARK_HEIGHT = 120, 26


def chart(title: str, series: Sequence[Series], duration_s: float, *, first_color: int = 1) -> Safe:
    """Return a chart of counts over time, from zero up, with one colour class (``c1`` ...) per line.

    The points are also in its ``data-points`` attribute as JSON, for the script that shows values under the pointer.
    """
    top = _nice(max(count for one in series for _, count in one.points))
    span_s = max(duration_s, 1e-9, *(one.points[-1][0] for one in series))

    def x(seconds: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * seconds / span_s, 1)

    def y(count: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / top, 1)

    grid = [
        (
            tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(count), y2=y(count), class_="grid"),
            tag("text", f"{count:,.0f}", x=LEFT - 8, y=y(count) + 4, class_="tick end"),
        )
        for count in _steps(top)
    ]
    marks = [
        tag("text", _seconds(mark), x=x(mark), y=HEIGHT - 8, class_="tick middle") for mark in _marks(span_s)
    ]
    lines = []
    for number, one in enumerate(series):
        path = " ".join(f"{x(seconds):g},{y(count):g}" for seconds, count in one.points)
        final_s, final = one.points[-1]
        lines.append(
            tag(
                "g",
                tag("title", f"{one.name}: {final:,} at the end"),
                tag("polyline", points=path, class_="line"),
                tag("circle", cx=x(final_s), cy=y(final), r=3.5, class_="dot"),
                class_=f"c{first_color + number}",
            )
        )
    drawn = {
        "width": WIDTH,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
        "span": round(span_s, 3),
        "series": [
            {
                "name": one.name,
                "color": first_color + number,
                "points": [(round(s, 3), n) for s, n in one.points],
            }
            for number, one in enumerate(series)
        ],
    }
    return tag(
        "svg", tag("title", title), grid, marks, lines, tag("line", class_="cursor", x1=0, x2=0, y1=TOP, y2=HEIGHT - BOTTOM),
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="chart", data_points=json.dumps(drawn, separators=(",", ":")),
    )  # fmt: skip


def spark(one: Series, duration_s: float) -> Safe:
    """Return a line without axes, from the lowest to the highest count; the words are in its title."""
    counts = [count for _, count in one.points]
    low, high = min(counts), max(counts)
    span_s = max(duration_s, one.points[-1][0], 1e-9)
    middle = SPARK_HEIGHT / 2
    path = " ".join(
        f"{2 + (SPARK_WIDTH - 4) * seconds / span_s:.1f},"
        f"{middle if low == high else SPARK_HEIGHT - 3 - (SPARK_HEIGHT - 6) * (count - low) / (high - low):.1f}"
        for seconds, count in one.points
    )
    return tag(
        "svg", tag("title", f"alive: from {counts[0]:,} to {counts[-1]:,}, lowest {low:,}, highest {high:,}"),
        tag("polyline", points=path, class_="line"),
        viewBox=f"0 0 {SPARK_WIDTH} {SPARK_HEIGHT}", width=SPARK_WIDTH, height=SPARK_HEIGHT, role="img", class_="spark",
    )  # fmt: skip


def _nice(count: float) -> float:
    """Return the next number at or above that divides well: 1, 2, 4, 5 or 10 times a power of ten, at least 4."""
    if count <= 4:
        return 4
    power = 10.0 ** math.floor(math.log10(count))
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= count)


def _steps(top: float) -> list[float]:
    return (
        [top * number / 4 for number in range(5)]
        if top % 4 == 0
        else [top * number / 5 for number in range(6)]
    )


def _marks(span_s: float) -> list[float]:
    """Return about six round times from zero to the end."""
    rough = span_s / 6
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    return [number * step for number in range(int(span_s / step + 1e-9) + 1)]


def _seconds(seconds: float) -> str:
    if seconds >= 120 and seconds % 60 == 0:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s"
