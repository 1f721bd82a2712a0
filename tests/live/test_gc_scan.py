"""The collector's state of a live program, found without symbols where symbols say it is, and as the program says it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import retention_program as programs
from leadline.probes.snapshot_runtime.gc_scan import search_pacer, search_stats
from leadline.probes.snapshot_runtime.gc_state import read_gc

if TYPE_CHECKING:
    from pathlib import Path

    import symbol_twins as twins_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("go", programs.toolchains(), ids=lambda go: go.version)
def test_the_state_is_found_by_its_shape(go: twins_of.Toolchain, tmp_path: Path) -> None:
    for strip in (False, True):
        with programs.keeping(programs.build(go, tmp_path, strip=strip), 3) as keeper:
            process = keeper.opened()
            assert (process.symbol("runtime.memstats") is None) == strip
            before = read_gc(process)
            assert (before.cycles, before.last_gc_mono_ns, before.gc_percent) == (0, 0, -1)
            assert search_stats(process, 0) is None, "there is nothing to compare before the first collection"
            begin_ns = process.host.clock.mono_ns()
            assert keeper.ask("gc") == "collected"
            told = json.loads(keeper.ask("gcstate"))
            assert keeper.ask("gogc 50") == "50"
            after = read_gc(process)
            assert after.cycles == told["NumGC"] == 3
            assert after.last_gc_mono_ns is not None
            assert begin_ns < after.last_gc_mono_ns < process.host.clock.mono_ns()
            assert after.gc_percent == 50
            assert after.heap_live_bytes is not None
            assert abs(after.heap_live_bytes - told["HeapAlloc"]) < 1 << 20
            assert after.heap_goal_bytes is not None
            assert 2 << 20 <= after.heap_goal_bytes < 64 << 20
            stats, pacer = search_stats(process, 3), search_pacer(process)
            assert None not in (stats, pacer)
            if not strip:
                assert stats == process.symbol("runtime.memstats")
                assert pacer == process.symbol("runtime.gcController")
            assert search_stats(process, 77) is None
