"""GOMAXPROCS of stripped programs, by the shape of the list of processors."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from leadline.probes.snapshot_runtime.process import open_process
from leadline.probes.snapshot_runtime.procs import count_procs
from simulated_go import BSS, PID, Parked, SimulatedGo

MAIN = Parked(1, ("runtime.gopark", "main.main", "runtime.main"), start="runtime.main")
PROCS, LIST, THREAD = 0xC0F0000000, 0xC0F1000000, 0xC0F2000000


def with_procs(count: int, *, busy: bool = True, ids: int = 0) -> SimulatedGo:
    target = SimulatedGo([MAIN, Parked(7)])
    need = target.offsets.need
    size = 4096
    thread = bytearray(1024)
    struct.pack_into("<Q", thread, need("m.p"), PROCS)
    target.memory[THREAD] = thread
    for number in range(count):
        raw = bytearray(size)
        struct.pack_into("<i", raw, need("p.id"), number + ids)
        if busy and number == 0:
            struct.pack_into("<Q", raw, need("p.m"), THREAD)
        target.memory[PROCS + number * size] = raw
    target.memory[LIST] = bytearray(
        struct.pack(f"<{count}Q", *(PROCS + size * number for number in range(count)))
    )
    struct.pack_into("<3Q", target.memory[BSS], 0x300, LIST, count, count + 2)
    return target


def found(target: SimulatedGo) -> int | None:
    return count_procs(open_process(target.host, PID))


def test_processors_are_counted() -> None:
    assert found(with_procs(8)) == 8
    assert found(with_procs(8, busy=False)) == 8
    assert found(with_procs(1)) == 1


def test_what_nothing_confirms_is_not_claimed() -> None:
    assert found(with_procs(1, busy=False)) is None
    assert found(with_procs(4, ids=1)) is None
    assert found(SimulatedGo([MAIN, Parked(7)])) is None
    target = with_procs(4)
    struct.pack_into("<3Q", target.memory[BSS], 0x400, LIST, 3, 3)
    assert found(target) is None


@given(st.binary(max_size=64), st.sampled_from([PROCS, LIST, THREAD]), st.integers(0, 700))
def test_any_bytes_give_a_count_or_none(raw: bytes, place: int, at: int) -> None:
    target = with_procs(3)
    memory = target.memory[place]
    at = min(at, len(memory))
    memory[at : at + len(raw)] = raw[: len(memory) - at]
    assert found(target) in {None, 3}
