"""The observation of descriptors, at work on real processes: what it counts is what the kernel has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadline import lab
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    CloseFailure,
    Descriptor,
    DescriptorKind,
    Origin,
    ProcessInfo,
    Stack,
    TimelineSample,
)
from leadline.host import LiveHost
from leadline.model import TargetGone
from leadline.probes.trace_descriptors import TraceDescriptors
from leadline.probes.trace_descriptors.observe import DescriptorObservation
from live_runs import python_target, say

pytestmark = [pytest.mark.live, pytest.mark.slow]

ACT = """
    import os, sys
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    def close_again(fd):
        try:
            os.close(fd)
        except OSError:
            pass
    for word in sys.stdin:
        exec(word)
        print("done", flush=True)
"""


@contextmanager
def observing(
    pid: int, *, follow: bool = False, uprobes: bool = True
) -> Iterator[tuple[DescriptorObservation, Evidence]]:
    """Observe a process; the observation is finished in every case."""
    evidence = Evidence()
    observation = TraceDescriptors(follow=follow, uprobes=uprobes).begin(LiveHost(), pid, evidence)
    is_over = False
    try:
        yield observation, evidence
        is_over = True
    finally:
        observation.finish(evidence if is_over else Evidence())


@contextmanager
def acting() -> Iterator[subprocess.Popen[str]]:
    """Run a target that does what it is told; it has done what it does by itself."""
    with python_target(ACT) as target:
        tell(target, "pass")
        yield target


def tell(process: subprocess.Popen[str], *words: str) -> None:
    """Let a target do something, and wait until it is done."""
    assert process.stdout is not None
    for word in words:
        say(process, word)
        assert process.stdout.readline() == "done\n"


def table(pid: int) -> dict[int, str]:
    return {int(path.name): str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}


def test_the_table_is_the_kernels_and_each_descriptor_knows_where_it_came_from() -> None:
    with acting() as target:
        with observing(target.pid) as (observation, evidence):
            tell(
                target,
                "held += [os.open('/dev/zero', os.O_RDONLY) for _ in range(11)]",
                "[os.close(os.open('/dev/zero', os.O_RDONLY)) for _ in range(7)]",
                "os.close(held.pop(0))",
            )
            observation.tick()
        real = table(target.pid)
    found = {one.fd: one for one in evidence.all(Descriptor)}
    assert {fd: one.name for fd, one in found.items()} == real
    origins = Counter(one.origin for one in found.values() if one.name.startswith(("/dev/null", "/dev/zero")))
    assert origins[Origin.TRACED] == 11
    traced = [one for one in found.values() if one.origin is Origin.TRACED]
    assert {one.name for one in traced} == {"/dev/zero"}
    assert {one.kind for one in traced} == {DescriptorKind.DEVICE}
    assert sum(one.name == "/dev/null" for one in found.values()) >= 4
    places = [one for one in evidence.all(Birthplace) if one.kind is DescriptorKind.DEVICE]
    assert (sum(one.births for one in places), sum(one.deaths for one in places)) == (18, 7)
    assert sum(one.alive for one in places) == 11
    assert sum(bucket.count for one in places for bucket in one.lifetimes) == 7
    stacks = {stack.id for stack in evidence.all(Stack)}
    assert all(one.stack in stacks for one in places)


def test_the_timeline_begins_and_ends_with_the_tables_size() -> None:
    with acting() as target:
        before = len(table(target.pid))
        with observing(target.pid) as (observation, evidence):
            tell(target, "held += [os.open('/dev/zero', os.O_RDONLY) for _ in range(13)]")
            observation.tick()
    samples = evidence.all(TimelineSample)
    assert samples[0].alive == before
    assert samples[-1].alive == before + 13
    assert sum(samples[-1].by_kind.values()) == before + 13
    assert [one.mono_ns for one in samples] == sorted(one.mono_ns for one in samples)


def test_an_interim_look_leaves_no_trace() -> None:
    """The first and the last look by kind bound the growth; one in between must not pass for the first."""
    with acting() as target, observing(target.pid) as (observation, evidence):
        for _ in range(3):
            tell(target, "held += [os.open('/dev/zero', os.O_RDONLY) for _ in range(7)]")
            interim = Evidence()
            observation.interim(interim)
        births = sum(one.births for one in interim.all(Birthplace) if one.kind is DescriptorKind.DEVICE)
        assert births == 21
    looks = [one for one in evidence.all(TimelineSample) if one.by_kind]
    assert len(looks) <= 2
    if len(looks) == 2:
        assert looks[1].by_kind["device"] - looks[0].by_kind["device"] == 21


def test_failing_closes_are_told_with_their_verdict() -> None:
    with acting() as target, observing(target.pid) as (_observation, evidence):
        tell(
            target,
            "fd = os.open('/dev/zero', os.O_RDONLY); os.close(fd)",
            "for _ in range(3): close_again(fd)",
        )
    failures = evidence.all(CloseFailure)
    assert sum(one.count for one in failures) == 3
    assert {(one.error, one.verdict) for one in failures} == {("EBADF", "double")}


def test_a_child_is_told_with_its_parent_though_it_is_gone() -> None:
    with acting() as target, observing(target.pid, follow=True) as (observation, evidence):
        tell(
            target,
            f"import subprocess; subprocess.run([{sys.executable!r}, '-S', '-c', 'open(0, closefd=False)'])",
        )
        observation.poll()
    (child,) = (one for one in evidence.all(ProcessInfo) if one.parent_pid == target.pid)
    assert child.ended_mono_ns is not None
    assert child.exec_count == 1
    assert not [one for one in evidence.all(Descriptor) if one.pid == child.pid and not one.at_exit]


def test_what_it_cost_is_counted() -> None:
    with acting() as target, observing(target.pid, uprobes=False) as (observation, _evidence):
        tell(target, "[os.close(os.open('/dev/zero', os.O_RDONLY)) for _ in range(29)]")
        assert observation.cost() is None, "not before the end"
    cost = observation.cost()
    assert cost is not None
    assert (cost.births_seen, cost.deaths_seen, cost.lost_events) == (29, 29, 0)
    assert (cost.uprobe_hits, cost.uprobe_note) == (None, "switched off")
    assert cost.bpf_runs is not None
    assert cost.bpf_runs is not None
    assert cost.bpf_runs > 0
    assert cost.attach_ns is not None
    assert 0 < cost.attach_ns < 20 * 10**9


def test_the_callers_of_dialed_connections_are_joined() -> None:
    with lab.start("http-body-leak", ("-rate", "100"), hold=True) as running:
        with observing(running.pid) as (observation, evidence):
            running.go()
            running.wait_done(23)
            top = observation.top(3)
        (want,) = lab.wants("http-body-leak")
    assert top[0][0] == want.function
    (place,) = (one for one in evidence.all(Birthplace) if one.role == "dialed")
    assert (place.births, place.alive) == (23, 23)
    assert place.site is not None
    assert (place.site.function, place.site.line, place.site_role) == (want.function, want.line, "caller")
    cost = observation.cost()
    assert cost is not None
    assert cost.uprobe_hits is not None
    assert cost.uprobe_hits >= 23


def test_without_uprobes_the_dialing_goroutine_is_all_there_is() -> None:
    with (
        lab.start("http-body-leak", ("-rate", "100"), hold=True) as running,
        observing(running.pid, uprobes=False) as (_observation, evidence),
    ):
        running.go()
        running.wait_done(23)
    (place,) = (one for one in evidence.all(Birthplace) if one.role == "dialed")
    assert (place.births, place.callers) == (23, ())


def test_a_target_that_ended_is_still_finished() -> None:
    with acting() as target, observing(target.pid) as (observation, evidence):
        tell(target, "held += [os.open('/dev/zero', os.O_RDONLY) for _ in range(11)]")
        target.kill()
        target.wait(20)
        observation.tick()
    left = [one for one in evidence.all(Descriptor) if one.origin is Origin.TRACED]
    assert len(left) == 11
    assert all(one.at_exit for one in left)


def test_a_process_that_is_not_there_is_an_error_and_leaves_nothing_attached() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers are wanted
    for _ in range(3):
        with pytest.raises(TargetGone):
            TraceDescriptors().begin(LiveHost(), 4194304, Evidence())
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1  # noqa: PTH208
