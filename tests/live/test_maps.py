"""The slots of maps of Go, small and large, against the keys that the program put into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import go_truth
from leadline.probes.snapshot_runtime.maps import slot_words

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOT_BYTES = 16
MARK = 0x5EED_0000_0000


@pytest.fixture(scope="module", params=go_truth.builds())
def truth(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[go_truth.Truth]:
    go, stripped = request.param
    program = go_truth.build("maps", go, tmp_path_factory.mktemp("maps"), stripped=stripped)
    with go_truth.running(program) as seen:
        yield seen


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000, 20_000])
def test_all_entries_are_among_the_words(truth: go_truth.Truth, count: int) -> None:
    words = slot_words(truth.process, truth.said["maps"][str(count)], SLOT_BYTES)
    keys = words[(words >> np.uint64(32)) << np.uint64(32) == MARK]
    assert set((keys - np.uint64(MARK)).tolist()) == set(range(count))


def test_what_is_no_map_gives_no_words(truth: go_truth.Truth) -> None:
    assert not len(slot_words(truth.process, 0, SLOT_BYTES))
    assert not len(slot_words(truth.process, 4097, SLOT_BYTES))
    assert not len(slot_words(truth.process, 1 << 40, SLOT_BYTES))
    for address in truth.process.memory.words(truth.process.module("data"), 256).tolist():
        assert len(slot_words(truth.process, address & ~7, SLOT_BYTES)) <= 64 << 17
