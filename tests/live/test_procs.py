"""GOMAXPROCS of stripped programs, found by the shape of the list of processors, is the one that was set."""

from __future__ import annotations

import pytest

from leadline import lab
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime.process import open_process
from leadline.probes.snapshot_runtime.procs import count_procs

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.mark.parametrize("count", [2, 7, 64])
def test_the_number_that_was_set_is_found(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setenv("GOMAXPROCS", str(count))
    with lab.start("idle-websockets", ()) as running:
        process = open_process(LiveHost(), running.pid)
        assert process.symbol("runtime.gomaxprocs") is None, "stripped, so that the shape is needed"
        assert count_procs(process) == count


def test_a_single_idle_processor_proves_nothing_and_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMAXPROCS", "1")
    with lab.start("idle-websockets", ()) as running:
        assert count_procs(open_process(LiveHost(), running.pid)) in {1, None}
