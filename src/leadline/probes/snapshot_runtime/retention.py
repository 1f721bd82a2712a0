"""Why a descriptor's connection is still reachable: the way from a package variable or a goroutine's stack to it.

A connection that the program has forgotten to close is kept open by whatever refers to it; what nothing refers to is closed by
its finalizer at the next garbage collection. The search goes from the connection upwards over an index of all pointers into
the heap (see ``heap_index``: what it covers and what not), once for all descriptors together.

``unreachable`` is said only when two complete searches, one after the other, found nothing. A register of a running goroutine is
never seen, and a pointer that moves from a place not yet read to one already read is missed by one search; missed by two
it is not for anything that stands still.

Ranks: variables of the program at any distance before stacks (a stack word may be a slot that is no longer used), stacks before
the finalizers of other objects, these before the runtime's own variables (timers are reached from ``runtime.allp``); last
the stacks of goroutines of the runtime and of those that were running, whose live part is not known.

Source: Go, src/internal/poll/fd_unix.go (FD), src/net/fd_posix.go (netFD and its finalizer), src/os/file_unix.go (file),
src/runtime/netpoll.go (pollDesc).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.evidence.kinds import Retention, RetentionRoot
from leadline.formats.procfd import watched_data
from leadline.model import Gap, GapReason, Unsupported
from leadline.probes.snapshot_runtime.global_users import GlobalUsers
from leadline.probes.snapshot_runtime.heap_index import CAP_BYTES, HeapIndex, RootKind, build_index
from leadline.probes.snapshot_runtime.object_names import ObjectNames
from leadline.probes.snapshot_runtime.pollers import untag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import Look, Words
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["reach", "retain"]

NAME = "snapshot_runtime"
_MAX_ROOTS = 3
_MAX_OBJECTS = 4_000_000
_MAX_EDGES = 30_000_000
_MAX_LEVELS = 200_000
_MAX_EXTRA_OBJECTS = 2_000
_MAX_REACH_OBJECTS = 50_000
_SEARCHES = 3
_NEEDED = 2
_PARKED = 2  # pollDesc.rg and wg: above it they are the address of a goroutine
_GLOBAL, _GOROUTINE, _FINALIZER, _RUNTIME, _DOUBTFUL = range(5)
_RANKS = (_GLOBAL, _GOROUTINE, _FINALIZER, _RUNTIME, _DOUBTFUL)
_OF_GOROUTINES = (_GOROUTINE, _DOUBTFUL)
_MAX_REFERENCES = 1000  # of a poll.FD: operations under way


class _Polled(NamedTuple):
    """A descriptor that the runtime's poller knows: the address of its pollDesc, and whether a goroutine is parked on it."""

    address: int
    is_parked: bool


