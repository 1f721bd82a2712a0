"""FDL403: connections whose reads are system calls."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connection_builders import Runtime
from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without
from leadline.evidence import Evidence
from leadline.evidence.kinds import KINDS, Descriptor
from leadline.model import Severity
from leadline.rules.fdl.blocking_mode_by_fd import O_NONBLOCK, RULE

READ = ("syscall.Syscall", "syscall.read", "syscall.Read", "internal/poll.(*FD).Read", "net.(*netFD).Read")
CLOSE = (
    "runtime.gopark",
    "internal/poll.runtime_Semacquire",
    "internal/poll.(*FD).Close",
    "net.(*conn).Close",
)


def evidence(
    count: int,
    *,
    kind: str = "tcp",
    role: str = "dialed",
    flags: int | None = 2,
    closers: int = 0,
    below: tuple[str, ...] = READ,
    **use: Any,
) -> Evidence:
    """Return so many connections with a goroutine in a read of each, their flags, and goroutines that close."""
    scene = Scene()
    place = scene.place(kind, role, function="main.connect")
    place.all(steady(count, 1.0, 20.0))
    runtime = Runtime(scene)
    for life in place.lives:
        goid = runtime.go(*below, "main.read:47", state="syscall", syscall="read", tid=9)
        runtime.use(life, **{"syscall_goids": (goid,), **use})
    for _ in range(closers):
        runtime.go(*CLOSE, "main.hangUp:51", state="semacquire")
    return with_flags(runtime.evidence(), flags)


def with_flags(evidence: Evidence, flags: int | None) -> Evidence:
    found = Evidence()
    for name in evidence.observed():
        kind = KINDS[name]
        records = evidence.all(kind)
        if kind is Descriptor:
            records = tuple(msgspec.structs.replace(record, flags_raw=flags) for record in records)
        found.put_all(kind, records)
    return found


def test_found_with_the_reader_and_the_closer() -> None:
    found = finding(RULE, evidence(23, closers=23, read_deadline_mono_ns=-1))
    assert found.count == 23
    assert "in blocking mode" in found.title
    assert [(site.role, site.function) for site in found.sites] == [
        ("acquired", "main.connect"),
        ("parked", "main.read"),
        ("parked", "main.hangUp"),
    ]
    assert "although the poller knows it" in found.because[0].says
    assert "deadline of 23 has passed" in found.because[1].says
    assert "23 goroutines wait in Close" in found.because[2].says
    assert (found.severity, found.confidence) == (Severity.MEDIUM, 0.95)


@pytest.mark.parametrize("count", [1, 0])
def test_1_fires_and_0_do_not(count: int) -> None:
    if count:
        found = finding(RULE, evidence(1))
        assert (found.severity, found.confidence) == (Severity.LOW, 0.8)
    else:
        assert cleared(RULE, evidence(0)).pattern == "none"


@pytest.mark.parametrize(("count", "severity"), [(5, Severity.MEDIUM), (4, Severity.LOW)])
def test_medium_from_exactly_five(count: int, severity: Severity) -> None:
    assert finding(RULE, evidence(count)).severity is severity


def test_found_without_flags_where_the_poller_does_not_know_it() -> None:
    assert finding(RULE, evidence(5, flags=None, is_polled=False)).count == 5


@pytest.mark.parametrize(
    "facts",
    [
        {"flags": 2 | O_NONBLOCK},
        {"flags": None},
        {"syscall_goids": ()},
        {"below": ("syscall.Syscall", "syscall.Read")},
        {"kind": "file", "role": "opened"},
    ],
)
def test_other_system_calls_are_healthy(facts: dict[str, Any]) -> None:
    assert cleared(RULE, evidence(5, **facts))


def test_inherited_pipes_block_by_design_and_own_ones_are_found() -> None:
    below = ("syscall.read", "internal/poll.(*FD).Read", "os.(*File).Read")
    assert finding(RULE, evidence(5, kind="pipe", role="opened", below=below)).count == 5
    scene = Scene()
    place = scene.place("pipe", "opened")
    place.all([-3.0] * 5)
    runtime = Runtime(scene)
    for life in place.lives:
        goid = runtime.go(*below, "main.read:47", state="syscall", syscall="read")
        runtime.use(life, is_polled=False, syscall_goids=(goid,))
    assert cleared(RULE, with_flags(runtime.evidence(), 0))


def test_not_judged_without_goroutines() -> None:
    assert is_silent_without(RULE)
