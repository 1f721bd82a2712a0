"""The clocks."""

from __future__ import annotations

import time

from leadline.host.clock import LiveClock


def test_each_clock_is_the_kernels() -> None:
    clock = LiveClock()
    for read, number in (
        (clock.mono_ns, time.CLOCK_MONOTONIC),
        (clock.boot_ns, time.CLOCK_BOOTTIME),
        (clock.unix_ns, time.CLOCK_REALTIME),
    ):
        before = time.clock_gettime_ns(number)
        assert before <= read() <= time.clock_gettime_ns(number)