def retain(
    process: OpenedProcess,
    look: Look,
    fds: Sequence[int],
    *,
    cap_bytes: int = CAP_BYTES,
    progress: Callable[[float], None] | None = None,
    gaps: list[Gap] | None = None,
) -> list[Retention]:
    """Return why each descriptor's connection is reachable, or that it is not.

    Args:
        process: a Go process.
        look: its goroutines, to name the frames that hold something.
        fds: the descriptors, best those that no goroutine works with.
        cap_bytes: refuse when more memory than this would have to be read.
        progress: called with the part of the search that is done, 0 to 1.
        gaps: takes a gap for descriptors about which nothing could be decided; these are left out of the answer.

    Raises:
        Unsupported: the heap was not found or is larger than the cap; the remedy names how to allow more.
        NotPermitted: the memory may not be read.
        TargetGone: the process has ended.
    """
    wanted = list(dict.fromkeys(fds))
    polled = _polled(process)
    answers: dict[int, Retention] = {}
    misses: dict[int, int] = {}
    doubts: dict[int, str] = {}
    for search in range(_SEARCHES):
        open_fds = [fd for fd in wanted if fd not in answers]
        if not open_fds:
            break
        if search:
            polled = _polled(process)
        index = build_index(
            process,
            cap_bytes=cap_bytes,
            off_heap=[polled[fd].address for fd in open_fds if fd in polled],
            progress=progress if not search else None,
        )
        one = _Search(process, look, index, polled)
        anchors = one.anchors(open_fds)
        one.climb(anchors)
        for fd in open_fds:
            found = one.answer(fd, anchors.get(fd, ()))
            if found.verdict == "unreachable":
                doubt = one.doubt(fd, anchors[fd])
                misses[fd] = 0 if doubt else misses.get(fd, 0) + 1
                if misses[fd] < _NEEDED:
                    doubts[fd] = doubt or "the program was moving it"
                    continue
            answers[fd] = found
    undecided = [fd for fd in wanted if fd not in answers]
    if undecided and gaps is not None:
        gaps.append(
            Gap(
                what=f"what keeps {len(undecided)} descriptors reachable",
                reason=GapReason.UNSUPPORTED,
                detail="nothing was found that refers to them, but the search may have missed something: "
                + "; ".join(sorted({doubts.get(fd, "") for fd in undecided})),
                remedy="look again when the program is less busy",
                probe=NAME,
            )
        )
    return [answers[fd] for fd in wanted if fd in answers]


def _polled(process: OpenedProcess) -> dict[int, _Polled]:
    """Return what the runtime's poller knows, by descriptor; each is checked against its pollDesc."""
    host, pid, offsets = process.host, process.pid, process.offsets
    found: dict[int, _Polled] = {}
    for number in sorted(int(name) for name in host.list_proc(f"{pid}/fd") if name.isdigit()):
        try:
            if host.link_proc(f"{pid}/fd/{number}") != "anon_inode:[eventpoll]":
                continue
            entries = watched_data(host.read_proc(f"{pid}/fdinfo/{number}"))
        except Unsupported:  # closed meanwhile
            continue
        fds = np.fromiter((fd for fd, _ in entries), np.int64, len(entries))
        data = np.fromiter((word for _, word in entries), np.uint64, len(entries))
        addresses = untag(data, process.go_version)
        at = {name: offsets.need(f"pollDesc.{name}") for name in ("fd", "rg", "wg")}
        rows, is_read = process.memory.gather(addresses, max(at.values()) + 8)
        words = {
            name: np.ascontiguousarray(rows[:, place : place + 8]).view(np.uint64).ravel()
            for name, place in at.items()
        }
        good = is_read & (words["fd"].astype(np.int64) == fds)
        parked = (words["rg"] > _PARKED) | (words["wg"] > _PARKED)
        for fd, address, is_parked in zip(
            fds[good].tolist(), addresses[good].tolist(), parked[good].tolist(), strict=True
        ):
            found.setdefault(fd, _Polled(address, is_parked))
    return found


@dataclass(slots=True)
class _Label:
    """For each visited object the edge by which the nearest root of one rank is reached, -1 where there is none."""

    via: NDArray[np.int64]


