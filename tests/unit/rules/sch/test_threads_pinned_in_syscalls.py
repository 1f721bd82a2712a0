"""SCH102: many threads in one blocking call; never calls that end."""

from __future__ import annotations

from judging import cleared, finding, is_silent_without, not_judged
from leadline.model import Severity
from leadline.rules.sch.threads_pinned_in_syscalls import RULE
from runtime_builders import Process

READ = ("syscall.Syscall", "syscall.read", "main.listen:27")


def pinned(count: int, *, moved: bool | None = False, names: tuple[str, ...] = READ) -> Process:
    process = Process(facts={"threads": count + 5})
    for index in range(count):
        process.go(*names, state="syscall", moved=moved, syscall="read", syscall_fd=10 + index)
    return process


def test_twenty_fire_and_nineteen_do_not() -> None:
    found = finding(RULE, pinned(20).evidence())
    assert found.title == "20 goroutines block a thread each in read(2) at main.listen (main.go:27)"
    assert (found.severity, found.count) == (Severity.LOW, 20)
    assert "about 20 descriptors (10, 11, 12, 13, 14 ...)" in found.because[0].says
    assert "has made 25 threads" in found.because[0].says
    assert cleared(RULE, pinned(19).evidence()).count == 19


def test_severity_rises_with_the_number() -> None:
    assert finding(RULE, pinned(49).evidence()).severity is Severity.LOW
    assert finding(RULE, pinned(50).evidence()).severity is Severity.MEDIUM
    assert finding(RULE, pinned(1000).evidence()).severity is Severity.HIGH


def test_calls_that_end_are_healthy() -> None:
    assert cleared(RULE, pinned(500, moved=True).evidence())
    assert cleared(RULE, pinned(500, moved=None).evidence())


def test_many_places_with_few_each_are_cleared() -> None:
    process = Process()
    for index in range(100):
        process.go("syscall.Syscall", f"main.work{index}:3", state="syscall")
    assert cleared(RULE, process.evidence())


def test_c_code_is_named_as_such() -> None:
    found = finding(RULE, pinned(30, names=("runtime.cgocall", "main._Cfunc_wait", "main.ask:3")).evidence())
    assert found.title == "30 goroutines block a thread each in C code at main._Cfunc_wait (main.go:1)"
    assert "make the C code return" in found.remedy


def test_one_look_is_not_judged() -> None:
    process = pinned(30, moved=None)
    process.apart_s = None
    assert "one look" in not_judged(RULE, process.evidence()).missing
    assert is_silent_without(RULE)
