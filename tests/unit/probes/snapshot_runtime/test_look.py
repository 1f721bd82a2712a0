"""Looks at a process made of bytes: what is stable, what is torn, and that garbage never raises."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.model import TargetGone, Unsupported
from leadline.probes.snapshot_runtime import look as module
from leadline.probes.snapshot_runtime.look import GoroutineLook, take_look
from leadline.probes.snapshot_runtime.process import open_process
from simulated_go import BSS, PID, Parked, SimulatedGo, pc_of

MAIN = Parked(1, ("runtime.gopark", "main.main", "runtime.main"), start="runtime.main")
SOME = [
    MAIN,
    Parked(7),
    Parked(8, ("runtime.gopark", "internal/poll.runtime_pollWait", "main.read", "main.worker"), reason=2),
    Parked(9, status=2),
    Parked(10, (), status=1),
    Parked(11, status=6),
    Parked(12, ("runtime.gopark", "runtime.bgsweep"), start="runtime.bgsweep", reason=8),
    Parked(13, ("runtime.runFinalizers",), start="runtime.runFinalizers", reason=10),
    Parked(14, ("runtime.gopark", "main.read", "runtime.runFinalizers"), start="runtime.runFinalizers"),
    Parked(15, ("runtime.Gosched", "main.worker"), status=0x1001),
    Parked(16, status=8),
    Parked(17),
]


def looked(target: SimulatedGo) -> GoroutineLook:
    return take_look(open_process(target.host, PID))


def names(look: GoroutineLook, goid: int) -> tuple[str, ...]:
    index = look.index_of_goid(goid)
    assert index is not None
    stack = int(look.stack_of[index])
    return look.functions(stack) if stack >= 0 else ()


def test_goroutines_have_states_and_stacks() -> None:
    look = looked(SimulatedGo(SOME))
    assert look.goids.tolist() == [1, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17]
    assert [look.state(i) for i in range(len(look))] == [
        "chan receive", "chan receive", "IO wait", "running", "runnable", "GC sweep wait", "finalizer wait",
        "chan receive", "runnable", "copystack", "chan receive",
    ]  # fmt: skip
    assert names(look, 7) == ("runtime.gopark", "runtime.chanrecv", "main.worker", "runtime.goexit")
    assert names(look, 10) == ("main.worker", "runtime.goexit")
    assert names(look, 15) == ("runtime.Gosched", "main.worker", "runtime.goexit")
    assert names(look, 9) == names(look, 16) == ()
    assert bool(look.is_whole.all())
    assert look.goids[~look.is_stable].tolist() == [16]
    assert look.goids[look.is_system].tolist() == [12, 13]
    assert look.bytes_read > 0


def test_same_stacks_are_one() -> None:
    look = looked(SimulatedGo(SOME))
    first, second = look.index_of_goid(7), look.index_of_goid(17)
    assert look.stack_of[first] == look.stack_of[second]
    assert len(look.stacks) == 8
    assert look.goids[look.with_function(lambda name: name == "main.read")].tolist() == [8, 14]
    assert [frame.function for frame in look.frames(int(look.stack_of[first]))] == ["main.worker"]


def test_words_and_frames_lie_where_the_stack_is() -> None:
    look = looked(SimulatedGo(SOME))
    index = look.index_of_goid(7)
    assert index is not None
    places = look.frame_pointers(index)
    assert len(places) == len(look.stacks[int(look.stack_of[index])])
    assert places[0] == look.stack_pointer(index)
    assert list(places) == sorted(places)
    assert pc_of("main.worker") in look.words(index).tolist()
    running = look.index_of_goid(9)
    assert running is not None
    assert not len(look.words(running))
    assert look.frame_pointers(running) == ()
    assert look.index_of_goid(99) is None
    assert look.index_of_address(int(look.addresses[index])) == index
    assert look.index_of_address(3) is None
    assert int(look.field("startpc")[index]) == pc_of("main.worker", 0)
    with pytest.raises(KeyError):
        look.field("notThere")


def test_what_runs_while_it_is_read_is_read_again() -> None:
    target = SimulatedGo(SOME)
    process = open_process(target.host, PID)
    sequence = process.offsets.need("g.trackingSeq")
    target.gathers = 0

    def run(number: int) -> None:
        if number <= 4:
            target.row(1)[sequence] = (target.row(1)[sequence] + 1) % 256

    target.on_gather = run
    look = take_look(process)
    assert names(look, 7) == ("runtime.gopark", "runtime.chanrecv", "main.worker", "runtime.goexit")
    assert look.goids[~look.is_stable].tolist() == [16]


def test_what_never_holds_still_is_told() -> None:
    target = SimulatedGo(SOME)
    process = open_process(target.host, PID)
    sequence = process.offsets.need("g.trackingSeq")

    def run(_: int) -> None:
        target.row(1)[sequence] = (target.row(1)[sequence] + 1) % 256

    target.on_gather = run
    look = take_look(process)
    index = look.index_of_goid(7)
    assert not look.is_stable[index]
    assert look.stack_of[index] == -1
    assert names(look, 17) == ("runtime.gopark", "runtime.chanrecv", "main.worker", "runtime.goexit")


def test_goroutines_that_end_meanwhile_are_left_out() -> None:
    target = SimulatedGo(SOME)
    process = open_process(target.host, PID)
    status = process.offsets.need("g.atomicstatus")
    target.gathers = 0

    def end(number: int) -> None:
        if number >= 3:
            target.row(1)[status] = 6

    target.on_gather = end
    look = take_look(process)
    assert look.index_of_goid(7) is None
    assert len(look) == 10


def test_stacks_in_system_calls_begin_where_the_call_was_made() -> None:
    target = SimulatedGo([MAIN, Parked(7, ("main.read", "main.worker"), status=3, reason=0)])
    process = open_process(target.host, PID)
    need = process.offsets.need
    row = target.row(1)
    sp = struct.unpack_from("<Q", row, need("g.sched"))[0]
    struct.pack_into("<QQ", row, need("g.sched"), sp - 64, pc_of("runtime.gopark"))
    struct.pack_into("<Q", row, need("g.syscallsp"), sp)
    struct.pack_into("<Q", row, need("g.syscallpc"), pc_of("main.read"))
    look = take_look(process)
    assert names(look, 7) == ("main.read", "main.worker", "runtime.goexit")
    assert look.state(1) == "syscall"


def test_deep_stacks_are_cut_when_much_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DEEP_TOTAL_BYTES", 0)
    monkeypatch.setattr(module, "_SHALLOW_STACK_BYTES", 256)
    deep = Parked(7, ("runtime.gopark", *["main.worker"] * 30))
    look = looked(SimulatedGo([MAIN, deep]))
    stack = int(look.stack_of[1])
    assert look.is_stable[1]
    assert not look.is_whole[stack]
    assert 2 < len(look.stacks[stack]) < 31
    assert look.is_whole[int(look.stack_of[0])]


def test_batches_of_large_stacks_are_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH_BYTES", 200)
    look = looked(SimulatedGo(SOME))
    assert (
        names(look, 17)
        == names(look, 7)
        == ("runtime.gopark", "runtime.chanrecv", "main.worker", "runtime.goexit")
    )


def test_a_stack_that_does_not_reach_its_first_function_is_not_shown_as_whole() -> None:
    target = SimulatedGo([MAIN, Parked(7)])
    process = open_process(target.host, PID)
    low = struct.unpack_from("<Q", target.row(1), process.offsets.need("g.stack"))[0]
    raw = target.memory[low]
    place = raw.index(struct.pack("<Q", pc_of("runtime.goexit", 1)))
    struct.pack_into("<Q", raw, place, 12345)
    look = take_look(process)
    stack = int(look.stack_of[1])
    assert stack < 0 or not look.is_whole[stack]


def test_reasons_that_contradict_the_stacks_prove_another_layout() -> None:
    """Goroutines in a channel's receive that are said to sleep: numbers of another release."""
    target = SimulatedGo(
        [MAIN, Parked(7, reason=14), Parked(8, ("runtime.gopark", "runtime.bgsweep"), reason=10)]
    )
    process = open_process(target.host, PID)
    with pytest.raises(Unsupported, match="another toolchain"):
        take_look(process)
    assert looked(SimulatedGo(SOME)).reasons_fit()


