"""GOR202: goroutines that wait for each other in a circle; never contention, and never one whose holder goes on."""

from __future__ import annotations

from judging import cleared, finding, is_silent_without, not_judged, verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import Goroutine, GoRuntime
from leadline.model import Severity
from leadline.rules.gor.lock_cycle import RULE
from runtime_builders import PID, Process

LOCK = "sync.Mutex.Lock"


def two(**facts: object) -> tuple[Process, int, int]:
    """Return two goroutines, the first of which has the lock that the second wants, and the other way round."""
    process = Process()
    first = process.go("main.transfer:10", state=LOCK)
    second = process.go("main.audit:20", state=LOCK, **facts)
    process.lock(second, first, name="main.books")
    process.lock(first, second)
    return process, first, second


def test_two_locks_in_opposite_order_are_found() -> None:
    process, first, second = two()
    found = finding(RULE, process.evidence())
    assert found.title == "2 goroutines wait for each other's locks in a circle"
    assert (found.severity, found.confidence, found.count) == (Severity.HIGH, 0.95, 2)
    assert found.because[0].says == (
        f"Goroutine {first} waits at main.transfer (main.go:10) for main.books, held by goroutine {second}."
    )
    assert [site.function for site in found.sites] == ["main.transfer", "main.audit"]


def test_a_chain_that_is_not_closed_never_counts() -> None:
    process = Process()
    holder = process.go("main.save:3", state="IO wait")
    first = process.go(state=LOCK)
    second = process.go(state=LOCK)
    process.lock(holder, first)
    process.lock(first, second)
    assert "none waits for itself" in cleared(RULE, process.evidence()).reason


def test_one_that_has_run_between_the_looks_is_contention() -> None:
    process, *_ = two(moved=True)
    assert cleared(RULE, process.evidence())


def test_a_lock_with_another_possible_holder_that_goes_on_is_cleared() -> None:
    process = Process()
    first, second = process.go(state=LOCK), process.go(state=LOCK)
    other = process.go("main.work:3", state="running", moved=True)
    process.lock(second, first)
    number = process.lock(first, second)
    thing = process.objects[number - 1]
    process.objects[number - 1] = type(thing)(
        id=thing.id, pid=PID, kind="mutex", waiters=thing.waiters, holders=(first, other)
    )
    assert cleared(RULE, process.evidence())


def test_waiting_for_oneself_is_found() -> None:
    process = Process()
    alone = process.go("main.total:5", state=LOCK)
    process.lock(alone, alone, name="main.visits")
    found = finding(RULE, process.evidence())
    assert found.title == f"goroutine {alone} waits for main.visits that it holds itself"
    assert "held by itself" in found.because[0].says


def test_a_second_read_lock_behind_a_writer_is_found_with_all_who_wait_behind() -> None:
    process = Process()
    reader = process.go("main.report:5", state="sync.RWMutex.RLock")
    others = [process.go("main.get:9", state="sync.RWMutex.RLock") for _ in range(9)]
    process.lock(reader, reader, *others, kind="rwmutex")
    found = finding(RULE, process.evidence())
    assert found.title.endswith("read-locked or locked itself; 9 more wait behind")
    assert (found.severity, found.count) == (Severity.HIGH, 10)


def test_ten_behind_are_critical_and_nine_are_just_below() -> None:
    def behind(count: int) -> Severity:
        process = Process()
        alone = process.go("main.total:5", state=LOCK)
        process.lock(alone, alone, *[process.go(state=LOCK) for _ in range(count)])
        return finding(RULE, process.evidence()).severity

    assert behind(10) is Severity.CRITICAL
    assert behind(9) is Severity.HIGH


def test_a_circle_through_a_channel_fires_with_less_confidence_and_through_a_global_one_does_not() -> None:
    def circle(**facts: object) -> Evidence:
        process = Process()
        sender = process.go("main.publish:4", state="chan send")
        receiver = process.go("main.drain:8", state=LOCK)
        process.lock(sender, receiver)
        process.lock(receiver, sender, kind="chan", held_by_code=False, **facts)
        return process.evidence()

    found = finding(RULE, circle())
    assert found.confidence == 0.633
    assert found.against
    assert found.title == "2 goroutines wait for each other in a circle"
    assert cleared(RULE, circle(name="main.events"))
    assert cleared(RULE, circle(stacks_searched=False))


def test_one_look_lowers_confidence() -> None:
    process, *_ = two()
    process.apart_s = None
    process.goroutines = [
        Goroutine(pid=PID, goid=one.goid, state=one.state, stack=one.stack, waits_on=one.waits_on)
        for one in process.goroutines
    ]
    assert finding(RULE, process.evidence()).confidence == 0.8


def test_two_circles_are_told_once_each() -> None:
    process, *_ = two()
    alone = process.go("main.total:5", state=LOCK)
    process.lock(alone, alone)
    assert len(verdicts(RULE, process.evidence())) == 2


def test_without_what_they_wait_for_it_is_not_judged() -> None:
    evidence = Evidence()
    evidence.put(GoRuntime(pid=PID, source="dump"))
    evidence.put_all(Goroutine, [Goroutine(pid=PID, goid=1, state=LOCK)])
    assert not_judged(RULE, evidence).missing
    assert is_silent_without(RULE)
