"""Turns what was read of goroutines into evidence: addresses become names and small numbers, two looks become movement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.evidence.kinds import Goroutine, GoRuntime, Stack
from leadline.model import AccessError, TargetGone
from leadline.probes.snapshot_runtime import states
from leadline.probes.snapshot_runtime.gc_state import GcState
from leadline.probes.snapshot_runtime.labels import read_labels
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.pollers import system_calls
from leadline.probes.snapshot_runtime.threads import host_tids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from leadline.contracts import Host
    from leadline.model import SiteFrame
    from leadline.probes.snapshot_runtime.look import GoroutineLook, Moment
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["moved_since", "runnable_count", "runtime_evidence", "still_for"]

_MAX_FRAMES = 64
_UNCOUNTED_SYSCALLS_FROM = 27


def runnable_count(look: GoroutineLook | Moment) -> int:
    """Return how many goroutines of the program were ready to run and waited for a CPU."""
    return int(np.count_nonzero((look.statuses == states.RUNNABLE) & ~look.is_system))


def moved_since(
    look: GoroutineLook, first: GoroutineLook | Moment, *, minor: int
) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    """Return which goroutines are new since an earlier look, and which have run: 1 yes, 0 no, -1 unknown.

    The counter ``trackingSeq`` has 8 bits; the times that go with it make sure that it did not go round. From Go 1.27 on it
    does not count system calls: of a goroutine that is in one both times it is known only that it did not leave, when its
    thread was not on a CPU since.
    """
    order = np.argsort(first.goids)
    place = np.minimum(np.searchsorted(first.goids[order], look.goids), max(len(order) - 1, 0))
    earlier = order[place]
    is_new = first.goids[earlier] != look.goids
    has_run = (look.marks != first.marks[earlier]).any(axis=1) | (look.addresses != first.addresses[earlier])
    has_run |= (look.statuses == states.RUNNING) | (first.statuses[earlier] == states.RUNNING)
    moved = has_run.astype(np.int8)
    if minor >= _UNCOUNTED_SYSCALLS_FROM:
        both = (look.statuses == states.SYSCALL) & (first.statuses[earlier] == states.SYSCALL)
        for index in np.flatnonzero(both & ~has_run & ~is_new).tolist():
            goid = int(look.goids[index])
            switches = look.switches.get(goid)
            moved[index] = 0 if switches is not None and switches == first.switches.get(goid) else -1
    moved[is_new] = -1
    return is_new, moved


def still_for(
    look: GoroutineLook, earlier: Sequence[GoroutineLook | Moment], *, minor: int
) -> NDArray[np.int64]:
    """Return for how many ns each goroutine has not run, as far back as earlier looks (in their order) tell; 0 is unknown."""
    still = np.zeros(len(look), np.int64)
    is_still = np.ones(len(look), np.bool_)
    for one in reversed(earlier):
        if not len(one.goids):
            break
        is_still &= moved_since(look, one, minor=minor)[1] == 0
        still[is_still] = look.mono_ns - one.mono_ns
    return still


def runtime_evidence(
    host: Host,
    process: OpenedProcess,
    look: GoroutineLook,
    first: GoroutineLook | Moment | None = None,
    found: Found | None = None,
    *,
    first_id: int = 1,
    gc: GcState | None = None,
    first_gc: GcState | None = None,
    runnable: tuple[int, ...] = (),
    between: Sequence[Moment] = (),
) -> tuple[GoRuntime, list[Goroutine], list[Stack]]:
    """Return the runtime, its goroutines at the last look, and their stacks.

    Args:
        host: the machine.
        process: the process.
        look: the last look.
        first: the first look, or its ``moment()``; None when there was one only.
        found: what the readers found of the last look.
        first_id: number of the first stack.
        gc: state of the collector at the last look.
        first_gc: the same at the first look.
        runnable: runnable goroutines at each look in turn; by default those of ``first`` and ``look``.
        between: looks between these two, in their order.

    Raises:
        TargetGone: the process has ended. NotPermitted.
    """
    gc = gc or GcState()
    shown = np.flatnonzero(~look.is_system)
    stacks, stack_ids = _stacks(process.pid, look, shown, first_id)
    goroutines = _goroutines(
        host,
        process,
        look,
        first,
        found=found or Found(),
        shown=shown,
        stack_ids=stack_ids,
        still=still_for(look, between if first is None else (first, *between), minor=process.minor),
    )
    looks: list[GoroutineLook | Moment] = [look] if first is None else [first, look]
    in_window = None
    if first_gc is not None and gc.cycles is not None and first_gc.cycles is not None:
        in_window = max(gc.cycles - first_gc.cycles, 0)
    runtime = GoRuntime(
        pid=process.pid,
        source="memory",
        go_version=process.go_version,
        first_mono_ns=looks[0].mono_ns,
        last_mono_ns=look.mono_ns,
        passes=max(len(runnable), len(looks)),
        goroutines=len(shown),
        first_goroutines=None if first is None else int(np.count_nonzero(~first.is_system)),
        system_goroutines=len(look) - len(shown),
        running=int(np.count_nonzero(look.statuses[shown] == states.RUNNING)),
        unstable=int(np.count_nonzero(~look.is_stable[shown])),
        runnable=runnable or tuple(runnable_count(each) for each in looks),
        gomaxprocs=gc.gomaxprocs,
        threads=gc.threads,
        gc_cycles=gc.cycles,
        gc_cycles_in_window=in_window,
        last_gc_mono_ns=gc.last_gc_mono_ns,
        heap_live_bytes=gc.heap_live_bytes,
        heap_goal_bytes=gc.heap_goal_bytes,
        gc_percent=gc.gc_percent,
    )
    return runtime, goroutines, stacks


def _stacks(
    pid: int, look: GoroutineLook, shown: NDArray[np.int64], first_id: int
) -> tuple[list[Stack], list[int | None]]:
    """Return the stacks of shown goroutines, and the number by index of the distinct stack; the last is of -1."""
    used = [stack for stack in np.unique(look.stack_of[shown]).tolist() if stack >= 0]
    ids: list[int | None] = [None] * (len(look.stacks) + 1)
    stacks = []
    for number, stack in enumerate(used, first_id):
        frames = look.frames(stack)
        is_cut = len(frames) > _MAX_FRAMES or not bool(look.is_whole[stack])
        stacks.append(Stack(id=number, pid=pid, frames=frames[:_MAX_FRAMES], truncated=is_cut))
        ids[stack] = number
    return stacks, ids


def _goroutines(
    host: Host,
    process: OpenedProcess,
    look: GoroutineLook,
    first: GoroutineLook | Moment | None,
    *,
    found: Found,
    shown: NDArray[np.int64],
    stack_ids: list[int | None],
    still: NDArray[np.int64],
) -> list[Goroutine]:
    is_new = np.zeros(len(look), np.bool_)
    moved = np.full(len(look), -1, np.int8)
    if first is not None and len(first.goids):
        is_new, moved = moved_since(look, first, minor=process.minor)
    tids = _tids(host, process, look)
    try:
        calls = system_calls(host, process, look)
    except TargetGone:
        raise
    except AccessError:  # the reader of descriptors has noted it
        calls = {}
    pid = process.pid
    created = _created(process, look, shown)
    labels = _labels(process, look, shown)
    answers = (False, True, None)
    goroutines = []
    columns = zip(
        shown.tolist(), look.goids[shown].tolist(), _states(look, shown), look.stack_of[shown].tolist(), created,
        _parents(look, shown), _waited(look, shown), moved[shown].tolist(), is_new[shown].tolist(),
        look.is_stable[shown].tolist(), (look.field("lockedm")[shown] != 0).tolist(),
        (look.statuses[shown] == states.LEAKED).tolist(), labels, still[shown].tolist(), strict=True,
    )  # fmt: skip
    for (
        i,
        goid,
        state,
        stack,
        creator,
        parent,
        waited,
        has_moved,
        new,
        stable,
        locked,
        leaked,
        marks,
        still_ns,
    ) in columns:
        call = calls.get(goid) if calls else None
        waits_on = found.waits_on.get(goid) if found.waits_on else None
        goroutines.append(
            Goroutine(
                pid=pid,
                goid=goid,
                state=state,
                stack=stack_ids[stack],
                created_by=creator,
                parent_goid=parent,
                waited_ns=waited,
                moved=answers[has_moved],
                is_new=new,
                still_ns=still_ns if still_ns > 0 else None,
                is_stable=stable,
                tid=tids.get(i) if tids else None,
                is_locked=locked,
                syscall=None if call is None else call.name,
                syscall_fd=None if call is None else call.fd,
                waits_on=() if waits_on is None else tuple(waits_on),
                is_leaked=leaked,
                labels=marks,
            )
        )
    return goroutines


def _states(look: GoroutineLook, shown: NDArray[np.int64]) -> list[str]:
    """Return the state of each; there are few different ones."""
    keys = look.statuses[shown] << 8 | look.reasons[shown]
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    texts = [look.state(i) for i in shown[firsts].tolist()]
    return [texts[index] for index in inverse.tolist()]


def _created(process: OpenedProcess, look: GoroutineLook, shown: NDArray[np.int64]) -> list[SiteFrame | None]:
    places, inverse = np.unique(look.field("gopc")[shown], return_inverse=True)
    sites = [process.stack_names.creator(place) for place in places.tolist()]
    found = [sites[index] for index in inverse.tolist()]
    for at in np.flatnonzero(look.goids[shown] == 1).tolist():
        found[at] = None
    return found


def _parents(look: GoroutineLook, shown: NDArray[np.int64]) -> list[int | None]:
    return [parent or None for parent in look.field("parentGoid")[shown].astype(np.int64).tolist()]


def _waited(look: GoroutineLook, shown: NDArray[np.int64]) -> list[int | None]:
    since = look.field("waitsince")[shown].astype(np.int64)
    waits = np.isin(look.statuses[shown], (states.WAITING, states.SYSCALL))
    is_known = waits & (since > 0) & (since <= look.mono_ns)
    waited = np.where(is_known, look.mono_ns - since, -1)
    return [each if each >= 0 else None for each in waited.tolist()]


def _labels(process: OpenedProcess, look: GoroutineLook, shown: NDArray[np.int64]) -> list[dict[str, str]]:
    places, inverse = np.unique(look.field("labels")[shown], return_inverse=True)
    texts = [read_labels(process.memory, process.minor, place) for place in places.tolist()]
    return [texts[index] for index in inverse.tolist()]


def _tids(host: Host, process: OpenedProcess, look: GoroutineLook) -> dict[int, int]:
    """Return the thread by index of those that are on one or locked to one."""
    locked = look.field("lockedm")
    threads = np.where(look.threads != 0, look.threads, locked)
    chosen = np.flatnonzero(threads != 0)
    if not len(chosen):
        return {}
    at = np.uint64(process.offsets.need("m.procid"))
    numbers, are_read = process.memory.gather_words(threads[chosen] + at)
    known = host_tids(host, process.pid)
    found = {}
    for i, number, is_read in zip(chosen.tolist(), numbers.tolist(), are_read.tolist(), strict=True):
        tid = number if known is None else known.get(number, 0)
        if is_read and 0 < tid < 1 << 31:
            found[i] = tid
    return found
