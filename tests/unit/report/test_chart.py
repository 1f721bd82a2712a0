from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.report.chart import chart, spark
from leadline.report.series import Series

LINE = Series(1, "main.f <x>", ((0.0, 0), (15.0, 23), (30.0, 10)))


def test_a_line_goes_where_its_counts_say() -> None:
    root = ET.fromstring(chart("t", (LINE,), 30.0))
    line = root.find(".//polyline")
    assert line is not None
    assert line.get("points") == "56,210 480,96.2 904,160.5"
    assert [mark.text for mark in root.findall("text")] == [
        "0",
        "10",
        "20",
        "30",
        "40",
        "0 s",
        "5 s",
        "10 s",
        "15 s",
        "20 s",
        "25 s",
        "30 s",
    ]
    drawn = json.loads(root.get("data-points", ""))
    assert drawn["series"] == [
        {"name": "main.f <x>", "color": 1, "points": [[0.0, 0], [15.0, 23], [30.0, 10]]}
    ]


@pytest.mark.parametrize(
    ("high", "top"), [(0, "4"), (4, "4"), (5, "5"), (23, "40"), (41, "50"), (51, "100"), (9_999, "10,000")]
)
def test_the_axis_ends_at_a_round_number(high: int, top: str) -> None:
    root = ET.fromstring(chart("t", (Series(1, "n", ((0.0, 0), (1.0, high))),), 1.0))
    marks = [mark.text for mark in root.findall("text") if mark.get("class") == "tick end"]
    assert (marks[0], marks[-1]) == ("0", top)


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 10**7)), min_size=2, max_size=50), st.floats(0, 1e5)
)
def test_any_counts_stay_inside_the_picture(points: list[tuple[float, int]], duration_s: float) -> None:
    one = Series(1, "n", tuple(sorted(points)))
    for picture, width, height in (
        (chart("t", (one,), duration_s), 920, 240),
        (spark(one, duration_s), 120, 26),
    ):
        line = ET.fromstring(picture).find(".//polyline")
        assert line is not None
        for pair in line.get("points", "").split():
            x, y = (float(number) for number in pair.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_a_spark_line_says_its_range() -> None:
    root = ET.fromstring(spark(LINE, 30.0))
    assert root.findtext("title") == "alive: from 0 to 10, lowest 0, highest 23"
