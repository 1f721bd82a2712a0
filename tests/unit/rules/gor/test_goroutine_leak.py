"""GOR201: goroutines that nobody will wake; never workers, tickers, watchers, websockets or long polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from judging import cleared, finding, is_silent_without, not_judged, verdicts
from leadline.model import Finding, Severity
from leadline.rules.gor.goroutine_leak import RULE
from runtime_builders import Process

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE_NS = 60 * 10**9
HANDLER = ("runtime.gopark", "main.poll:50", "net/http.(*conn).serve")


def growing(state: str = "chan send", *, old: int = 5, new: int = 5, names: tuple[str, ...] = ()) -> Process:
    process = Process()
    for _ in range(old):
        process.waiter(state, *names)
    for _ in range(new):
        process.waiter(state, *names, is_new=True)
    return process


def test_ten_senders_of_which_five_are_new_fire_and_nine_or_four_do_not() -> None:
    found = finding(RULE, growing().evidence())
    assert found.title == "10 goroutines blocked for ever in chan send at main.work (main.go:42)"
    assert (found.severity, found.count, found.rate_per_s) == (Severity.MEDIUM, 10, 0.5)
    assert "5 of them came in the 10 s between two looks" in found.because[0].says
    assert "10 channels without a buffer" in found.because[1].says
    assert [(site.function, site.role) for site in found.sites] == [("main.work", "parked")]
    assert cleared(RULE, growing(old=4).evidence()).pattern == "parked"
    assert cleared(RULE, growing(old=9, new=4).evidence())


def test_receivers_that_nobody_knows_are_found() -> None:
    for state in ("chan receive", "select"):
        found = finding(RULE, growing(state).evidence())
        assert found.confidence == 0.7
        assert found.against
        assert "cancel" in found.remedy


def after_the_first_look(*still_s: float) -> Process:
    process = Process()
    for seconds in still_s:
        process.waiter("chan send", is_new=True, still_ns=round(seconds * 10**9) or None)
    return process


def test_a_leak_that_began_after_the_first_look_is_found_when_it_went_on_all_the_time() -> None:
    found = finding(RULE, after_the_first_look(*[8, 6, 4.1, 2, 0] * 4).evidence())
    assert (found.count, found.rate_per_s) == (20, 2.0)
    assert "16 have not run for at least 2 s" in found.because[0].says


def test_what_came_all_at_once_is_never_a_leak() -> None:
    assert cleared(RULE, after_the_first_look(*[8] * 20).evidence())
    assert cleared(RULE, after_the_first_look(*[8] * 19, 2).evidence())


def test_short_waits_are_never_a_leak() -> None:
    """Those of this moment came since the look before."""
    assert cleared(RULE, after_the_first_look(*[0] * 20).evidence())


def test_one_that_has_run_clears_the_group() -> None:
    process = growing()
    process.waiter("chan send", moved=True)
    assert cleared(RULE, process.evidence())


def test_looks_closer_than_two_seconds_do_not_count() -> None:
    process = growing()
    process.apart_s = 1.9
    assert cleared(RULE, process.evidence())
    process.apart_s = 2.0
    assert finding(RULE, process.evidence())


def test_what_the_collector_proves_is_found_at_any_number() -> None:
    process = Process(source="dump")
    process.go(state="chan receive", is_leaked=True)
    for _ in range(30):
        process.go(state="chan receive")
    found = finding(RULE, process.evidence())
    assert (found.count, found.severity, found.confidence) == (1, Severity.LOW, 0.99)


def test_what_nobody_reaches_is_found_at_any_number_and_high_when_it_grows() -> None:
    process = Process()
    for is_new in (False, True):
        number = process.object(receivers=(10,), reachable="nobody")
        process.go(state="select", waits_on=(number,), is_new=is_new)
    found = finding(RULE, process.evidence())
    assert (found.count, found.severity, found.confidence) == (2, Severity.HIGH, 0.97)
    reached = Process()
    reached.go(
        state="select", waits_on=(reached.object(reachable="nobody"), reached.object(reachable="heap"))
    )
    assert cleared(RULE, reached.evidence())


def test_nil_channels_are_found_without_growth() -> None:
    process = Process()
    for _ in range(10):
        process.go(state="chan receive (nil chan)")
    assert finding(RULE, process.evidence()).confidence == 0.95


def lock_queue(holder_moved: bool) -> Process:
    process = Process()
    holder = process.go("main.hold:7", state="sleep", moved=holder_moved)
    number = process.object("mutex", name="main.mu", holders=(holder,))
    for index in range(12):
        process.go("main.want:9", state="sync.Mutex.Lock", waits_on=(number,), is_new=index % 2 == 0)
    return process


def test_a_lock_whose_holder_stands_still_is_found_with_its_holder() -> None:
    found = finding(RULE, lock_queue(holder_moved=False).evidence())
    assert "main.mu, possibly held by goroutine 10 (sleep at main.hold (main.go:7))" in found.because[1].says
    assert cleared(RULE, lock_queue(holder_moved=True).evidence())


def test_a_dump_shows_senders_only_and_only_after_a_minute() -> None:
    def dump(state: str, waited_ns: int, count: int = 20) -> Process:
        process = Process(source="dump")
        for _ in range(count):
            process.go(state=state, waited_ns=waited_ns)
        return process

    found = finding(RULE, dump("chan send", MINUTE_NS).evidence())
    assert (found.severity, found.confidence) == (Severity.LOW, 0.5)
    assert cleared(RULE, dump("chan send", MINUTE_NS - 1).evidence())
    assert cleared(RULE, dump("chan send", MINUTE_NS, 19).evidence())
    assert cleared(RULE, dump("chan receive", 600 * MINUTE_NS, 5000).evidence())


def idle_workers() -> Process:
    process = Process()
    jobs = process.object(name="main.jobs", reachable="global")
    for index in range(2000):
        process.go("main.worker:8", waits_on=(jobs,), is_new=index % 2 == 0)
    return process


def parked_websockets() -> Process:
    process = Process()
    for _ in range(5000):
        process.go("net.(*conn).Read", "main.read:3", state="IO wait")
        process.waiter("select", "main.write:5")
    return process


def arriving_websockets() -> Process:
    process = parked_websockets()
    for _ in range(300):
        process.go("net.(*conn).Read", "main.read:3", state="IO wait", is_new=True)
        process.waiter("select", "main.write:5", is_new=True)
        process.waiter("chan receive", "main.ping:6", is_new=True)
    return process


def long_polls() -> Process:
    return growing("select", old=500, new=500, names=HANDLER)


def shared_by_others() -> Process:
    """More and more wait for answers that other goroutines have in hand."""
    process = Process()
    server = process.go("main.serve:4", state="IO wait")
    for index in range(100):
        number = process.object(receivers=(11 + index,), holders=(server,), reachable="goroutine")
        process.go("main.ask:7", waits_on=(number,), is_new=index > 50)
    return process


def go_itself() -> Process:
    return growing(
        "select", old=100, new=100, names=("runtime.gopark", "context.(*cancelCtx).propagateCancel.func2")
    )


def database_waiters() -> Process:
    return growing(
        "select", old=50, new=50, names=("runtime.gopark", "database/sql.(*DB).conn", "main.ask:3")
    )


def unsearched() -> Process:
    process = Process()
    for index in range(100):
        number = process.object(receivers=(10 + index,), stacks_searched=False)
        process.go(waits_on=(number,), is_new=index > 50)
    return process


def watchers() -> Process:
    process = Process()
    for state in (
        "select",
        "sync.Cond.Wait",
        "sync.WaitGroup.Wait",
        "semacquire",
        "select (no cases)",
        "sleep",
    ):
        for _ in range(100):
            process.go("main.watch:3", state=state)
    return process


HEALTHY = (
    idle_workers,
    parked_websockets,
    arriving_websockets,
    long_polls,
    shared_by_others,
    go_itself,
    database_waiters,
    unsearched,
    watchers,
)


@pytest.mark.parametrize("healthy", HEALTHY, ids=lambda one: one.__name__)
def test_healthy_crowds_are_cleared(healthy: Callable[[], Process]) -> None:
    assert cleared(RULE, healthy().evidence()).count is not None


def test_one_look_at_many_is_not_judged() -> None:
    process = Process(apart_s=None)
    for _ in range(20):
        process.waiter("chan send")
    assert "one look" in not_judged(RULE, process.evidence()).missing
    assert is_silent_without(RULE)


def test_thousands_are_high() -> None:
    assert finding(RULE, growing(old=500, new=500).evidence()).severity is Severity.HIGH
    assert finding(RULE, growing(old=500, new=499).evidence()).severity is Severity.MEDIUM


def test_each_place_is_told_by_itself() -> None:
    process = growing()
    for index in range(12):
        process.waiter("chan send", "main.other:7", is_new=index > 5)
    found = [one for one in verdicts(RULE, process.evidence()) if isinstance(one, Finding)]
    assert [one.count for one in found] == [12, 10]