def test_stacks_that_lead_nowhere_prove_another_layout() -> None:
    target = SimulatedGo([MAIN, Parked(7), Parked(8), Parked(9)])
    process = open_process(target.host, PID)
    for index in range(1, 4):
        struct.pack_into("<Q", target.row(index), process.offsets.need("g.syscallsp"), 12345)
    with pytest.raises(Unsupported, match="another toolchain"):
        take_look(process)


def test_a_process_that_ends_or_empties_is_an_error() -> None:
    target = SimulatedGo(SOME)
    process = open_process(target.host, PID)
    struct.pack_into("<Q", target.memory[BSS], 0x108, 0)
    with pytest.raises(Unsupported, match="cannot be read"):
        take_look(process)
    target.is_alive = False
    with pytest.raises(TargetGone):
        take_look(process)


@given(st.data())
def test_torn_memory_gives_a_look_or_a_named_error(data: st.DataObject) -> None:
    """Any bytes of goroutines, stacks and the list may be anything, and may change between reads."""
    target = SimulatedGo(SOME)
    process = open_process(target.host, PID)
    places = sorted(address for address in target.memory if address >= BSS)

    def tear(_: int) -> None:
        for _ in range(data.draw(st.integers(0, 3))):
            raw = target.memory[data.draw(st.sampled_from(places))]
            size = data.draw(st.sampled_from([1, 4, 8]))
            at = data.draw(st.integers(0, max(len(raw) - size, 0)))
            value = data.draw(
                st.one_of(st.integers(0, (1 << 8 * size) - 1), st.sampled_from([0, (1 << 8 * size) - 1]))
            )
            raw[at : at + size] = value.to_bytes(size, "little")

    target.on_gather = tear
    try:
        look = take_look(process)
    except (Unsupported, TargetGone):
        return
    for i in range(len(look)):
        assert look.state(i)
        look.frame_pointers(i)
        stack = int(look.stack_of[i])
        assert -1 <= stack < len(look.stacks)
        if stack >= 0:
            assert len(look.functions(stack)) >= len(look.frames(stack))
    assert look.is_system.dtype == np.bool_
