"""Durations and sizes carry units, in and out."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.model import UsageError, format_bytes, format_duration, parse_duration_ns, parse_size_bytes

S = 10**9


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("1ns", 1),
        ("250us", 250_000),
        ("250ms", 250_000_000),
        ("30s", 30 * S),
        ("2m", 120 * S),
        ("2min", 120 * S),
        ("1m30s", 90 * S),
        ("1h", 3600 * S),
        ("1.5s", 1_500_000_000),
    ],
)
def test_durations_are_read_with_their_unit(text: str, expected_ns: int) -> None:
    assert parse_duration_ns(text) == expected_ns


@pytest.mark.parametrize(
    "text", ["", "30", "s", "30 s", "-3s", "3x", "30sec", "0s", "1s2", "1e3s", "٣s", "nan"]
)
def test_a_bare_number_or_an_unknown_unit_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration_ns(text)
    assert "30s" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "expected_bytes"),
    [("1B", 1), ("1kB", 1000), ("1KiB", 1024), ("64MiB", 64 << 20), ("1.5GiB", 3 << 29), ("2MB", 2 * 10**6)],
)
def test_sizes_are_read_with_their_unit(text: str, expected_bytes: int) -> None:
    assert parse_size_bytes(text) == expected_bytes


@pytest.mark.parametrize("text", ["", "64", "64M", "64 MiB", "-1B", "1KB"])
def test_other_sizes_are_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size_bytes(text)
    assert "64MiB" in caught.value.remedy


@pytest.mark.parametrize(
    ("duration_ns", "said"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1 us"),
        (1_500_000, "1.5 ms"),
        (12_300_000, "12 ms"),
        (30 * S, "30 s"),
        (60 * S, "1 min"),
        (90 * S, "1 min 30 s"),
        (3600 * S, "1 h"),
        (3601 * S, "1 h"),
        (200_000 * S, "2 d 7 h"),
        (-90 * S, "-1 min 30 s"),
    ],
)
def test_durations_are_said_in_two_units_at_most(duration_ns: int, said: str) -> None:
    assert format_duration(duration_ns) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120.0 GiB")],
)
def test_sizes_are_said_in_binary_units(size_bytes: int, said: str) -> None:
    assert format_bytes(size_bytes) == said


@given(st.text())
def test_any_text_gives_a_duration_and_a_size_or_a_usage_error(text: str) -> None:
    for parse in (parse_duration_ns, parse_size_bytes):
        with suppress(UsageError):
            assert parse(text) >= 0


@given(st.integers(min_value=1, max_value=10**7), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_whole_numbers_are_exact_in_every_unit(number: int, unit: str) -> None:
    factor = {"ns": 1, "us": 10**3, "ms": 10**6, "s": S, "m": 60 * S, "h": 3600 * S}[unit]
    assert parse_duration_ns(f"{number}{unit}") == number * factor


@given(st.integers(min_value=0, max_value=10**18))
def test_every_duration_can_be_said_without_a_minus_or_an_empty_text(duration_ns: int) -> None:
    said = format_duration(duration_ns)
    assert said
    assert "-" not in said
    assert len(said.split()) in {2, 4}
