"""The real clocks."""

from __future__ import annotations

import time

__all__ = ["LiveClock"]


class LiveClock:
    """Clocks of this machine, in nanoseconds."""

    def mono_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def boot_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def unix_ns(self) -> int:
        """Return CLOCK_REALTIME."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME)