class _Search:
    """One search: everything above the connections, and the nearest root of each rank for each object there."""

    def __init__(
        self, process: OpenedProcess, look: Look, index: HeapIndex, polled: Mapping[int, _Polled]
    ) -> None:
        self.process = process
        self.look = look
        self.index = index
        self.polled = polled
        self.doubts = list(index.doubts)
        self.names = ObjectNames(process, index)
        self._users = GlobalUsers(process)
        self._nodes = np.zeros(0, np.int64)
        self._targets = np.zeros(0, np.int64)
        self._addresses = np.zeros(0, np.uint64)
        self._objects = np.zeros(0, np.int64)
        self._roots = np.zeros(0, np.int64)
        self._ranks = np.zeros(0, np.int64)
        self._order = np.zeros(0, np.int64)
        self._sorted = np.zeros(0, np.int64)
        self._labels: dict[int, _Label] = {}

    def anchors(self, fds: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """Return by descriptor the objects (``net.netFD``, ``os.file``) that have it; usually one."""
        offsets, memory = self.process.offsets, self.process.memory
        sysfd_at, pd_at = offsets.need("poll.FD.Sysfd"), offsets.need("poll.FD.pd")
        found: dict[int, tuple[int, ...]] = {}
        unpolled = []
        for fd in fds:
            one = self.polled.get(fd)
            if one is None:
                unpolled.append(fd)
                continue
            objects = []
            for word in self.index.poll_holders.get(one.address, ()):
                number = self.index.object_at(word - pd_at)
                if (
                    number >= 0
                    and self.index.base(number) == word - pd_at
                    and memory.word(word - pd_at + sysfd_at) == fd
                ):
                    objects.append(number)
            found[fd] = tuple(dict.fromkeys(objects))
        if unpolled:
            found.update(self._blocking(unpolled))
        return found

    def _blocking(self, fds: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """Return the objects of descriptors that are not with the poller: files in blocking mode.

        Only objects with a finalizer or cleanup are asked, as ``os.newFile`` gives each file one; then the fields must
        make sense.
        """
        offsets, memory = self.process.offsets, self.process.memory
        sysfd_at, pd_at = offsets.need("poll.FD.Sysfd"), offsets.need("poll.FD.pd")
        name_at = offsets.need("os.file.name")
        objects = self.index.finalized[self.index.finalized >= 0]
        if not len(objects):
            return {}
        bases = self.index.bases(objects)
        sizes = self.index.spans.object_bytes[self.index.span_of(objects)]
        fits = sizes >= name_at + 16
        objects, bases = objects[fits], bases[fits]
        rows, is_read = memory.gather(bases, name_at + 16)

        def word(at: int) -> Words:
            return np.ascontiguousarray(rows[:, at : at + 8]).view(np.uint64).ravel()

        locks = word(offsets.need("poll.FD.fdmu"))
        is_open = (locks & np.uint64(1)) == 0
        is_sane = (locks >> np.uint64(3)) & np.uint64(0xFFFFF) < _MAX_REFERENCES
        good = is_read & is_open & is_sane & (word(pd_at) == 0) & np.isin(word(sysfd_at), fds)
        found: dict[int, tuple[int, ...]] = {}
        for i in np.flatnonzero(good).tolist():
            text = memory.text(int(word(name_at)[i]), int(word(name_at + 8)[i]))
            if text:
                fd = int(word(sysfd_at)[i])
                found[fd] = (*found.get(fd, ()), int(objects[i]))
        return found

    def climb(self, anchors: Mapping[int, tuple[int, ...]]) -> None:
        """Visit everything above the anchors, then walk down again from the roots of each rank."""
        start = np.unique(np.array([one for many in anchors.values() for one in many], np.int64))
        visited = np.zeros(self.index.object_count, np.bool_)
        visited[start] = True
        stops = np.zeros(self.index.object_count, np.bool_)
        stops[self.index.goroutine_objects] = True
        schedulers = self._schedulers()
        stops[schedulers] = True
        frontier = start
        pieces: list[tuple[NDArray[np.int64], Words, NDArray[np.int64], NDArray[np.int64]]] = []
        nodes = [start]
        count = edges = 0
        for _ in range(_MAX_LEVELS):
            if not len(frontier) or count > _MAX_OBJECTS or edges > _MAX_EDGES:
                break
            targets, holders = self.index.holders(frontier)
            addresses, objects, roots = self.index.decode(holders)
            kept = ((objects >= 0) | (roots >= 0)) & (objects != targets)
            targets, addresses, objects, roots = targets[kept], addresses[kept], objects[kept], roots[kept]
            pieces.append((targets, addresses, objects, roots))
            fresh = np.unique(objects[objects >= 0])
            fresh = fresh[~visited[fresh]]
            visited[fresh] = True
            nodes.append(fresh)
            frontier = fresh[~stops[fresh]]
            count += len(fresh)
            edges += len(targets)
        if len(frontier):
            self.doubts.append("more leads to these connections than is followed")
        self._nodes = np.sort(np.concatenate(nodes))
        if pieces:
            self._targets = np.concatenate([piece[0] for piece in pieces])
            self._addresses = np.concatenate([piece[1] for piece in pieces])
            self._objects = np.concatenate([piece[2] for piece in pieces])
            self._roots = np.concatenate([piece[3] for piece in pieces])
        self._order = np.argsort(self._targets, kind="stable")
        self._sorted = self._targets[self._order]
        self._ranks = self._rank(stops, frozenset(schedulers.tolist()))
        for rank in _RANKS:
            self._labels[rank] = self._descend(rank)

    def _schedulers(self) -> NDArray[np.int64]:
        """Return the objects that are a ``runtime.p``, on which timers and caches of the runtime hang."""
        spans, offsets = self.index.spans, self.process.offsets
        size = offsets.need("p.SIZE")
        chosen = np.flatnonzero(
            spans.is_scannable & (spans.object_bytes >= size) & (spans.object_bytes <= size * 5 // 4)
        )
        found: list[int] = []
        for span in chosen.tolist():
            skip = 8 if spans.has_headers[span] else 0
            for number in range(min(int(spans.counts[span]), 64)):
                begin = int(spans.starts[span]) + number * int(spans.object_bytes[span])
                if self._is_scheduler(begin, skip):
                    found.append(self.index.object_at(begin))
        return np.array(found, np.int64)

    def _is_scheduler(self, begin: int, skip: int) -> bool:
        offsets, memory = self.process.offsets, self.process.memory
        if skip:
            return self.process.type_name(memory.word(begin)) == "runtime.p"
        number = memory.word(begin + offsets.need("p.id")) & 0xFFFFFFFF
        status = memory.word(begin + offsets.need("p.status")) & 0xFFFFFFFF
        return number < 1 << 16 and status <= 4

    def _rank(self, stops: NDArray[np.bool_], schedulers: frozenset[int]) -> NDArray[np.int64]:
        """Return the rank of each edge that begins at a root, -1 for the others, -2 for what leads nowhere."""
        ranks = np.full(len(self._targets), -1, np.int64)
        is_root = self._roots >= 0
        roots = self.index.roots
        kinds = roots.kinds[self._roots[is_root]]
        owners = roots.owners[self._roots[is_root]]
        by_kind = np.array([_GLOBAL, _GOROUTINE, _FINALIZER])[kinds]
        ranks[is_root] = np.where(
            (by_kind == _GOROUTINE) & ~self._trusted[np.maximum(owners, 0)], _DOUBTFUL, by_kind
        )
        globals_ = np.flatnonzero(ranks == _GLOBAL)
        for address in np.unique(self._addresses[globals_]).tolist():
            if self._is_of_runtime(address):
                ranks[globals_[self._addresses[globals_] == address]] = _RUNTIME
        inner = np.flatnonzero(self._objects >= 0)
        for edge in inner[stops[self._objects[inner]]].tolist():
            holder = int(self._objects[edge])
            owner = self.index.goroutine_of(holder)
            bounds = (
                int(self._addresses[edge]) - self.index.base(holder) - self.process.offsets.need("g.stack")
            )
            if holder in schedulers:
                ranks[edge] = _RUNTIME
            elif (
                owner is None or owner < 0 or bounds in {0, 8}
            ):  # the end of a stack is where a span of objects begins
                ranks[edge] = -2
            else:
                ranks[edge] = _GOROUTINE if self._trusted[owner] else _DOUBTFUL
        return ranks

    @cached_property
    def _trusted(self) -> NDArray[np.bool_]:
        """Return which goroutines of the index are the program's and held still, so that their words below are live."""
        goroutines = self.index.goroutines
        system = set(self.look.goids[self.look.is_system].tolist())
        is_system = np.array([goid in system for goid in goroutines.goids.tolist()], np.bool_)
        return np.append(goroutines.is_quiet & ~is_system, [False])

    def _is_of_runtime(self, address: int) -> bool:
        name = self.process.variable_at(address)
        if name is not None:
            return name.startswith("runtime.")
        users = self._users.of(address)
        return bool(users) and all(user.startswith("runtime.") for user in users)

    def _descend(self, rank: int) -> _Label:
        """Walk from the roots of one rank towards the connections; the first to come to an object has the shortest way."""
        count = len(self._nodes)
        via = np.full(count, -1, np.int64)
        targets = np.searchsorted(self._nodes, self._targets)
        inner = np.flatnonzero((self._objects >= 0) & (self._ranks < 0))
        holders = np.searchsorted(self._nodes, self._objects[inner])
        order = np.argsort(holders, kind="stable")
        inner, holders = inner[order], holders[order]
        begins = np.searchsorted(holders, np.arange(count), side="left")
        ends = np.searchsorted(holders, np.arange(count), side="right")
        edges = np.flatnonzero(self._ranks == rank)
        while len(edges):
            reached, first = np.unique(targets[edges], return_index=True)
            is_fresh = via[reached] < 0
            fresh = reached[is_fresh]
            via[fresh] = edges[first[is_fresh]]
            counts = ends[fresh] - begins[fresh]
            steps = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
            edges = inner[np.repeat(begins[fresh], counts) + steps]
            edges = edges[via[targets[edges]] < 0]
        return _Label(via)

    def _way(self, rank: int, anchor: int) -> list[int] | None:
        """Return the edges from a root of a rank down to an anchor; None when there is no way."""
        via = self._labels[rank].via
        edges: list[int] = []
        node = anchor
        while True:
            place = int(np.searchsorted(self._nodes, node))
            edge = int(via[place]) if place < len(self._nodes) and int(self._nodes[place]) == node else -1
            if edge < 0:
                return None
            edges.append(edge)
            if int(self._ranks[edge]) == rank:
                return edges[::-1]
            node = int(self._objects[edge])

    def answer(self, fd: int, anchors: Sequence[int]) -> Retention:
        """Return what is known of one descriptor."""
        pid, scanned = self.process.pid, self.index.scanned_bytes
        if not anchors:
            return Retention(pid=pid, fd=fd, verdict="not-found", scanned_bytes=scanned)
        roots: list[tuple[int, int, RetentionRoot]] = []
        for anchor in anchors:
            for rank in self._labels:
                way = self._way(rank, anchor)
                if way is not None:
                    roots.append((rank, len(way), self._root(rank, way)))
            roots += self._more(anchor)
        distinct: dict[tuple[str, str, int | None, tuple[str, ...]], RetentionRoot] = {}
        for _, _, root in sorted(roots, key=lambda one: one[:2]):
            distinct.setdefault((root.kind, root.name, root.goid, () if root.name else root.users), root)
        about = self.names.connection(anchors, self.is_reached)
        return Retention(
            pid=pid,
            fd=fd,
            verdict="reachable" if distinct else "unreachable",
            go_type=about.go_type,
            roots=tuple(distinct.values())[:_MAX_ROOTS],
            scanned_bytes=scanned,
            handshake_complete=about.handshake_complete,
        )

    def is_reached(self, number: int) -> bool:
        """Return whether a root was found above an object."""
        place = int(np.searchsorted(self._nodes, number))
        if place >= len(self._nodes) or int(self._nodes[place]) != number:
            return False
        return any(int(label.via[place]) >= 0 for label in self._labels.values())

    def doubt(self, fd: int, anchors: Sequence[int]) -> str:
        """Return what may have been overlooked when no root was found; "" when everything was read and nobody waits on it."""
        if self.doubts:
            return "; ".join(self.doubts)
        if fd in self.polled and self.polled[fd].is_parked:
            return "a goroutine waits on it"
        above = self._above(anchors, _MAX_REACH_OBJECTS)
        if above is None:
            return "too much leads to it"
        others = np.setdiff1d(above, np.array(anchors, np.int64))
        if np.isin(others, self.index.finalized).any():
            return "an object whose finalizer has not run yet refers to it, so that it lasts one collection longer"
        if any(self.index.goroutine_of(int(number)) is not None for number in others):
            return "the record of an ended goroutine refers to it"
        return ""

    def _above(self, anchors: Sequence[int], limit: int) -> NDArray[np.int64] | None:
        """Return everything above some objects, None when it is too much."""
        frontier = np.array(anchors, np.int64)
        seen = np.unique(frontier)
        while len(frontier):
            _, holders = self.index.holders(frontier)
            _, objects, _ = self.index.decode(holders)
            frontier = np.setdiff1d(objects[objects >= 0], seen)
            seen = np.union1d(seen, frontier)
            if len(seen) > limit:
                return None
        return seen

    def _more(self, anchor: int) -> list[tuple[int, int, RetentionRoot]]:
        """Return further roots near an object, each by its shortest way; few objects are looked at."""
        found: list[tuple[int, int, RetentionRoot]] = []
        came_by = {anchor: -1}
        frontier = [anchor]
        depth = 0
        by_target: dict[int, list[int]] = {}
        seen_roots: set[tuple[int, int]] = set()
        while frontier and len(came_by) < _MAX_EXTRA_OBJECTS and len(seen_roots) < 2 * _MAX_ROOTS:
            depth += 1
            by_target = self._edges_to(frontier)
            following: list[int] = []
            for target in frontier:
                for edge in by_target.get(target, ()):
                    rank = int(self._ranks[edge])
                    holder = int(self._objects[edge])
                    if rank >= 0:
                        owner = int(self.index.roots.owners[self._roots[edge]]) if holder < 0 else holder
                        key = (rank, owner if rank in _OF_GOROUTINES else int(self._addresses[edge]))
                        if key not in seen_roots:
                            seen_roots.add(key)
                            found.append((rank, depth, self._root(rank, self._back(edge, came_by))))
                    elif rank == -1 and holder not in came_by:
                        came_by[holder] = edge
                        following.append(holder)
            frontier = following
        return found

    def _edges_to(self, objects: Sequence[int]) -> dict[int, list[int]]:
        begins = np.searchsorted(self._sorted, objects, side="left")
        ends = np.searchsorted(self._sorted, objects, side="right")
        return {
            target: self._order[begin : min(end, begin + _MAX_EXTRA_OBJECTS)].tolist()
            for target, begin, end in zip(objects, begins.tolist(), ends.tolist(), strict=True)
        }

    def _back(self, edge: int, came_by: Mapping[int, int]) -> list[int]:
        way = [edge]
        node = int(self._targets[edge])
        while came_by[node] >= 0:
            way.append(came_by[node])
            node = int(self._targets[came_by[node]])
        return way

    def _root(self, rank: int, way: Sequence[int]) -> RetentionRoot:
        """Return a root in the reader's words, with the types on the way to the connection."""
        first = way[0]
        address = int(self._addresses[first])
        steps = [(int(self._targets[edge]), int(self._addresses[edge])) for edge in way]
        path = self.names.path(steps[:-1])
        if rank in _OF_GOROUTINES:
            holder = int(self._objects[first])
            owner = (
                int(self.index.roots.owners[self._roots[first]])
                if holder < 0
                else self.index.goroutine_of(holder)
            )
            goid = None if owner is None else int(self.index.goroutines.goids[owner])
            function = self._function(owner, address) if holder < 0 and owner is not None else ""
            return RetentionRoot(kind="goroutine", goid=goid, function=function, path=path)
        if rank == _FINALIZER:
            return RetentionRoot(kind="global", users=("runtime.SetFinalizer",), path=("finalizer", *path))
        if rank == _RUNTIME and int(self._objects[first]) >= 0:
            return RetentionRoot(kind="global", name="runtime.allp", path=("*runtime.p", *path))
        name = self.process.variable_at(address) or ""
        return RetentionRoot(
            kind="global", name=name, users=() if name else self._users.of(address), path=path
        )

    def _function(self, owner: int, address: int) -> str:
        """Return the function in whose frame a stack word lies; "" when the goroutine has moved since the look."""
        i = self.look.index_of_goid(int(self.index.goroutines.goids[owner]))
        if i is None or self.look.stack_pointer(i) != int(self.index.goroutines.starts[owner]):
            return ""
        pointers = self.look.frame_pointers(i)
        stack = int(self.look.stack_of[i])
        if stack < 0 or not pointers:
            return ""
        frame = int(np.searchsorted(np.array(pointers, np.uint64), np.uint64(address), side="right")) - 1
        if frame < 0:
            return ""
        pc = self.look.stacks[stack][frame]
        place = self.process.names.function_around(pc if frame == 0 else pc - 1)
        return "" if place is None else place[0]


def reach(
    index: HeapIndex,
    addresses: Collection[int],
    ignoring: Mapping[int, Collection[int]] | None = None,
) -> dict[int, str]:
    """Return who else can reach some objects, such as channels that goroutines wait for.

    Args:
        index: of ``build_index`` with these addresses as ``interest``.
        addresses: of the objects, any byte of them.
        ignoring: by address the numbers of goroutines that do not count: those that wait for it.

    Returns ``global``, ``goroutine`` (one that is not to be ignored), ``heap`` (something holds it, whose own holder was not
    found or not searched to the end) or ``nobody`` (only after a complete search) by address; what could not be
    decided is left out.
    """
    answers: dict[int, str] = {}
    for address in addresses:
        number = index.object_at(address)
        if number < 0:
            if index.process.module("noptrdata") <= address < index.process.module("enoptrbss"):
                answers[address] = "global"
            continue
        answer = _reach_one(index, number, frozenset((ignoring or {}).get(address, ())))
        if answer:
            answers[address] = answer
    return answers


def _reach_one(index: HeapIndex, number: int, ignored: frozenset[int]) -> str:
    goids, kinds, owners = index.goroutines.goids, index.roots.kinds, index.roots.owners
    stack = index.process.offsets.need("g.stack")
    bounds = {stack, stack + 8}  # the end of a stack is where a span of objects begins
    frontier = np.array([number], np.int64)
    seen = {number}
    best = ""
    has_holder = False
    while len(frontier):
        _, holders = index.holders(frontier)
        places, objects, roots = index.decode(holders)
        inner = objects >= 0
        roots = roots[roots >= 0]
        kind = kinds[roots]
        if (kind != RootKind.STACK).any():
            return "global"
        others = [goid for goid in goids[owners[roots]].tolist() if goid not in ignored]
        following: list[int] = []
        for holder, place in zip(objects[inner].tolist(), places[inner].tolist(), strict=True):
            if holder in seen or (
                index.goroutine_of(holder) is not None and place - index.base(holder) in bounds
            ):
                continue
            seen.add(holder)
            owner = index.goroutine_of(holder)
            if owner is None:
                has_holder = True
                following.append(holder)
            elif owner >= 0 and int(goids[owner]) not in ignored:
                others.append(int(goids[owner]))
        if others:
            best = "goroutine"
        if len(seen) > _MAX_REACH_OBJECTS:
            return best or "heap"
        frontier = np.array(following, np.int64)
    if best:
        return best
    if index.doubts:
        return "heap" if has_holder else ""
    return "nobody"
