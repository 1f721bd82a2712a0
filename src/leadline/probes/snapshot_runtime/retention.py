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

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from leadline.evidence.kinds import Retention, RetentionRoot
from leadline.model import Gap, GapReason, Unsupported
from leadline.probes.snapshot_runtime.ancestors import Ancestors, Rank, RootRanks
from leadline.probes.snapshot_runtime.global_users import GlobalUsers
from leadline.probes.snapshot_runtime.heap_index import CAP_BYTES, HeapIndex, RootKind, build_index
from leadline.probes.snapshot_runtime.object_names import ObjectNames
from leadline.probes.snapshot_runtime.pollers import poll_descs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from leadline.probes.snapshot_runtime.looks import Look, Words
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["reach", "retain"]

NAME = "snapshot_runtime"
_MAX_ROOTS = 3
_NEAR_LEVELS = 64
_MAX_LEVELS = 50_000
_MAX_REACH_OBJECTS = 50_000
_SEARCHES = 3
_NEEDED = 2
_PARKED = 2  # pollDesc.rg and wg: above it they are the address of a goroutine
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
    waits: Mapping[int, Collection[int]] | None = None,
    reached: dict[int, str] | None = None,
) -> list[Retention]:
    """Return why each descriptor's connection is reachable, or that it is not.

    Args:
        process: a Go process.
        look: its goroutines, to name the frames that hold something.
        fds: the descriptors, best those that no goroutine works with.
        cap_bytes: refuse when more memory than this would have to be read.
        progress: called with the part of the search that is done, 0 to 1.
        gaps: takes a gap for descriptors about which nothing could be decided; these are left out of the answer.
        waits: by address of an object the numbers of the goroutines that wait for it: who else can reach it is asked too.
        reached: takes the answers, as ``reach`` gives them; ``nobody`` only when two searches agree.

    Raises:
        Unsupported: the heap was not found or is larger than the cap (the remedy names how to allow more), or the layout of
            this release is not known well enough.
        NotPermitted: the memory may not be read.
        TargetGone: the process has ended.
    """
    wanted = list(dict.fromkeys(fds))
    doubts: dict[int, str] = {}
    try:
        answers = _search(
            process,
            look,
            wanted,
            doubts=doubts,
            cap_bytes=cap_bytes,
            progress=progress,
            waits=waits or {},
            reached=reached,
        )
    except KeyError as exc:
        raise Unsupported(
            f"process {process.pid}: where {process.go_version} keeps {exc.args[0]} is not known"
        ) from exc
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


def _search(
    process: OpenedProcess,
    look: Look,
    wanted: Sequence[int],
    *,
    doubts: dict[int, str],
    cap_bytes: int,
    progress: Callable[[float], None] | None,
    waits: Mapping[int, Collection[int]],
    reached: dict[int, str] | None,
) -> dict[int, Retention]:
    """Return the answers by descriptor; why there is none is put into ``doubts``."""
    answers: dict[int, Retention] = {}
    misses: dict[int, int] = {}
    waiting = dict(waits)
    for search in range(_SEARCHES):
        open_fds = [fd for fd in wanted if fd not in answers]
        if not open_fds and not waiting:
            break
        polled = _polled(process)
        index = build_index(
            process,
            cap_bytes=cap_bytes,
            interest=waiting,
            off_heap=[polled[fd].address for fd in open_fds if fd in polled],
            progress=progress if not search else None,
        )
        waiting = _ask(index, waiting, {} if reached is None else reached, is_first=not search)
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
    return answers


def _ask(
    index: HeapIndex, waits: Mapping[int, Collection[int]], reached: dict[int, str], *, is_first: bool
) -> dict[int, Collection[int]]:
    """Put who can reach objects into ``reached``; return those that must be asked once more."""
    found = reach(index, waits, waits)
    again = {
        address: goids for address, goids in waits.items() if is_first and found.get(address) == "nobody"
    }
    reached.update((address, answer) for address, answer in found.items() if address not in again)
    return again


def _polled(process: OpenedProcess) -> dict[int, _Polled]:
    """Return what the runtime's poller knows, by descriptor; each is checked against its pollDesc."""
    offsets = process.offsets
    fds, addresses = poll_descs(process.host, process)
    at = {name: offsets.need(f"pollDesc.{name}") for name in ("fd", "rg", "wg")}
    rows, is_read = process.memory.gather(addresses, max(at.values()) + 8)
    words = {
        name: np.ascontiguousarray(rows[:, place : place + 8]).view(np.uint64).ravel()
        for name, place in at.items()
    }
    good = is_read & (words["fd"].astype(np.int64) == fds)
    parked = (words["rg"] > _PARKED) | (words["wg"] > _PARKED)
    told = zip(fds[good].tolist(), addresses[good].tolist(), parked[good].tolist(), strict=True)
    return {fd: _Polled(address, is_parked) for fd, address, is_parked in told}


