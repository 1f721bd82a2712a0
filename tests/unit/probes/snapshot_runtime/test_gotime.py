"""Moments as Go stores them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.probes.snapshot_runtime.gotime import mono_of_time

UNIX_MINUS_MONO = 1_790_000_000 * 10**9
SINCE_1885 = 2_682_288_000
SINCE_YEAR_1 = 62_135_596_800
AT_S = 1_790_000_100
"""A hundred seconds after the monotonic clock began."""


def test_a_time_with_a_monotonic_reading_has_its_wall_clock_in_33_bits_since_1885() -> None:
    wall = 1 << 63 | (AT_S + SINCE_1885) << 30 | 7
    assert mono_of_time(wall, 12345, UNIX_MINUS_MONO) == 100 * 10**9 + 7


def test_a_time_without_has_seconds_since_the_year_1() -> None:
    assert mono_of_time(9, AT_S + SINCE_YEAR_1, UNIX_MINUS_MONO) == 100 * 10**9 + 9


@pytest.mark.parametrize(
    ("wall", "ext", "distance"),
    [
        (0, 0, UNIX_MINUS_MONO),  # the zero time: never
        (9, AT_S + SINCE_YEAR_1, None),  # no clock to compare with
        (9, 5, UNIX_MINUS_MONO),  # before the boot
        (9, 1 << 62, UNIX_MINUS_MONO),  # nonsense
        (9, (1 << 64) - 1, UNIX_MINUS_MONO),  # a negative number
    ],
)
def test_no_moment_is_made_up(wall: int, ext: int, distance: int | None) -> None:
    assert mono_of_time(wall, ext, distance) is None


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_any_words_give_a_sane_moment_or_none(wall: int, ext: int) -> None:
    moment = mono_of_time(wall, ext, UNIX_MINUS_MONO)
    assert moment is None or 0 < moment < 1 << 60
