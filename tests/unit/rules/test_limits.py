"""Time until the limit, with its interval, and what it makes of severity."""

from __future__ import annotations

import math

import pytest

from leadline.model import Severity
from leadline.rules.limits import CRITICAL_LEFT_S, CRITICAL_SHARE, HIGH_LEFT_S, severity_of, time_left


def test_time_left_with_its_interval() -> None:
    left = time_left(24, 1024, 2.0, 1.0, 4.0)
    assert left is not None
    assert (left.expected_s, left.soonest_s, left.latest_s) == (500.0, 250.0, 1000.0)
    assert left.says() == (
        "24 of 1024 descriptors are open; at this rate the soft limit is reached in 8 min 20 s"
        " (95 %: 4 min 10 s to 16 min 40 s)."
    )


def test_a_rate_that_may_be_zero_has_no_latest_time() -> None:
    left = time_left(24, 1024, 2.0, 0.0, 4.0)
    assert left is not None
    assert math.isinf(left.latest_s)
    assert "to later" in left.says()


def test_a_full_table_has_no_time_left() -> None:
    left = time_left(1024, 1024, 2.0, 1.0, 4.0)
    assert left is not None
    assert left.says() == "The soft limit of 1024 descriptors is reached (1024 are open)."


@pytest.mark.parametrize(
    "facts", [(None, 1024, 1.0), (10, None, 1.0), (10, 1024, None), (10, 1024, 0.0), (0, 1024, 1.0)]
)
def test_unknown_parts_give_none(facts: tuple[int | None, int | None, float | None]) -> None:
    assert time_left(*facts, None, None) is None


@pytest.mark.parametrize(
    ("seconds", "severity"),
    [
        (CRITICAL_LEFT_S - 1, Severity.CRITICAL),
        (CRITICAL_LEFT_S, Severity.HIGH),
        (HIGH_LEFT_S - 1, Severity.HIGH),
        (HIGH_LEFT_S, Severity.MEDIUM),
    ],
)
def test_severity_steps_exactly_at_its_bounds(seconds: float, severity: Severity) -> None:
    left = time_left(1, 1001, 1000 / seconds, None, None)
    assert left is not None
    assert left.expected_s == pytest.approx(seconds)
    assert severity_of(left, 0.1, is_growing=True) is severity


def test_severity_without_a_time() -> None:
    assert severity_of(None, None, is_growing=True) is Severity.HIGH
    assert severity_of(None, 0.5, is_growing=False) is Severity.MEDIUM
    assert severity_of(None, CRITICAL_SHARE, is_growing=False) is Severity.CRITICAL
    assert severity_of(None, CRITICAL_SHARE - 0.001, is_growing=False) is Severity.MEDIUM
