"""The spans of the heap of a live program, found by symbol and by shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import retention_program as programs
from leadline.probes.snapshot_runtime.spans import PAGE_BYTES, find_heap, read_spans, search_heap

if TYPE_CHECKING:
    from pathlib import Path

    import symbol_twins as twins_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("pie", [False, True])
@pytest.mark.parametrize("go", programs.toolchains(), ids=lambda go: go.version)
def test_the_heap_is_found_without_symbols_where_symbols_say_it_is(
    go: twins_of.Toolchain, tmp_path: Path, *, pie: bool
) -> None:
    for strip in (False, True):
        with programs.keeping(programs.build(go, tmp_path, strip=strip, pie=pie), 3) as keeper:
            process = keeper.opened()
            assert (process.symbol("runtime.mheap_") is None) == strip
            assert find_heap(process) is not None
            assert search_heap(process) == find_heap(process)
            spans = read_spans(process)
            assert spans is not None
            assert spans.is_complete
            assert spans.sweepgen == 0, "no collection has begun"
            ends = spans.starts + (spans.pages * PAGE_BYTES).astype(np.uint64)
            assert bool((ends[:-1] <= spans.starts[1:]).all()), "spans do not overlap"
            # runtime.g lies on the heap, 16 bytes aligned, in a span whose objects have room for it
            goroutines = process.goroutines.read(process.memory)
            mine = spans.at(goroutines)
            on_heap = mine[mine >= 0]
            assert len(on_heap) >= len(goroutines) - 1, "only the first may be a variable"
            assert bool((spans.object_bytes[on_heap] >= process.offsets.need("g.SIZE")).all())
            last = int(goroutines[-1])
            assert spans.base(last + 100) == last
            assert spans.base(1) is None
