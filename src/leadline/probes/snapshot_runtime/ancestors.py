"""Everything that leads to some objects of the heap, and the shortest way to each from a root of each rank.

The pointers are followed upwards, level by level, from all objects at once, so that what many of them have in common is looked
at once; then downwards again from the roots of each rank, which gives every object its nearest one.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from leadline.probes.snapshot_runtime.heap_index import RootKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.global_users import GlobalUsers
    from leadline.probes.snapshot_runtime.heap_index import HeapIndex
    from leadline.probes.snapshot_runtime.looks import Look, Words
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["Ancestors", "Rank", "RootRanks"]

_MAX_OBJECTS = 4_000_000
_MAX_EDGES = 30_000_000
_NARROW = 3
_MAX_NEAR_OBJECTS = 2_000
_MAX_NEAR_EDGES = 2_000
_MAX_SCHEDULERS_PER_SPAN = 64
_SCHEDULER_STATES = 5


class Rank(IntEnum):
    """What a way begins with, the most telling first.

    Package variables of the program; stacks of goroutines of the program that held still; functions of finalizers and cleanups;
    variables of the runtime, such as the timers; stacks of the runtime's goroutines and of those that were running,
    whose live part is not known. ``KEPT`` is no root: an object whose own finalizer has not run, or an ended goroutine's record.
    """

    GLOBAL = 0
    GOROUTINE = 1
    FINALIZER = 2
    RUNTIME = 3
    DOUBTFUL = 4
    KEPT = 5


_ROOT_RANKS = (Rank.GLOBAL, Rank.GOROUTINE, Rank.FINALIZER, Rank.RUNTIME, Rank.DOUBTFUL)
_INSIDE, _NOWHERE = -1, -2


class RootRanks:
    """Ranks the roots of one index.

    Args:
        process: the process.
        look: tells which goroutines are the runtime's.
        index: the index.
        users: tell the runtime's variables in stripped programs.
    """

    def __init__(self, process: OpenedProcess, look: Look, index: HeapIndex, users: GlobalUsers) -> None:
        self._process = process
        self._look = look
        self._index = index
        self._users = users
        self._of_runtime: dict[int, bool] = {}

    def of_roots(self, roots: NDArray[np.int64], addresses: Words) -> NDArray[np.int64]:
        """Return the rank of each root; ``addresses`` are where they lie."""
        kinds, owners = self._index.roots.kinds[roots], self._index.roots.owners[roots]
        ranks = np.where(kinds == RootKind.GLOBAL, int(Rank.GLOBAL), int(Rank.FINALIZER))
        on_stack = kinds == RootKind.STACK
        ranks[on_stack] = np.where(
            self._is_trusted[owners[on_stack]], int(Rank.GOROUTINE), int(Rank.DOUBTFUL)
        )
        for place in np.flatnonzero(kinds == RootKind.GLOBAL).tolist():
            if self._is_of_runtime(int(addresses[place])):
                ranks[place] = Rank.RUNTIME
        return ranks.astype(np.int64)

    def of_stop(self, number: int, address: int) -> int:
        """Return the rank of a word in an object of ``stops``, or that it leads nowhere."""
        owner = self._index.goroutine_of(number)
        if owner is None:
            return Rank.RUNTIME
        offset = address - self._index.base(number) - self._process.offsets.need("g.stack")
        if offset in {0, 8}:  # the end of a stack is where the next span begins
            return _NOWHERE
        if owner < 0:
            return Rank.KEPT
        return Rank.GOROUTINE if self._is_trusted[owner] else Rank.DOUBTFUL

    @cached_property
    def stops(self) -> frozenset[int]:
        """Return the objects at which a way ends: goroutines, and schedulers (``runtime.p``), on which timers hang."""
        return frozenset([*self._index.goroutine_objects.tolist(), *self._schedulers()])

    @cached_property
    def _is_trusted(self) -> NDArray[np.bool_]:
        goroutines = self._index.goroutines
        system = self._look.goids[self._look.is_system]
        return goroutines.is_quiet & ~np.isin(goroutines.goids, system)

    def _is_of_runtime(self, address: int) -> bool:
        if address not in self._of_runtime:
            name = self._process.variable_at(address)
            users = () if name else self._users.of(address)
            self._of_runtime[address] = (
                name.startswith("runtime.")
                if name
                else bool(users) and all(user.startswith("runtime.") for user in users)
            )
        return self._of_runtime[address]

    def _schedulers(self) -> list[int]:
        spans, offsets = self._index.spans, self._process.offsets
        size = offsets.need("p.SIZE")
        fits = spans.is_scannable & (spans.object_bytes >= size) & (spans.object_bytes <= size * 5 // 4)
        found: list[int] = []
        for span in np.flatnonzero(fits).tolist():
            for place in range(min(int(spans.counts[span]), _MAX_SCHEDULERS_PER_SPAN)):
                begin = int(spans.starts[span]) + place * int(spans.object_bytes[span])
                if self._is_scheduler(begin, has_header=bool(spans.has_headers[span])):
                    found.append(self._index.object_at(begin))
        return found

    def _is_scheduler(self, begin: int, *, has_header: bool) -> bool:
        offsets, memory = self._process.offsets, self._process.memory
        if has_header:
            return self._process.type_name(memory.word(begin)) == "runtime.p"
        number = memory.word(begin + offsets.need("p.id")) & 0xFFFFFFFF
        status = memory.word(begin + offsets.need("p.status")) & 0xFFFFFFFF
        return number < 1 << 16 and status < _SCHEDULER_STATES


class Ancestors:
    """What leads to some objects.

    Args:
        index: the index of pointers.
        anchors: the objects.
        ranks: of the roots.
        max_levels: how far to go up.

    Attributes:
        is_complete: everything above was visited.
        addresses: of each edge the address of the pointer.
        targets: of each edge the object that it leads to.
        objects: of each edge the object that holds it, -1 for roots.
        roots: of each edge the root, -1 for words of the heap.
        ranks: of each edge its ``Rank`` when a way begins with it, else below 0.
    """

    def __init__(
        self, index: HeapIndex, anchors: Collection[int], ranks: RootRanks, *, max_levels: int
    ) -> None:
        self._index = index
        self._stops = ranks.stops
        self.is_complete = True
        self._nodes = np.array(sorted(set(anchors)), np.int64)
        self.targets = np.zeros(0, np.int64)
        self.addresses = np.zeros(0, np.uint64)
        self.objects = np.zeros(0, np.int64)
        self.roots = np.zeros(0, np.int64)
        self._climb(max_levels)
        self.ranks = self._ranked(ranks)
        self._order = np.argsort(self.targets, kind="stable")
        self._by_target = self.targets[self._order]
        self._via = {rank: self._descend(self.ranks == rank) for rank in _ROOT_RANKS}
        is_finalized = np.isin(self.objects, index.finalized) & ~np.isin(
            self.objects, np.array(list(anchors), np.int64)
        )
        self._via[Rank.KEPT] = self._descend((self.ranks == Rank.KEPT) | is_finalized)

    def _climb(self, max_levels: int) -> None:
        visited = np.zeros(self._index.object_count, np.bool_)
        visited[self._nodes] = True
        visited[list(self._stops)] = True
        frontier = self._nodes
        pieces = []
        nodes = [frontier]
        stops: set[int] = set()
        count = edges = 0
        for _ in range(max_levels):
            if not len(frontier) or count > _MAX_OBJECTS or edges > _MAX_EDGES:
                break
            if len(frontier) <= _NARROW:
                targets, addresses, objects, roots = self._holders_one_by_one(frontier.tolist())
            else:
                targets, holders = self._index.holders(frontier)
                addresses, objects, roots = self._index.decode(holders)
            kept = ((objects >= 0) | (roots >= 0)) & (objects != targets)
            pieces.append((targets[kept], addresses[kept], objects[kept], roots[kept]))
            inner = objects[kept & (objects >= 0)]
            fresh = inner[~visited[inner]]
            if len(fresh) > 1:
                fresh = np.unique(fresh)
            visited[fresh] = True
            nodes.append(fresh)
            frontier = fresh
            count += len(fresh)
            edges += len(targets)
        self.is_complete = not len(frontier)
        if pieces:
            self.targets, self.addresses, self.objects, self.roots = (
                np.concatenate([piece[column] for piece in pieces]) for column in range(4)
            )
        stops.update(self._stops.intersection(self.objects.tolist()))
        self._nodes = np.unique(np.concatenate([*nodes, np.array(sorted(stops), np.int64)]))

    def _holders_one_by_one(
        self, frontier: Sequence[int]
    ) -> tuple[NDArray[np.int64], Words, NDArray[np.int64], NDArray[np.int64]]:
        found = [(number, *holder) for number in frontier for holder in self._index.holders_of(number)]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
        columns = list(zip(*found, strict=True))
        return (
            np.array(columns[0], np.int64),
            np.array(columns[1], np.uint64),
            np.array(columns[2], np.int64),
            np.array(columns[3], np.int64),
        )

    def _ranked(self, ranks: RootRanks) -> NDArray[np.int64]:
        found = np.full(len(self.targets), _INSIDE, np.int64)
        is_root = self.roots >= 0
        found[is_root] = ranks.of_roots(self.roots[is_root], self.addresses[is_root])
        at_stop = np.flatnonzero(np.isin(self.objects, np.array(list(self._stops), np.int64)))
        for edge in at_stop.tolist():
            found[edge] = ranks.of_stop(int(self.objects[edge]), int(self.addresses[edge]))
        return found

    def _descend(self, begins: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return for each visited object the edge by which a way from some edges comes to it, -1 where none does.

        The first to come to an object has the shortest way.
        """
        via = np.full(len(self._nodes), -1, np.int64)
        edges = np.flatnonzero(begins)
        if not len(edges):
            return via
        targets, inner, starts, ends = self._downwards
        while len(edges):
            reached, first = np.unique(targets[edges], return_index=True)
            is_fresh = via[reached] < 0
            fresh = reached[is_fresh]
            via[fresh] = edges[first[is_fresh]]
            counts = ends[fresh] - starts[fresh]
            steps = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
            edges = inner[np.repeat(starts[fresh], counts) + steps]
            edges = edges[via[targets[edges]] < 0]
        return via

    @cached_property
    def _downwards(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the place of each edge's target, the inner edges by holder, and where each object's begin and end."""
        targets = np.searchsorted(self._nodes, self.targets)
        inner = np.flatnonzero((self.objects >= 0) & (self.ranks == _INSIDE))
        holders = np.searchsorted(self._nodes, self.objects[inner])
        order = np.argsort(holders, kind="stable")
        inner, holders = inner[order], holders[order]
        places = np.arange(len(self._nodes))
        return (
            targets,
            inner,
            np.searchsorted(holders, places, side="left"),
            np.searchsorted(holders, places, side="right"),
        )

    def _place(self, number: int) -> int:
        place = int(self._nodes.searchsorted(number))
        return place if place < len(self._nodes) and int(self._nodes[place]) == number else -1

    @cached_property
    def _holder_places(self) -> NDArray[np.int64]:
        return np.searchsorted(self._nodes, self.objects)

    def leads(self, rank: Rank, number: int) -> bool:
        """Return whether a way of this rank leads to a visited object."""
        place = self._place(number)
        return place >= 0 and int(self._via[rank][place]) >= 0

    def is_reached(self, number: int) -> bool:
        """Return whether any root leads to a visited object."""
        return any(self.leads(rank, number) for rank in _ROOT_RANKS)

    def ways(self, anchor: int) -> list[tuple[Rank, list[int]]]:
        """Return the shortest way of each rank to an anchor, as edges from the root down."""
        found = []
        for rank in _ROOT_RANKS:
            if not self.leads(rank, anchor):
                continue
            via, edges, place = self._via[rank], [], self._place(anchor)
            while True:
                edge = int(via[place])
                edges.append(edge)
                if int(self.ranks[edge]) == rank:
                    break
                place = int(self._holder_places[edge])
            found.append((rank, edges[::-1]))
        return found

    def near(self, anchor: int, count: int) -> list[tuple[Rank, list[int]]]:
        """Return ways from up to so many different roots near an anchor; only few objects are looked at."""
        found: list[tuple[Rank, list[int]]] = []
        came_by = {anchor: -1}
        frontier = [anchor]
        seen: set[tuple[int, int]] = set()
        while frontier and len(came_by) < _MAX_NEAR_OBJECTS and len(seen) < count:
            following: list[int] = []
            for number in frontier:
                for edge in self._edges_to(number):
                    rank, holder = int(self.ranks[edge]), int(self.objects[edge])
                    if rank == _INSIDE and holder not in came_by:
                        came_by[holder] = edge
                        following.append(holder)
                    elif rank >= 0 and rank != Rank.KEPT:
                        root = int(self.roots[edge])
                        owner = int(self._index.roots.owners[root]) if root >= 0 else -2 - holder
                        key = (rank, owner if owner != -1 else int(self.addresses[edge]))
                        if key not in seen:
                            seen.add(key)
                            found.append((Rank(rank), self._back(edge, came_by)))
            frontier = following
        return found

    def _edges_to(self, number: int) -> list[int]:
        begin = int(self._by_target.searchsorted(number, side="left"))
        end = int(self._by_target.searchsorted(number, side="right"))
        edges: list[int] = self._order[begin : min(end, begin + _MAX_NEAR_EDGES)].tolist()
        return edges

    def _back(self, edge: int, came_by: dict[int, int]) -> list[int]:
        way = [edge]
        number = int(self.targets[edge])
        while came_by[number] >= 0:
            way.append(came_by[number])
            number = int(self.targets[came_by[number]])
        return way
