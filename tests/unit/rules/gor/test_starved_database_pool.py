"""GOR301: a database pool of which nobody gets a connection, and who has them; never one that is busy."""

from __future__ import annotations

from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import PoolHolder
from leadline.model import Severity
from leadline.rules.gor.starved_database_pool import RULE
from runtime_builders import Process, frame

WAIT = ("runtime.gopark", "database/sql.(*DB).conn", "main.report:14")


def starved(waiting: int = 3, *, moved: bool | None = False, **facts: object) -> Process:
    process = Process()
    goids = tuple(process.go(*WAIT, state="select", moved=moved) for _ in range(waiting))
    holder = process.go("time.Sleep", "main.approve:30", state="sleep")
    held = [PoolHolder(how="*sql.Tx", fd=7, goid=holder, site=frame("main.approve:30"))]
    held += [PoolHolder(how="*sql.Rows", fd=8 + index) for index in range(3)]
    held += [PoolHolder(how="unknown", fd=20)]
    process.pool(*held, waiting=goids, **facts)
    return process


def test_a_pool_that_gives_no_connection_is_found_with_its_holders() -> None:
    found = finding(RULE, starved().evidence())
    assert found.title == (
        "3 goroutines wait for a database connection: all 5 are held (3 by *sql.Rows, 1 by *sql.Tx)"
    )
    says = [one.says for one in found.because]
    assert says[0].startswith(
        "All 5 connections that the pool of *pq.Driver may open are in use; 3 goroutines wait"
    )
    assert "3 connections are held in *sql.Rows, no goroutine has it: it was forgotten." in says
    assert (
        "1 connection is held in *sql.Tx, by a goroutine at main.approve (main.go:30), in state sleep."
        in says
    )
    assert (
        "1 connection is held by what, no goroutine tells; rows that were forgotten leave no other trace."
        in says
    )
    assert [(site.function, site.role) for site in found.sites] == [
        ("main.approve", "parked"),
        ("main.report", "parked"),
    ]
    assert (found.severity, found.confidence) == (Severity.HIGH, 0.95)
    assert "rows.Close" in found.remedy
    assert "tx.Rollback" in found.remedy


def test_ten_that_wait_are_critical_and_nine_are_just_below() -> None:
    assert finding(RULE, starved(10).evidence()).severity is Severity.CRITICAL
    assert finding(RULE, starved(9).evidence()).severity is Severity.HIGH


def test_a_full_pool_fires_and_one_with_a_connection_left_does_not() -> None:
    assert finding(RULE, starved(in_use=5, max_open=5).evidence())
    assert cleared(RULE, starved(in_use=4, idle=1, max_open=5).evidence()).pattern == "busy"
    assert cleared(RULE, starved(max_open=0).evidence())
    assert cleared(RULE, starved(in_use=None).evidence())


def test_waiters_that_get_a_connection_are_healthy() -> None:
    assert cleared(RULE, starved(40, moved=True).evidence()).pattern == "busy"
    assert cleared(RULE, starved(40, moved=None).evidence()).pattern == "busy"
    assert cleared(RULE, starved(0).evidence()).pattern == "none"


def test_holders_that_have_run_may_be_slow() -> None:
    process = starved()
    process.goroutines[-1] = type(process.goroutines[-1])(
        pid=process.goroutines[-1].pid, goid=process.goroutines[-1].goid, state="IO wait", moved=True
    )
    found = finding(RULE, process.evidence())
    assert found.confidence == 0.8
    assert found.against


def test_a_query_inside_a_loop_over_rows_is_told() -> None:
    process = Process()
    goids = tuple(process.go(*WAIT, state="select") for _ in range(5))
    process.pool(*[PoolHolder(how="*sql.Rows", fd=7 + goid, goid=goid) for goid in goids], waiting=goids)
    found = finding(RULE, process.evidence())
    assert any("hold a connection already" in one.says for one in found.because)
    assert [site.function for site in found.sites] == ["main.report"]


def test_one_look_is_not_judged() -> None:
    process = starved(moved=None)
    process.apart_s = None
    assert "one look" in not_judged(RULE, process.evidence()).missing
    assert is_silent_without(RULE)
