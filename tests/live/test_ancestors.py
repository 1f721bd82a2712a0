"""What leads to objects of a live program's heap, near and far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import retention_program as programs
from leadline.probes.snapshot_runtime.ancestors import Ancestors, Rank, RootRanks
from leadline.probes.snapshot_runtime.global_users import GlobalUsers
from leadline.probes.snapshot_runtime.heap_index import HeapIndex, build_index
from leadline.probes.snapshot_runtime.look import take_look

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
NODES = 150


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HeapIndex, RootRanks, list[int]]]:
    """An index, its roots, and the objects of the program's linked list from its head on."""
    go = programs.toolchains()
    if not go:
        pytest.skip("no Go toolchain here; remedy: install Go 1.21 or later")
    with programs.keeping(programs.build(go[0], tmp_path_factory.mktemp("keeper")), NODES) as keeper:
        process = keeper.opened()
        index = build_index(process)
        node = process.memory.word(process.symbol("main.byList") or 0)
        nodes = []
        while node:
            nodes.append(index.object_at(node))
            node = process.memory.word(node + 32)
        yield index, RootRanks(process, take_look(process), index, GlobalUsers(process)), nodes


def test_the_end_of_a_long_list_is_led_to_by_its_variable(
    searched: tuple[HeapIndex, RootRanks, list[int]],
) -> None:
    index, ranks, nodes = searched
    assert len(nodes) == NODES
    above = Ancestors(index, nodes[-1:], ranks, max_levels=10 * NODES)
    assert above.is_complete
    [(rank, way)] = above.ways(nodes[-1])
    assert rank is Rank.GLOBAL
    assert [int(above.targets[edge]) for edge in way] == nodes
    assert int(above.objects[way[0]]) == -1
    assert above.is_reached(nodes[7])
    assert not above.leads(Rank.GOROUTINE, nodes[7])


def test_a_list_longer_than_is_followed_is_not_called_complete(
    searched: tuple[HeapIndex, RootRanks, list[int]],
) -> None:
    index, ranks, nodes = searched
    above = Ancestors(index, nodes[-1:], ranks, max_levels=NODES // 2)
    assert not above.is_complete
    assert above.ways(nodes[-1]) == []
    assert Ancestors(index, nodes[NODES // 4 : NODES // 4 + 1], ranks, max_levels=NODES // 2).is_reached(
        nodes[NODES // 4]
    )


def test_roots_near_an_object_come_with_their_ways(
    searched: tuple[HeapIndex, RootRanks, list[int]],
) -> None:
    index, ranks, nodes = searched
    above = Ancestors(index, nodes, ranks, max_levels=10 * NODES)
    near = above.near(nodes[3], 3)
    assert (Rank.GLOBAL, above.ways(nodes[3])[0][1]) in near


def test_schedulers_and_goroutines_end_ways(searched: tuple[HeapIndex, RootRanks, list[int]]) -> None:
    index, ranks, _ = searched
    goroutines = set(index.goroutine_objects.tolist())
    assert goroutines <= ranks.stops
    assert ranks.stops - goroutines, "at least one runtime.p"
