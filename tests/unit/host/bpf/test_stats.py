from __future__ import annotations

import os
from importlib import resources

import pytest

from leadline.host.bpf import LiveBpf

pytestmark = pytest.mark.live


def test_runs_and_time_are_counted_while_measuring() -> None:
    bpf = LiveBpf()
    with bpf.load(resources.files("leadline.probes.trace_descriptors"), "descriptors") as loaded:
        bpf.measure()
        try:
            loaded.attach_tracepoint("on_sys_enter")
            for _ in range(101):
                os.getppid()
        finally:
            bpf.stop_measuring()
        costs = {cost.name: cost for cost in loaded.cost()}
        assert costs["on_sys_enter"].runs >= 101
        assert costs["on_sys_enter"].run_ns > 0
        assert costs["on_sys_exit"] == ("on_sys_exit", 0, 0, 0)
        assert all(cost.missed == 0 for cost in costs.values())
