"""How long until a process runs out of descriptors, and how severe that makes a leak."""

from __future__ import annotations

import math
from dataclasses import dataclass

from leadline.model import Severity, format_duration

__all__ = ["TimeLeft", "severity_of", "time_left"]

CRITICAL_LEFT_S = 600.0
"""Ten minutes: less than it takes to find a person, read the report and act."""
HIGH_LEFT_S = 7 * 86_400.0
"""A week: most services are not restarted sooner."""
CRITICAL_SHARE = 0.95
"""Share of the soft limit beyond which a burst of ordinary traffic ends in refusals."""


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Seconds until the soft limit, at the growth seen; ``soonest`` and ``latest`` from the 95 % interval of the rate.

    ``latest`` is infinite when the rate may be zero.
    """

    open_count: int
    soft_limit: int
    expected_s: float
    soonest_s: float
    latest_s: float

    def says(self) -> str:
        """Return one sentence for people."""
        if self.expected_s <= 0:
            return f"The soft limit of {self.soft_limit} descriptors is reached ({self.open_count} are open)."
        latest = "later" if math.isinf(self.latest_s) else format_duration(self.latest_s * 1e9)
        return (
            f"{self.open_count} of {self.soft_limit} descriptors are open; at this rate the soft limit is reached in"
            f" {format_duration(self.expected_s * 1e9)} (95 %: {format_duration(self.soonest_s * 1e9)} to {latest})."
        )


def time_left(
    open_count: int | None,
    soft_limit: int | None,
    rate_per_s: float | None,
    rate_low: float | None,
    rate_high: float | None,
) -> TimeLeft | None:
    """Return the time until the soft limit; None when count, limit or a positive rate is not known."""
    if not open_count or not soft_limit or rate_per_s is None or rate_per_s <= 0:
        return None
    left = max(soft_limit - open_count, 0)
    high = rate_high or rate_per_s
    latest_s = left / rate_low if rate_low and rate_low > 0 else math.inf
    return TimeLeft(open_count, soft_limit, left / rate_per_s, left / high, latest_s)


def severity_of(left: TimeLeft | None, share: float | None, *, is_growing: bool) -> Severity:
    """Return how bad a leak is: critical within minutes of the limit, high within a week, else medium.

    Args:
        left: None when the time cannot be told.
        share: of the soft limit in use, None when unknown.
        is_growing: False when growth has paused; then it is medium unless the limit is near.
    """
    if share is not None and share >= CRITICAL_SHARE:
        return Severity.CRITICAL
    if left is None:
        return Severity.HIGH if is_growing else Severity.MEDIUM
    if left.expected_s < CRITICAL_LEFT_S:
        return Severity.CRITICAL
    return Severity.HIGH if left.expected_s < HIGH_LEFT_S else Severity.MEDIUM
