"""The list of goroutines: found by its shape, and never taken for one when it is not."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.model import Unsupported
from leadline.probes.snapshot_runtime import allgs
from leadline.probes.snapshot_runtime.allgs import find_allgs, looks_like_goroutines
from leadline.probes.snapshot_runtime.process import open_process
from simulated_go import BSS, HEAP, PID, Parked, SimulatedGo

MAIN = Parked(1, ("runtime.gopark", "main.main", "runtime.main"), start="runtime.main")


def test_dead_goroutines_stay_in_the_list() -> None:
    target = SimulatedGo([MAIN, Parked(7, status=6), Parked(8)])
    process = open_process(target.host, PID)
    assert len(process.goroutines.read(process.memory)) == 3


@pytest.mark.parametrize(
    ("field", "value"), [("g.goid", 1 << 50), ("g.startpc", 99), ("g.stack", 1 << 60), ("g.atomicstatus", 5)]
)
def test_rows_that_cannot_be_goroutines_are_noticed(field: str, value: int) -> None:
    target = SimulatedGo([MAIN, Parked(7), Parked(8)])
    process = open_process(target.host, PID)
    addresses = process.goroutines.read(process.memory)
    assert looks_like_goroutines(process, addresses, main_first=True)
    struct.pack_into("<Q", target.row(1), process.offsets.need(field), value)
    assert not looks_like_goroutines(process, addresses)
    with pytest.raises(Unsupported, match="0 candidates"):
        find_allgs(process)


def test_a_list_without_the_main_goroutine_is_not_it() -> None:
    target = SimulatedGo([Parked(6), Parked(7)])
    with pytest.raises(Unsupported, match="0 candidates"):
        open_process(target.host, PID)


def copied(count: int, capacity: int) -> SimulatedGo:
    """Return a process with goroutines and a second list of the first of them."""
    target = SimulatedGo([MAIN, Parked(7), Parked(8)])
    raw = target.memory[BSS]
    struct.pack_into("<2Q", raw, 0x108, 3, 3)
    raw[0x200:0x218] = raw[0x100:0x118]
    struct.pack_into("<2Q", raw, 0x208, count, capacity)
    return target


def test_two_lists_that_cannot_be_told_apart_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allgs, "TRIES", 1)
    with pytest.raises(Unsupported, match="2 candidates"):
        open_process(copied(3, 3).host, PID)


@pytest.mark.parametrize(("at", "count", "capacity"), [(0x200, 2, 2), (0x100, 3, 4)])
def test_the_garbage_collectors_copy_of_the_list_is_not_the_list(at: int, count: int, capacity: int) -> None:
    target = copied(3, 3)
    struct.pack_into("<2Q", target.memory[BSS], at + 8, count, capacity)
    process = open_process(target.host, PID)
    assert len(process.goroutines.read(process.memory)) == 3


def test_a_shorter_list_with_another_goroutine_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allgs, "TRIES", 1)
    target = copied(2, 2)
    raw = target.memory[BSS]
    process = open_process(target.host, PID)
    first, _, last = process.goroutines.read(process.memory).tolist()
    struct.pack_into("<2Q", raw, 0x300, first, last)
    struct.pack_into("<3Q", raw, 0x200, BSS + 0x300, 2, 2)
    struct.pack_into("<2Q", raw, 0x108, 2, 4)
    with pytest.raises(Unsupported, match="2 candidates"):
        open_process(target.host, PID)


def test_a_list_that_is_damaged_is_empty() -> None:
    target = SimulatedGo([MAIN, Parked(7)])
    process = open_process(target.host, PID)
    struct.pack_into("<3Q", target.memory[BSS], 0x100, HEAP, 1 << 40, 1 << 40)
    assert not len(process.goroutines.read(process.memory))
    struct.pack_into("<3Q", target.memory[BSS], 0x100, 16, 2, 2)
    assert not len(process.goroutines.read(process.memory))


@given(st.binary(min_size=256, max_size=512), st.integers(0, 30))
def test_garbage_is_never_a_list(raw: bytes, at: int) -> None:
    target = SimulatedGo([MAIN, Parked(7)])
    process = open_process(target.host, PID)
    target.memory[BSS][0x100:0x118] = bytes(24)
    target.memory[BSS][8 * at : 8 * at + len(raw)] = raw
    with pytest.raises(Unsupported):
        find_allgs(process)
    assert not looks_like_goroutines(process, np.frombuffer(raw[:64], np.uint64))
