"""Durations and sizes with units, as the command line takes and the report prints them."""

from __future__ import annotations

import re

from leadline.model.errors import UsageError

__all__ = ["format_bytes", "format_duration", "parse_duration_ns", "parse_size_bytes"]

_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
}
_SIZE_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 1000, "MB": 10**6, "GB": 10**9}


def parse_duration_ns(text: str) -> int:
    """Return nanoseconds for a duration with its unit, such as ``250ms``, ``30s``, ``2m`` or ``1m30s``.

    Raises:
        UsageError: no unit, an unknown unit, or not positive.
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|min|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(
            f"{text!r} is not a duration", remedy="write a number with its unit, such as 250ms, 30s or 2m"
        )
    total_ns = sum(int(float(number) * _DURATION_NS[unit]) for number, unit in parts)
    if total_ns <= 0:
        raise UsageError(f"{text!r} is not a positive duration", remedy="write something like 30s")
    return total_ns


def parse_size_bytes(text: str) -> int:
    """Return bytes for a size with its unit, such as ``64MiB``.

    Raises:
        UsageError: no unit or an unknown one.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(B|KiB|MiB|GiB|kB|MB|GB)", text)
    if not match:
        raise UsageError(f"{text!r} is not a size", remedy="write a number with its unit, such as 64MiB")
    return int(float(match[1]) * _SIZE_BYTES[match[2]])


def format_duration(duration_ns: float) -> str:
    """Return a duration as a person says it: two significant units at most.

    >>> format_duration(1_500_000), format_duration(90 * 10**9), format_duration(200_000 * 10**9)
    ('1.5 ms', '1 min 30 s', '2 d 7 h')
    """
    if duration_ns < 0:
        return "-" + format_duration(-duration_ns)
    for limit_ns, unit_ns, unit in ((1e3, 1, "ns"), (1e6, 1e3, "us"), (1e9, 1e6, "ms"), (60e9, 1e9, "s")):
        if duration_ns < limit_ns:
            value = duration_ns / unit_ns
            return f"{value:.0f} {unit}" if value >= 10 or value == int(value) else f"{value:.1f} {unit}"
    seconds = round(duration_ns / 1e9)
    steps = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    words = []
    for unit, size in steps:
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {unit}")
        elif words:
            break
    return " ".join(words[:2])


def format_bytes(size_bytes: float) -> str:
    """Return a size in binary units.

    >>> format_bytes(900), format_bytes(3 << 20)
    ('900 B', '3.0 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024 or unit == "GiB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    raise AssertionError("unreachable")  # pragma: no cover
