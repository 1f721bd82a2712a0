"""Tests of the runner with scripts that speak as the lab programs do; the live tests run the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fake_go import fake_go
from leadline.lab.go_tool import GoTool, find_go
from leadline.lab.run import second_process, start
from leadline.model import DeadlineExceeded, LeadlineError, TargetGone

pytestmark = pytest.mark.slow

ALONE, CALLING, CALLED = "pipe-leak", "http-body-leak", "file-leak"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADLINE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def go(tmp_path: Path) -> GoTool:
    """Return a Go that builds scripts."""
    return find_go(path=fake_go(tmp_path / "fake"))


def command(pid: int) -> list[str]:
    """Return the arguments of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: object, deadline_s: float = 10.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + deadline_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_program_runs_until_the_block_ends(go: GoTool) -> None:
    with start(ALONE, go=go) as running:
        assert running.addr == "10.0.0.1:1"
        assert running.second_pid is None
        assert running.wait_done() == 23
        assert running.is_finished
        assert running.child_pid() == 4711
        assert running.is_alive
        pid = running.pid
    assert not is_running(pid)


def test_a_held_program_does_nothing_before_it_is_let_go(go: GoTool) -> None:
    with start(ALONE, hold=True, go=go) as running:
        with pytest.raises(DeadlineExceeded, match="had done 0"):
            running.wait_done(1, deadline_s=0.1)
        running.go()
        assert running.wait_done(5) >= 5


def test_an_upstream_is_started_first_and_its_address_handed_over(go: GoTool) -> None:
    with start(CALLING, ["-n", "7"], go=go) as running:
        assert running.second_pid is not None
        words = command(running.pid)
        assert words[words.index("-peer") + 1] == "10.0.0.2:2"
        other = command(running.second_pid)
        assert other[-6:] == ["-role", "peer", "-lifeline", "-hold", "-peer", ""]
        assert other[other.index("-n") + 1] == "7", "both get the same arguments"
        pids = [running.pid, running.second_pid]
    assert not any(is_running(pid) for pid in pids)


def test_clients_are_started_when_the_program_listens(go: GoTool) -> None:
    with start(CALLED, go=go) as running:
        assert running.second_pid is not None
        assert command(running.second_pid)[-1] == "127.0.0.1:1"
        assert command(running.pid)[-2:] == ["-peer", "external"]


def test_alone_the_program_starts_its_second_process_itself(go: GoTool) -> None:
    with start(CALLING, alone=True, go=go) as running:
        assert running.second_pid is None
        assert "-peer" not in command(running.pid)


def test_the_pid_is_that_of_the_program_behind_a_wrapper(go: GoTool) -> None:
    with start(ALONE, wrap=("sh", "-c", '"$0" "$@"; exit 0'), go=go) as running:
        # Scripts run inside their interpreter, so only the way down the tree can be seen here.
        assert "-lifeline" in command(running.pid)
        assert command(running.pid)[0] != "sh"


def test_a_program_that_ends_before_it_is_ready_is_reported_with_its_words(go: GoTool) -> None:
    with pytest.raises(TargetGone, match="no such luck"), start(ALONE, ["-die"], go=go):
        pass


def test_a_program_that_says_nothing_is_not_waited_for_for_ever(go: GoTool) -> None:
    with (
        pytest.raises(DeadlineExceeded, match="did not say 'ready'"),
        start(ALONE, ["-mute"], go=go, deadline_s=0.2),
    ):
        pass


def test_a_program_that_ends_early_is_noticed(go: GoTool) -> None:
    with start(ALONE, ["-end"], go=go) as running, pytest.raises(TargetGone, match="ended after"):
        running.wait_done(1000)


def test_a_program_is_ended_by_sigquit_and_its_last_words_are_the_dump(go: GoTool) -> None:
    with start(ALONE, ["-dump"], go=go) as running:
        assert running.dump() == "goroutine 1 [running]:\n"
        assert not running.is_alive
        with pytest.raises(TargetGone, match="has ended"):
            running.dump()


def test_a_program_that_survives_sigquit_is_not_waited_for_for_ever(go: GoTool) -> None:
    with (
        start(ALONE, ["-deaf"], go=go) as running,
        pytest.raises(DeadlineExceeded, match="after SIGQUIT"),
    ):
        running.dump(deadline_s=0.1)


def test_only_the_second_process(go: GoTool) -> None:
    with second_process(CALLING, go=go) as addr:
        assert addr == "10.0.0.2:2"
    with pytest.raises(LeadlineError, match="has no second process"), second_process(ALONE, go=go):
        pass


def test_nothing_stays_when_leadline_is_killed(go: GoTool) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from leadline.lab.go_tool import find_go\n"
        "from leadline.lab.run import start\n"
        f"with start({CALLING!r}, go=find_go(path=Path({str(go.path)!r}))) as running:\n"
        "    print(running.pid, running.second_pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as leadline:
        assert leadline.stdout is not None
        pids = [int(word) for word in leadline.stdout.readline().split()]
        assert all(is_running(pid) for pid in pids)
        leadline.send_signal(signal.SIGKILL)
        leadline.wait()
        wait_for(lambda: not any(is_running(pid) for pid in pids))
