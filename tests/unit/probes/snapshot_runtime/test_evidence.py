"""Goroutines as evidence: what moved, who is new, which stack, in whose thread."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec
import pytest

from leadline.model import SiteFrame, TargetGone
from leadline.probes.snapshot_runtime.evidence import (
    moved_since,
    runnable_count,
    runtime_evidence,
    still_for,
)
from leadline.probes.snapshot_runtime.gc_state import GcState
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.process import OpenedProcess, open_process
from simulated_go import PID, Parked, SimulatedGo

if TYPE_CHECKING:
    from leadline.evidence.kinds import Goroutine

MAIN = Parked(
    1, ("runtime.gopark", "main.main", "runtime.main"), start="runtime.main", creator="runtime.main"
)
THREAD = 0xD000000000
SOME = [
    MAIN,
    Parked(7, fields={"waitsince": 10**12 - 90 * 10**9}),
    Parked(8, fields={"waitsince": 10**13}, creator="runtime.gopark"),
    Parked(9, status=2, fields={"m": THREAD}),
    Parked(10, (), status=1, start="main.read"),
    Parked(11, fields={"lockedm": THREAD}),
    Parked(12, ("runtime.gopark", "runtime.bgsweep"), start="runtime.bgsweep", reason=8),
    Parked(13, status=10),
    Parked(14, ("main.read", *["main.worker"] * 80), status=3),
]


def opened(goroutines: list[Parked] | None = None) -> tuple[SimulatedGo, OpenedProcess]:
    target = SimulatedGo(SOME if goroutines is None else goroutines)
    thread = bytearray(1024)
    struct.pack_into("<Q", thread, target.offsets.need("m.procid"), PID)
    target.memory[THREAD] = thread
    return target, open_process(target.host, PID)


def by_goid(goroutines: list[Goroutine]) -> dict[int, Goroutine]:
    return {one.goid: one for one in goroutines}


def test_goroutines_become_evidence() -> None:
    target, process = opened()
    found = Found(waits_on={7: [3, 4]})
    runtime, goroutines, stacks = runtime_evidence(
        target.host,
        process,
        take_look(process),
        found=found,
        first_id=100,
        gc=GcState(gomaxprocs=2, cycles=9),
    )
    every = by_goid(goroutines)
    assert list(every) == [1, 7, 8, 9, 10, 11, 13, 14]
    assert (runtime.pid, runtime.source, runtime.go_version, runtime.passes) == (PID, "memory", "go1.26.8", 1)
    assert (runtime.goroutines, runtime.system_goroutines, runtime.running, runtime.unstable) == (8, 1, 1, 0)
    assert (runtime.runnable, runtime.gomaxprocs, runtime.gc_cycles, runtime.first_goroutines) == (
        (1,),
        2,
        9,
        None,
    )
    creator = SiteFrame(function="main.main", file="/src/main.go", line=7, role="app")
    assert every[7].created_by == creator
    assert [every[goid].created_by for goid in (1, 8)] == [None, None]
    assert every[7].parent_goid == 1
    assert [every[goid].waited_ns for goid in (7, 8, 10)] == [90 * 10**9, None, None]
    assert [every[goid].tid for goid in (1, 9, 11)] == [None, PID, PID]
    assert [goid for goid, one in every.items() if one.is_locked] == [11]
    assert [goid for goid, one in every.items() if one.is_leaked] == [13]
    assert [goid for goid, one in every.items() if one.stack is None] == [9]
    assert every[7].stack == every[8].stack == every[11].stack == every[13].stack
    assert every[7].waits_on == (3, 4)
    assert every[7].moved is None
    assert not every[7].is_new
    frames = {one.id: one for one in stacks}
    assert set(frames) == {one.stack for one in goroutines if one.stack} == set(range(100, 104))
    assert [frame.function for frame in frames[every[10].stack or 0].frames] == ["main.read"]
    deep = frames[every[14].stack or 0]
    assert (len(deep.frames), deep.truncated) == (64, True)
    assert not frames[every[7].stack or 0].truncated
    assert msgspec.json.decode(msgspec.json.encode(goroutines[0]), type=type(goroutines[0])) == goroutines[0]


def test_two_looks_tell_who_has_run_and_who_is_new() -> None:
    target, process = opened()
    first = take_look(process)
    again = opened([*SOME, Parked(20), Parked(21)])[0]
    sequence, locked = process.offsets.need("g.trackingSeq"), process.offsets.need("g.lockedm")
    target.memory.update(again.memory)
    target.row(1)[sequence] += 1
    target.row(2)[locked - 16] = 5  # trackingStamp: it went round
    last = take_look(process)
    for earlier in (first, first.moment()):
        runtime, goroutines, _ = runtime_evidence(
            target.host, process, last, earlier, gc=GcState(cycles=9), first_gc=GcState(cycles=7)
        )
        every = by_goid(goroutines)
        assert [goid for goid, one in every.items() if one.is_new] == [20, 21]
        assert [goid for goid, one in every.items() if one.moved] == [7, 8, 9]
        assert [goid for goid, one in every.items() if one.moved is None] == [20, 21]
        assert (runtime.passes, runtime.first_goroutines, runtime.goroutines) == (2, 8, 10)
        assert (runtime.runnable, runtime.gc_cycles_in_window) == ((1, 1), 2)
    assert runnable_count(last) == 1


def test_looks_in_between_tell_for_how_long_each_has_not_run() -> None:
    """One has stood still all the time, one ran after the first look, one runs all the time, one came later."""
    target, process = opened()
    sequence = process.offsets.need("g.trackingSeq")
    looks = [take_look(process)]
    target.memory.update(opened([*SOME, Parked(20)])[0].memory)
    target.row(2)[sequence] += 1
    for _ in range(3):
        target.clock.advance(10**9)
        target.row(5)[sequence] += 1
        looks.append(take_look(process))
    last = looks.pop()
    still = dict(zip(last.goids.tolist(), still_for(last, looks, minor=26).tolist(), strict=True))
    apart = [last.mono_ns - look.mono_ns for look in looks]
    assert (still[7], still[8], still[11], still[20]) == (apart[0], apart[1], 0, apart[1])
    assert not still_for(last, (), minor=26).any()


def test_a_goroutine_in_a_call_may_have_left_it_since_go_1_27() -> None:
    _, process = opened()
    first = take_look(process)
    last = take_look(process)
    index = last.index_of_goid(14)
    assert index is not None
    assert moved_since(last, first, minor=26)[1][index] == 0
    assert moved_since(last, first, minor=27)[1][index] == -1


def test_a_number_in_another_goroutines_place_has_run() -> None:
    target, process = opened()
    first = take_look(process)
    place = process.offsets.need("g.goid")
    struct.pack_into("<Q", target.row(1), place, 8)
    struct.pack_into("<Q", target.row(2), place, 7)
    _, moved = moved_since(take_look(process), first, minor=26)
    assert moved[:4].tolist() == [0, 1, 1, 1]


def test_a_process_that_ends_meanwhile_is_gone() -> None:
    target, process = opened()
    look = take_look(process)
    target.is_alive = False

    def end(_: str, *, limit_bytes: int = 0) -> bytes:
        raise TargetGone(f"it has ended ({limit_bytes})")

    target.read_proc = end  # type: ignore[method-assign,assignment]  # the process ends between two calls
    _, goroutines, _ = runtime_evidence(target.host, process, look)
    assert len(goroutines) == 8
    with pytest.raises(TargetGone):
        take_look(process)


def test_labels_are_read_once_for_all_that_share_them() -> None:
    at = 0xE000000000
    target, process = opened([MAIN, Parked(7, fields={"labels": at}), Parked(8, fields={"labels": at})])
    raw = bytearray(256)
    struct.pack_into("<3Q", raw, 0, at + 32, 1, 1)
    struct.pack_into("<4Q", raw, 32, at + 100, 4, at + 110, 2)
    raw[100:104], raw[110:112] = b"kind", b"x1"
    target.memory[at] = raw
    _, goroutines, _ = runtime_evidence(target.host, process, take_look(process))
    assert [one.labels for one in goroutines] == [{}, {"kind": "x1"}, {"kind": "x1"}]
