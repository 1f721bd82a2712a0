"""Panics of real Go programs: each that was survived is counted once, at its line, and nothing else is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

import symbol_twins as twins_of
from leadline.evidence import Evidence
from leadline.evidence.kinds import PanicSite, Stack
from leadline.host import LiveHost
from leadline.model import Gap, GapReason, NotPermitted
from leadline.probes.trace_panics import TracePanics
from leadline.probes.trace_panics.panics import FIRST_STACK, PanicsObservation
from live_runs import python_target, say, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

SOURCE = twins_of.ROOT / "tests" / "fixtures" / "gosrc" / "panics"
SURVIVED = {"handle": 23, "first": 13, "write": 11, "read": 7, "follow": 5, "refuse": 3}
FLAVOURS = {"plain": [], "pie": ["-buildmode=pie"]}


def cases() -> list[object]:
    """Return (toolchain, flavour): of the installed Go; of all fetched releases with ``LEADLINE_ALL_GO=1``."""
    installed = twins_of.installed_go()
    wanted = [(installed, flavour) for flavour in FLAVOURS] if installed else []
    if os.environ.get("LEADLINE_ALL_GO", "") not in {"", "0"}:
        wanted += [(go, "pie") for go in twins_of.cached_toolchains()]
    return [pytest.param(case, id=f"{case[0].version}-{case[1]}") for case in wanted]


@pytest.fixture(scope="module", params=cases())
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    go, flavour = request.param
    path = tmp_path_factory.mktemp("panics") / "panics"
    subprocess.run(
        [go.goroot / "bin" / "go", "build", "-ldflags=-s -w", *FLAVOURS[flavour], "-o", path, "."],
        cwd=SOURCE,
        env={
            **os.environ,
            "GOROOT": str(go.goroot),
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false",
            "CGO_ENABLED": "0",
        },
        check=True,
        timeout=300,
    )
    return path


@contextmanager
def running(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the program; it is ready when this is entered."""
    with subprocess.Popen(
        [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            hear(process, "ready")
            yield process
        finally:
            process.kill()


def hear(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{word}\n"


def tell(process: subprocess.Popen[str], word: str) -> None:
    say(process, word)
    hear(process, "done")


@contextmanager
def observing(pid: int) -> Iterator[tuple[PanicsObservation, Evidence]]:
    """Count the panics of a process while the block runs."""
    evidence = Evidence()
    observation = TracePanics().begin(LiveHost(), pid, evidence)
    try:
        yield observation, evidence
    finally:
        observation.finish(evidence)


def line_of(word: str) -> int:
    """Return the line of the program that ends in a comment."""
    lines = (SOURCE / "main.go").read_text().split("\n")
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"// {word}"))


def places(evidence: Evidence) -> dict[tuple[str, int | None], int]:
    return {
        (site.site.function, site.site.line): site.count
        for site in evidence.all(PanicSite)
        if site.site is not None
    }


def test_each_survived_panic_counts_once_at_its_line(program: Path) -> None:
    """Also those of the runtime and raised again; Goexit is none."""
    with running(program) as process, observing(process.pid) as (observation, evidence):
        tell(process, "survive")
        observation.tick()
        tell(process, "survive")
    assert places(evidence) == {
        (f"main.{name}", line_of(name)): 2 * count for name, count in SURVIVED.items()
    }
    assert evidence.all(Gap) == ()


def test_a_panic_knows_its_stack_and_who_started_its_goroutine(program: Path) -> None:
    with running(program) as process, observing(process.pid) as (_, evidence):
        tell(process, "survive")
    found = {site.site.function: site for site in evidence.all(PanicSite) if site.site is not None}
    stacks = {stack.id: [frame.function for frame in stack.frames] for stack in evidence.all(Stack)}
    assert all(stack > FIRST_STACK for stack in stacks)
    handle = stacks[found["main.handle"].stack or 0]
    assert handle[:2] == ["runtime.gopanic", "main.handle"]
    assert handle[-1] == "runtime.goexit"
    assert "runtime.sigpanic" in stacks[found["main.follow"].stack or 0]
    assert "strings.Map" in stacks[found["main.refuse"].stack or 0]
    assert {site.created_by and site.created_by.function for site in found.values()} == {"main.each"}
    for site in found.values():
        assert site.first_mono_ns is not None
        assert site.last_mono_ns is not None
        assert site.first_mono_ns <= site.last_mono_ns


def test_stacks_that_grow_and_preemption_do_not_make_a_panic_count_twice(program: Path) -> None:
    with running(program) as process, observing(process.pid) as (_, evidence):
        tell(process, "many")
    assert places(evidence) == {("main.handle", line_of("handle")): 20_000}


def test_the_panic_that_ends_the_process_is_not_survived(program: Path) -> None:
    with running(program) as process, observing(process.pid) as (_, evidence):
        tell(process, "survive")
        say(process, "die")
        process.wait(20)
    assert sum(site.count for site in evidence.all(PanicSite)) == sum(SURVIVED.values())
    assert not any(place[0] == "main.main" for place in places(evidence))


def test_a_process_that_runs_another_program_is_followed(program: Path) -> None:
    """Its addresses are others then; what was counted before keeps its names."""
    with running(program) as process, observing(process.pid) as (observation, evidence):
        tell(process, "survive")
        observation.tick()
        say(process, "again")
        hear(process, "ready")
        observation.tick()
        tell(process, "survive")
    assert places(evidence)["main.handle", line_of("handle")] == 2 * SURVIVED["handle"]


def test_nothing_stays_attached(program: Path) -> None:
    with running(program) as process:
        with observing(process.pid) as (observation, _):
            assert programs_held() > 0
            observation.tick()
        assert programs_held() == 0
        tell(process, "survive")


def programs_held() -> int:
    """Return how many BPF programs, maps and links this process holds."""
    return sum("bpf" in str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())


def test_programs_in_other_languages_have_no_panics() -> None:
    with python_target("input()") as target, observing(target.pid) as (observation, evidence):
        observation.tick()
    assert evidence.get(PanicSite) == ()
    assert evidence.all(Gap) == ()


def test_a_process_that_has_ended_leaves_what_was_counted(program: Path) -> None:
    with running(program) as process, observing(process.pid) as (observation, evidence):
        tell(process, "survive")
        observation.tick()
        process.kill()
        process.wait(20)
        until(lambda: not Path(f"/proc/{process.pid}/maps").exists(), "the end of the process")
        observation.tick()
    assert places(evidence)["main.handle", line_of("handle")] == 23


class WithoutBpf(LiveHost):
    """A machine where BPF is not permitted."""

    def bpf(self) -> NoReturn:
        """Refuse."""
        raise NotPermitted("BPF is not permitted", remedy="run as root")


def test_without_bpf_there_is_one_gap(program: Path) -> None:
    evidence = Evidence()
    with running(program) as process:
        observation = TracePanics().begin(WithoutBpf(), process.pid, evidence)
        observation.tick()
        observation.finish(evidence)
    assert evidence.get(PanicSite) is None
    assert [(gap.reason, gap.probe) for gap in evidence.all(Gap)] == [
        (GapReason.NOT_PERMITTED, "trace_panics")
    ]
