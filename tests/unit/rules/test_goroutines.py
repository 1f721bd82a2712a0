"""Goroutines by the stack that they are parked on."""

from __future__ import annotations

from leadline.evidence.kinds import Goroutine, GoRuntime, Stack, WaitObject
from leadline.rules.goroutines import Book, say_goroutines
from runtime_builders import PID, Process, frame


def book(process: Process) -> Book:
    evidence = process.evidence()
    return Book.of(
        evidence.all(GoRuntime), evidence.all(Goroutine), evidence.all(Stack), evidence.all(WaitObject)
    )


def test_groups_are_by_state_and_stack_the_largest_first() -> None:
    process = Process()
    process.go("main.a:1", state="select")
    for state in ("chan receive", "chan receive (durable)", "chan receive (synctest)"):
        process.go("runtime.gopark", "main.b:2", state=state, created_by=frame("main.start:9"))
    first, second = book(process).groups()
    assert (first.state, first.count, first.parked, first.new) == ("chan receive", 3, 3, 0)
    assert [(site.function, site.role) for site in first.sites] == [
        ("main.b", "parked"),
        ("main.start", "created-by"),
    ]
    assert (second.state, second.functions) == ("select", ("main.a",))


def test_unknown_stacks_and_objects_are_left_out() -> None:
    one = Goroutine(pid=PID, goid=7, state="select", stack=99, waits_on=(3,))
    seen = Book.of([GoRuntime(pid=PID, source="dump")], [one])
    assert seen.frames(99) == ()
    assert seen.waits(one) == ()
    assert seen.site(one) is None
    assert seen.groups()[0].sites == ()
    assert seen.apart_ns(PID) is None


def test_the_time_between_looks_is_known_with_two_looks_only() -> None:
    assert book(Process(apart_s=3.0)).apart_ns(PID) == 3 * 10**9
    assert book(Process(apart_s=None)).apart_ns(PID) is None


def test_one_goroutine_is_counted_in_the_singular() -> None:
    assert (say_goroutines(1), say_goroutines(2)) == ("1 goroutine", "2 goroutines")
