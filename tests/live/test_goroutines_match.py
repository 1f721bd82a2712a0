"""Goroutines that leadline reads from memory, against what Go itself dumps of the same process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import goroutine_twins as twins
import symbol_twins
from leadline.host import LiveHost
from leadline.model import TargetGone
from leadline.probes.snapshot_runtime.evidence import runtime_evidence
from leadline.probes.snapshot_runtime.gc_state import read_gc
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.process import open_process
from live_runs import PLAIN_USER

if TYPE_CHECKING:
    from leadline.evidence.kinds import Goroutine
    from leadline.probes.snapshot_runtime.look import GoroutineLook

QUICK_FLAVOURS = ("plain", "pie")
FIRST_WITH_LABELS_IN_DUMPS = 26
BUSY_STACKS = int(os.environ.get("LEADLINE_BUSY_STACKS", "5000"))
DEADLINE_S = 120.0
RUNS = 10

CHAIN = re.compile(r"main\.(in|select|lock)Chain\d")

# What must be on the stack of a goroutine that waits for this reason.
WAITS_IN = {
    "IO wait": "internal/poll.runtime_pollWait",
    "chan receive": "runtime.chanrecv",
    "chan send": "runtime.chansend",
    "select": "runtime.selectgo",
    "sync.Mutex.Lock": "sync.(*Mutex).Lock",
}


def cases() -> list[object]:
    """Return (toolchain, flavour): of the installed Go two, with ``LEADLINE_ALL_GO=1`` all of every fetched release."""
    installed = symbol_twins.installed_go()
    wanted = [(installed, flavour) for flavour in QUICK_FLAVOURS] if installed else []
    if os.environ.get("LEADLINE_ALL_GO", "") not in {"", "0"}:
        supported = [go for go in symbol_twins.cached_toolchains() if go.minor >= 21]
        wanted += [(go, flavour) for go in supported for flavour in twins.FLAVOURS]
    can_link_c = shutil.which("gcc") is not None
    return [
        pytest.param((go, flavour), id=f"{go.version}-{flavour}", marks=pytest.mark.slow)
        for go, flavour in wanted
        if can_link_c or not flavour.startswith("cgo")
    ]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = symbol_twins.installed_go()
    if go is None:
        pytest.skip("no Go toolchain here; remedy: install Go 1.21 or later")
    return twins.build(go, "stripped", tmp_path_factory.mktemp("goroutines"))


@pytest.mark.parametrize("case", cases())
def test_every_parked_goroutine_equals_the_dump(
    case: tuple[symbol_twins.Toolchain, str], tmp_path: Path
) -> None:
    """Number, state, parent, creator, thread lock, labels, and each frame with file and line."""
    go, flavour = case
    with twins.launched(twins.build(go, flavour, tmp_path)) as target:
        before = target.settle()
        process, look, goroutines, stacks = twins.read(target.pid)
        result = twins.compared(
            before, target.dump(), goroutines, stacks, has_labels=go.minor >= FIRST_WITH_LABELS_IN_DUMPS
        )
    assert result.different == []
    assert result.unknown == []
    assert {frame[0] for one in result.moved for frame in one.frames[:1] if frame} == {"main.dump"}
    assert result.compared >= 1000
    assert process.go_version == f"go{go.version}"
    assert process.goroutines.is_by_symbol == (flavour in {"plain", "cgo-plain"})
    assert bool(look.is_stable.all())
    assert bool(look.is_whole.all())
    labels = [one.labels for one in goroutines.values() if one.labels]
    assert {"kind": "labelled", "number": "2", "inner": 'ü, "quoted"'} in labels
    assert {f"k{number:02}": "v" * number for number in range(20)} in labels
    blocked = [one for one in goroutines.values() if one.syscall_fd is not None and one.is_locked]
    assert len({one.tid for one in blocked}) == 5
    assert {one.syscall for one in blocked} == {"read"}


@pytest.mark.slow
def test_goroutines_that_have_not_begun_are_shown_at_their_first_function(program: Path) -> None:
    """The program stops itself after 50 ``go`` statements; on a busy machine some may have begun, then it is run again."""
    unborn: list[Goroutine] = []
    for _ in range(RUNS):
        with twins.launched(program, "plain", environment={"GOMAXPROCS": "1"}) as target:
            target.say("stop")
            _wait_until_stopped(target.pid)
            _, _, goroutines, stacks = twins.read(target.pid)
            os.kill(target.pid, signal.SIGCONT)
            assert target.line() == "continued"
        waiting = [one for one in goroutines.values() if one.state == "runnable"]
        unborn = [one for one in waiting if [frame[0] for frame in stacks[one.goid]] == ["main.unborn"]]
        if len(unborn) == 50:
            break
    assert len(unborn) == 50
    assert {one.created_by.function for one in unborn if one.created_by} == {"main.stopInTheMiddle.func1"}


@pytest.mark.slow
def test_no_wrong_stack_is_kept_of_a_busy_server(program: Path) -> None:
    with twins.launched(program, "plain") as target:
        target.say("busy 100")
        assert target.line() == "busy"
        process = open_process(LiveHost(), target.pid)
        wrong: list[str] = []
        read = unstable = 0
        deadline = time.monotonic() + DEADLINE_S
        while read < BUSY_STACKS and time.monotonic() < deadline:
            look = take_look(process)
            read += int((look.stack_of >= 0).sum())
            unstable += int((~look.is_stable).sum())
            wrong += _wrong(look)
    assert wrong == []
    assert read >= BUSY_STACKS
    assert unstable < read


@pytest.mark.slow
def test_two_looks_tell_parked_goroutines_from_busy_ones(program: Path) -> None:
    with twins.launched(program) as target:
        target.settle()
        host = LiveHost()
        process = open_process(host, target.pid)
        first, first_gc = take_look(process), read_gc(process)
        target.say("busy 20")
        assert target.line() == "busy"
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            second = take_look(process)
            third = take_look(process)
            runtime, goroutines, _ = runtime_evidence(
                host, process, third, second, gc=read_gc(process), first_gc=first_gc
            )
            creators = [one for one in goroutines if one.created_by and ".busy" in one.created_by.function]
            if len(creators) >= 40 and any(one.moved for one in creators):
                break
        _, since_begin, _ = runtime_evidence(host, process, third, first)
    parked = [
        one for one in since_begin if not one.is_new and one.state not in {"running", "runnable", "syscall"}
    ]
    assert len(parked) >= 1000
    assert [one for one in parked if one.moved is not False and one.created_by is not None] == []
    assert len([one for one in since_begin if one.is_new]) >= 40
    assert all(one.moved is None for one in since_begin if one.is_new)
    assert runtime.passes == 2
    assert runtime.threads is not None
    assert runtime.goroutines == len(goroutines)


@pytest.mark.slow
def test_threads_have_the_hosts_numbers_in_a_pid_namespace(program: Path) -> None:
    wrap = ("unshare", "--pid", "--fork", "--kill-child")
    with twins.launched(program, wrap=wrap) as outer:
        outer.settle()
        inner = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])
        _, _, goroutines, _ = twins.read(inner)
        tasks = {int(path.name) for path in Path(f"/proc/{inner}/task").iterdir()}
    reading = [one for one in goroutines.values() if one.syscall == "read"]
    assert len(reading) >= 10
    assert {one.tid for one in goroutines.values() if one.tid is not None} <= tasks
    assert all(one.tid in tasks and one.syscall_fd is not None for one in reading)


@pytest.mark.slow
def test_without_the_right_the_right_is_named(program: Path) -> None:
    """Root without capabilities, and another user, may not read; a process that has ended is gone."""
    code = (
        "import sys\n"
        "from leadline.host import LiveHost\n"
        "from leadline.model import NotPermitted, TargetGone\n"
        "from leadline.probes.snapshot_runtime.process import open_process\n"
        "try:\n    open_process(LiveHost(), int(sys.argv[1]))\n"
        "except NotPermitted as told:\n    print('refused', told.remedy)\n"
        "except TargetGone as told:\n    print('gone', told)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(symbol_twins.ROOT / "src")}
    with twins.launched(program, "plain", wrap=("setpriv", "--reuid=65533", "--clear-groups")) as target:
        done = subprocess.run(
            [*PLAIN_USER, sys.executable, "-c", code, str(target.pid)], env=environment, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.stdout.startswith("refused"), done.stderr
    assert "CAP_SYS_PTRACE" in done.stdout
    with pytest.raises(TargetGone):
        open_process(LiveHost(), target.pid)


@pytest.mark.slow
def test_a_process_that_ends_between_looks_is_gone(program: Path) -> None:
    with twins.launched(program, "plain") as target:
        process = open_process(LiveHost(), target.pid)
        assert len(take_look(process)) > 1
    with pytest.raises(TargetGone):
        take_look(process)


def _wrong(look: GoroutineLook) -> list[str]:
    """Return what is wrong with the stacks that were kept, one line each."""
    found = []
    for stack, pcs in enumerate(look.stacks):
        functions = look.functions(stack)
        if not look.is_whole[stack] or functions[-1] != "runtime.goexit":
            found.append(f"{len(pcs)} frames, the last is {functions[-1:]}")
        chained = [name.removeprefix("main.") for name in functions if CHAIN.match(name)]
        kinds = {name[:-1] for name in chained}
        if len(kinds) > 1 or (chained and "main.chained" not in functions):
            found.append(f"torn: {functions}")
    for index in range(len(look)):
        state, stack = look.state(index), int(look.stack_of[index])
        needed = WAITS_IN.get(state)
        if stack >= 0 and needed is not None and needed not in look.functions(stack):
            found.append(f"{state} without {needed}: {look.functions(stack)[:6]}")
    return found


def _wait_until_stopped(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        stat = Path(f"/proc/{pid}/stat").read_text()
        if re.match(r"\d+ \(.*\) T ", stat):
            return
    raise AssertionError("the program has not stopped")
