"""Looks at the Go runtime as ``goroutines``, ``conns`` and ``trace`` take them: what one look says, what two add."""

from __future__ import annotations

import os

import pytest

from leadline import lab
from leadline.app.probes import HeapSearch
from leadline.app.runtime import look_once
from leadline.evidence.kinds import Descriptor, DescriptorUse, Goroutine, GoRuntime, Retention, Stack
from leadline.host import LiveHost
from leadline.model import Gap
from live_runs import leadline, python_target, watching

pytestmark = [pytest.mark.live, pytest.mark.slow]

FIRST_STACK = 1_000_001


def test_one_look_says_nothing_about_what_moved_and_two_do() -> None:
    with lab.start("stuck-reader", ("-rate", "50")) as running:
        running.wait_done()
        one = look_once(LiveHost(), running.pid)
        two = look_once(LiveHost(), running.pid, looks=2, interval_ns=300_000_000)
    assert {goroutine.moved for goroutine in one.all(Goroutine)} == {None}
    runtime = two.first(GoRuntime)
    assert runtime is not None
    assert (runtime.source, runtime.passes, runtime.goroutines) == ("memory", 2, len(two.all(Goroutine)))
    parked = {goroutine.goid for goroutine in two.all(Goroutine) if goroutine.moved is False}
    readers = {use.reader_goid for use in two.all(DescriptorUse) if use.reader_goid is not None}
    assert len(readers) >= 23
    assert readers <= parked, "readers of silent peers have not run between the looks"


def test_stacks_have_numbers_of_their_own_and_every_goroutine_finds_its_stack() -> None:
    with lab.start("idle-websockets", ()) as running:
        evidence = look_once(LiveHost(), running.pid)
    numbers = [stack.id for stack in evidence.all(Stack)]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) >= FIRST_STACK
    assert {goroutine.stack for goroutine in evidence.all(Goroutine)} - {None} <= set(numbers)


def test_the_heap_is_left_alone_unless_it_is_to_be_searched() -> None:
    with lab.start("accept-leak", ("-rate", "50")) as running:
        running.wait_done()
        without = look_once(LiveHost(), running.pid)
        shares: list[float] = []
        found = look_once(LiveHost(), running.pid, search=HeapSearch("always", progress=shares.append))
        small = look_once(LiveHost(), running.pid, search=HeapSearch("always", limit_bytes=1))
    assert without.get(Retention) is None
    left = {retention.fd for retention in found.all(Retention) if retention.verdict == "reachable"}
    assert len(left) == 23
    assert left <= {descriptor.fd for descriptor in found.all(Descriptor)}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert small.get(Retention) is None
    (gap,) = (gap for gap in small.all(Gap) if gap.what == "what keeps connections reachable")
    assert "--heap-limit" in gap.remedy


def test_a_program_without_goroutines_has_none_and_that_is_no_gap() -> None:
    evidence = look_once(LiveHost(), os.getpid())
    assert evidence.get(Goroutine) == ()
    assert evidence.get(GoRuntime) == ()
    assert not [gap for gap in evidence.all(Gap) if gap.probe == "snapshot_runtime"]


def test_a_trace_leaves_the_runtime_alone_when_told_so() -> None:
    with lab.start("stuck-reader", ("-rate", "50")) as running:
        with watching(running.pid, "-d", "2s", "--json", "--no-runtime") as watch:
            done = watch.done()
        with watching(running.pid, "-d", "2s", "--json") as watch:
            read = watch.done()
    assert done.document["runtime"] is None
    assert done.document["connections"] == []
    assert read.document["runtime"]["goroutines"] >= 23
    assert any("--no-runtime" in one["remedy"] for one in done.document["not_judged"])


def test_a_case_keeps_what_was_read(tmp_path: object) -> None:
    path = f"{tmp_path}/case.leadline"
    with (
        lab.start("stuck-reader", ("-rate", "50")) as running,
        watching(running.pid, "-d", "2s", "--json", "-o", path) as watch,
    ):
        traced = watch.done()
    again = leadline("replay", path, "--json")
    assert again.document["runtime"] == traced.document["runtime"]
    assert [one["code"] for one in again.document["findings"]] == [
        one["code"] for one in traced.document["findings"]
    ]
    assert again.document["window"]["mode"] == "bpf"


def test_nothing_of_the_go_runtime_is_missed_in_a_program_without_it() -> None:
    with python_target("input()") as process, watching(process.pid, "-d", "1s", "--json") as watch:
        done = watch.done()
    asked = {code[:3] for one in done.document["not_judged"] for code in [one["code"]]}
    assert not asked & {"GOR", "HTP", "SCH", "TLS"}
    assert not [one for one in done.document["not_judged"] if one["code"].startswith("FDL6")]
