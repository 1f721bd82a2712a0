"""Moments as Go stores them, on the monotonic clock."""

from __future__ import annotations

__all__ = ["mono_of_time"]

_HAS_MONOTONIC = 1 << 63
_NANOSECONDS = (1 << 30) - 1
_SECONDS_1885 = (1 << 33) - 1
_FROM_1885 = -2_682_288_000  # 1885-01-01 to 1970-01-01, as seconds of Unix time
_FROM_YEAR_1 = -62_135_596_800
_SANE_S = 10 * 365 * 86_400


def mono_of_time(wall: int, ext: int, unix_minus_mono_ns: int | None) -> int | None:
    """Return a ``time.Time`` as CLOCK_MONOTONIC in ns; None for the zero time, nonsense, or when the clocks' distance is unknown.

    Args:
        wall: its first word, unsigned.
        ext: its second word, unsigned.
        unix_minus_mono_ns: CLOCK_REALTIME minus CLOCK_MONOTONIC; the wall clock may have been set since, so the answer is as
            good as that clock.

    >>> mono_of_time(1 << 63 | 4_400_000_000 << 30 | 5, 77, 1_717_711_000_000_000_000)
    1000000000005

    Source: time/time.go, Time.
    """
    if unix_minus_mono_ns is None or (wall == 0 and ext == 0):
        return None
    nanoseconds = wall & _NANOSECONDS
    if wall & _HAS_MONOTONIC:
        seconds = (wall >> 30 & _SECONDS_1885) + _FROM_1885
    else:
        seconds = ext - (1 << 64 if ext >= 1 << 63 else 0) + _FROM_YEAR_1
    mono_ns = seconds * 1_000_000_000 + nanoseconds - unix_minus_mono_ns
    return mono_ns if 0 < mono_ns < _SANE_S * 1_000_000_000 else None
