"""The machine: the only room that touches it. ``live`` is the real one, ``recorded`` the twin for tests."""

from leadline.host.courtesy import step_aside
from leadline.host.launch import Exit, Launched, launch
from leadline.host.live import LiveHost

__all__ = ["Exit", "Launched", "LiveHost", "launch", "step_aside"]
