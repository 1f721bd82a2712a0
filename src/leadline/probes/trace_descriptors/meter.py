"""The run time of our own programs, measured in a tenth of the window so that the measuring costs little, too.

The kernel's statistics cost 20 to 50 ns for each run of any BPF program of the host: a third of what a short program takes.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["MEASURED_TICKS", "Meter", "Meterable"]

MEASURED_TICKS = 10
"""Measure during one of so many ticks, beginning with the first."""


class Meterable(Protocol):
    """What can be measured: the tracker."""

    def measure(self) -> bool:
        """Count run times from now on; return whether that is allowed."""

    def stop_measuring(self) -> None:
        """Count no longer."""


class Meter:
    """Switches measuring on and off, and scales what was counted to the whole window."""

    def __init__(self, tracker: Meterable, now_ns: int) -> None:
        self._tracker = tracker
        self._begin_ns = self._since_ns = now_ns
        self._end_ns = now_ns
        self._measured_ns = 0
        self._ticks = 0
        self._is_on = tracker.measure()
        self._is_allowed = self._is_on

    def tick(self, now_ns: int) -> None:
        """Note the time; called about twice a second."""
        self._ticks += 1
        if self._is_on and self._ticks % MEASURED_TICKS == 1:
            self.stop(now_ns)
        elif self._is_allowed and not self._is_on and self._ticks % MEASURED_TICKS == 0:
            self._is_on = self._tracker.measure()
            self._since_ns = now_ns

    def stop(self, now_ns: int) -> None:
        """Stop measuring and note the end of the window."""
        self._end_ns = now_ns
        if self._is_on:
            self._measured_ns += now_ns - self._since_ns
            self._tracker.stop_measuring()
            self._is_on = False

    def scaled(self, counted: int) -> int | None:
        """Return what was counted, scaled from the measured time to the whole window; None when it was not allowed."""
        if not self._is_allowed or self._measured_ns <= 0:
            return None
        return round(counted * max((self._end_ns - self._begin_ns) / self._measured_ns, 1.0))
