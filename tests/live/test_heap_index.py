"""The index of pointers into the heap of a live program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import retention_program as programs
from leadline.model import Unsupported
from leadline.probes.snapshot_runtime.heap_index import RootKind, build_index

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[programs.Keeper]:
    go = programs.toolchains()
    if not go:
        pytest.skip("no Go toolchain here; remedy: install Go 1.21 or later")
    with programs.keeping(programs.build(go[0], tmp_path_factory.mktemp("keeper")), 5) as running:
        yield running


def test_holders_of_an_object_are_words_that_point_to_it(keeper: programs.Keeper) -> None:
    process = keeper.opened()
    told: list[float] = []
    index = build_index(process, progress=told.append)
    assert index.doubts == []
    assert told == sorted(told)
    assert told[-1] == 1.0
    node = process.memory.word(process.symbol("main.byList") or 0)
    number = index.object_at(node)
    assert index.base(number) == node
    _, holders = index.holders(np.array([number]))
    addresses, objects, roots = index.decode(holders)
    assert process.symbol("main.byList") in addresses[roots >= 0].tolist()
    assert set(index.roots.kinds[roots[roots >= 0]].tolist()) == {RootKind.GLOBAL}
    assert all(process.memory.word(address) == node for address in addresses.tolist())
    # byList's first node is held by the variable alone, its second by the first
    assert (objects >= 0).sum() == 0
    following = index.object_at(process.memory.word(node + 32))
    _, holders = index.holders(np.array([following]))
    assert index.decode(holders)[1].tolist() == [number]


def test_descriptors_have_finalizers_and_goroutines_are_known(keeper: programs.Keeper) -> None:
    process = keeper.opened()
    index = build_index(process)
    assert len(index.finalized) >= len(programs.every(keeper))
    for place, address in enumerate(index.goroutines.addresses.tolist()[1:], 1):
        assert index.goroutine_of(index.object_at(address)) == place


def test_objects_without_pointers_are_indexed_on_request(keeper: programs.Keeper) -> None:
    process = keeper.opened()
    never = process.memory.word(
        process.symbol("main.never") or 0
    )  # a chan struct{}: its span holds no pointers
    assert build_index(process).object_at(never) == -1
    index = build_index(process, interest=[never])
    _, holders = index.holders(np.array([index.object_at(never)]))
    addresses, _, _ = index.decode(holders)
    assert process.symbol("main.never") in addresses.tolist()


def test_a_heap_beyond_the_cap_is_refused(keeper: programs.Keeper) -> None:
    with pytest.raises(Unsupported, match="more than the 0 MiB"):
        build_index(keeper.opened(), cap_bytes=8192)