class _Search:
    """One search: who points where, and what leads to the connections."""

    def __init__(
        self, process: OpenedProcess, look: Look, index: HeapIndex, polled: Mapping[int, _Polled]
    ) -> None:
        self.process = process
        self.look = look
        self.index = index
        self.polled = polled
        self.names = ObjectNames(process, index)
        self._users = GlobalUsers(process)
        self._ranks = RootRanks(process, look, index, self._users)
        self._above: dict[int, Ancestors] = {}

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
        """Find what leads to the anchors: at first near them, then all of it for those that no variable near leads to."""
        left = {one for many in anchors.values() for one in many}
        for max_levels in (_NEAR_LEVELS, _MAX_LEVELS):
            if not left:
                return
            above = Ancestors(self.index, left, self._ranks, max_levels=max_levels)
            self._above.update(dict.fromkeys(left, above))
            if above.is_complete:
                return
            left = {one for one in left if not above.leads(Rank.GLOBAL, one)}

    def answer(self, fd: int, anchors: Sequence[int]) -> Retention:
        """Return what is known of one descriptor."""
        pid, scanned = self.process.pid, self.index.scanned_bytes
        if not anchors:
            return Retention(pid=pid, fd=fd, verdict="not-found", scanned_bytes=scanned)
        found: list[tuple[Rank, int, RetentionRoot]] = []
        for anchor in anchors:
            above = self._above[anchor]
            for rank, way in [*above.ways(anchor), *above.near(anchor, 2 * _MAX_ROOTS)]:
                found.append((rank, len(way), self._root(above, rank, way)))
        distinct: dict[tuple[str, str, int | None, tuple[str, ...]], RetentionRoot] = {}
        for _, _, root in sorted(found, key=lambda one: one[:2]):
            distinct.setdefault((root.kind, root.name, root.goid, () if root.name else root.users), root)
        about = self.names.connection(anchors, self._is_reached)
        return Retention(
            pid=pid,
            fd=fd,
            verdict="reachable" if distinct else "unreachable",
            go_type=about.go_type,
            roots=tuple(distinct.values())[:_MAX_ROOTS],
            scanned_bytes=scanned,
            handshake_complete=about.handshake_complete,
        )

    def _is_reached(self, number: int) -> bool:
        return any(above.is_reached(number) for above in set(self._above.values()))

    def doubt(self, fd: int, anchors: Sequence[int]) -> str:
        """Return what may have been overlooked when no root was found; "" when everything was read and nobody waits on it."""
        if self.index.doubts:
            return "; ".join(self.index.doubts)
        if fd in self.polled and self.polled[fd].is_parked:
            return "a goroutine waits on it"
        if not all(self._above[anchor].is_complete for anchor in anchors):
            return "more leads to it than is followed"
        if any(self._above[anchor].leads(Rank.KEPT, anchor) for anchor in anchors):
            return "an object whose finalizer has not run yet refers to it, so that it lasts one collection longer"
        return ""

    def _root(self, above: Ancestors, rank: Rank, way: Sequence[int]) -> RetentionRoot:
        """Return a root in the reader's words, with the types on the way to the connection."""
        first = way[0]
        address, holder = int(above.addresses[first]), int(above.objects[first])
        steps = [(int(above.targets[edge]), int(above.addresses[edge])) for edge in way]
        path = self.names.path(steps[:-1])
        if rank in {Rank.GOROUTINE, Rank.DOUBTFUL}:
            owner = (
                int(self.index.roots.owners[above.roots[first]])
                if holder < 0
                else self.index.goroutine_of(holder)
            )
            goid = None if owner is None else int(self.index.goroutines.goids[owner])
            function = self._function(owner, address) if holder < 0 and owner is not None else ""
            return RetentionRoot(kind="goroutine", goid=goid, function=function, path=path)
        if rank == Rank.FINALIZER:
            return RetentionRoot(kind="global", users=("runtime.SetFinalizer",), path=("finalizer", *path))
        if holder >= 0:
            return RetentionRoot(kind="global", name="runtime.allp", path=("*runtime.p", *path))
        name = self.process.variable_at(address) or ""
        return RetentionRoot(
            kind="global", name=name, users=() if name else self._users.of(address), path=path
        )

    def _function(self, owner: int, address: int) -> str:
        """Return the function in whose frame a stack word lies; "" when the goroutine has moved since the look.

        A word in a frame of the runtime itself is named by the function that called it.
        """
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
        first = ""
        for above, pc in enumerate(self.look.stacks[stack][frame:], frame):
            place = self.process.names.function_around(pc if above == 0 else pc - 1)
            name = "" if place is None else place[0]
            first = first or name
            if name and not name.startswith("runtime."):
                return name
        return first


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
