"""Opening a Go process: what is refused, and why."""

from __future__ import annotations

import struct

import pytest

from elf_samples import DATA, SectionSample, go_elf, make_elf
from leadline.model import NotPermitted, TargetGone, Unsupported
from leadline.probes.snapshot_runtime.process import NotGo, open_process
from simulated_go import BSS, FUNCTIONS, MACHINE, PID, Parked, SimulatedGo

MAIN = Parked(1, ("runtime.gopark", "main.main", "runtime.main"), start="runtime.main")
NUMBER = {"x86_64": 62, "aarch64": 183}[MACHINE]


def running() -> SimulatedGo:
    return SimulatedGo([MAIN, Parked(7), Parked(8)])


def test_a_stripped_process_is_opened_by_the_shape_of_its_list() -> None:
    process = open_process(running().host, PID)
    assert (process.pid, process.machine, process.go_version, process.minor, process.bias) == (
        PID, MACHINE, "go1.26.8", 26, 0,
    )  # fmt: skip
    assert process.goroutines == (BSS + 0x100, False)
    assert process.module("bss") == BSS
    assert process.symbol("runtime.allgs") is None
    assert process.variable_at(BSS + 0x100) is None
    assert process.variable_at(1) is None


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("go1.20.14", "Go 1.21 on"),
        ("go1.99.0", "not known"),
        ("go1.26.8-custom", "somebody's own making"),
        ("devel go1.28-abcdef", "not known"),
        ("unknown", "not known"),
    ],
)
def test_releases_that_were_not_proven_are_refused_by_name(version: str, words: str) -> None:
    target = running()
    target.program = go_elf(FUNCTIONS, ["/src/main.go"], version=version, machine=NUMBER)
    with pytest.raises(Unsupported, match=words) as told:
        open_process(target.host, PID)
    assert version in str(told.value)
    assert "goroutine dump" in told.value.remedy


def test_a_variant_of_a_known_release_is_read_when_its_layout_proves_right_and_is_told() -> None:
    target = running()
    target.program = go_elf(FUNCTIONS, ["/src/main.go"], version="go1.26.8 X:thing", machine=NUMBER)
    process = open_process(target.host, PID)
    assert not process.offsets.is_exact
    assert process.variant == "X:thing"
    target.row(1)[process.offsets.need("g.sched") + 16] ^= 1
    with pytest.raises(Unsupported, match="list of goroutines was not found"):
        open_process(target.host, PID)


def test_other_programs_are_refused_by_name() -> None:
    target = running()
    target.program = make_elf([SectionSample(".text", b"\xcc" * 64, 0x401000)], machine=NUMBER)
    with pytest.raises(NotGo, match="does not run a Go program"):
        open_process(target.host, PID)
    target.program = b"#!/bin/sh\n"
    with pytest.raises(Unsupported, match="cannot be decoded"):
        open_process(target.host, PID)
    target.program = target.program + b"UPX!"
    with pytest.raises(Unsupported, match="UPX") as told:
        open_process(target.host, PID)
    assert "upx -d" in told.value.remedy
    other = 183 if NUMBER == 62 else 62
    target.program = go_elf(FUNCTIONS, ["/src/main.go"], machine=other)
    with pytest.raises(Unsupported, match="its program is for"):
        open_process(target.host, PID)
    target.program = go_elf(FUNCTIONS, ["/src/main.go"], machine=NUMBER, with_moduledata=False)
    with pytest.raises(Unsupported):
        open_process(target.host, PID)


def test_a_program_that_may_not_be_read_names_the_right() -> None:
    class Closed(SimulatedGo):
        def open_program(self, pid: int) -> memoryview:
            del pid
            return None  # type: ignore[return-value]  # as a host without the right does

    with pytest.raises(NotPermitted) as told:
        open_process(Closed([MAIN]).host, PID)
    assert "CAP_SYS_PTRACE" in told.value.remedy


def test_moduledata_that_contradicts_the_program_is_refused() -> None:
    target = running()
    struct.pack_into("<Q", target.memory[DATA + 16], target.offsets.need("moduledata.text"), 1)
    with pytest.raises(Unsupported, match="not laid out as go1"):
        open_process(target.host, PID)


def test_a_process_that_became_another_is_gone() -> None:
    target = running()
    process = open_process(target.host, PID)
    process.check_same()
    target.start_ticks += 1
    with pytest.raises(TargetGone, match="another one"):
        process.check_same()
    target.start_ticks -= 1
    struct.pack_into("<Q", target.memory[DATA + 16], 0, 77)
    with pytest.raises(TargetGone, match="another program"):
        process.check_same()
    target.is_alive = False
    with pytest.raises(TargetGone):
        process.check_same()
