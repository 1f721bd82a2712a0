"""Our own run time is measured in a tenth of the ticks and scaled to the whole window."""

from __future__ import annotations

from leadline.probes.trace_descriptors.meter import MEASURED_TICKS, Meter

TICK = 500_000_000


class Tracker:
    """Notes when it was measured."""

    def __init__(self, *, is_allowed: bool = True) -> None:
        self.is_allowed = is_allowed
        self.is_on = False

    def measure(self) -> bool:
        self.is_on = self.is_allowed
        return self.is_allowed

    def stop_measuring(self) -> None:
        self.is_on = False


def test_one_tick_in_ten_is_measured_and_scaled() -> None:
    tracker = Tracker()
    meter = Meter(tracker, 0)
    measured = 0
    for number in range(1, 2 * MEASURED_TICKS + 1):
        measured += tracker.is_on
        meter.tick(number * TICK)
    assert measured == 2
    meter.stop(2 * MEASURED_TICKS * TICK)
    assert meter.scaled(100) == 1000
    assert not tracker.is_on


def test_a_window_shorter_than_a_tick_is_measured_whole() -> None:
    meter = Meter(Tracker(), 0)
    meter.stop(TICK // 2)
    assert meter.scaled(100) == 100


def test_what_is_not_allowed_is_unknown_and_not_zero() -> None:
    tracker = Tracker(is_allowed=False)
    meter = Meter(tracker, 0)
    for number in range(1, 2 * MEASURED_TICKS):
        meter.tick(number * TICK)
    meter.stop(2 * MEASURED_TICKS * TICK)
    assert meter.scaled(100) is None
