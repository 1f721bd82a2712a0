"""Commands that wait before their first instruction."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from leadline.host import Exit, LiveHost, launch
from leadline.model import UsageError

SOON_NS = 10_000_000_000


def test_nothing_runs_before_release(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with launch(["touch", str(mark)]) as command:
        assert command.is_alive()
        assert not mark.exists()
        assert LiveHost().link_proc(f"{command.pid}/exe") == LiveHost().link_proc("self/exe")
        command.release()
        assert command.wait(SOON_NS) == Exit(0)
    assert mark.exists()


def test_the_pid_stays_and_the_exit_status_is_the_commands(tmp_path: Path) -> None:
    with launch(["sh", "-c", f"echo $$ > {tmp_path}/pid; exit 23"]) as command:
        command.release()
        assert command.wait(SOON_NS) == Exit(23)
        assert command.wait(0) == Exit(23)
    assert int((tmp_path / "pid").read_text()) == command.pid


@pytest.mark.parametrize(
    ("name", "code"), [("/no/such/program", 127), ("no-such-program-in-path", 127), ("/etc", 126)]
)
def test_a_command_that_cannot_run_ends_as_in_a_shell(name: str, code: int) -> None:
    with launch([name]) as command:
        with pytest.raises(UsageError, match="cannot be run"):
            command.release()
        assert command.wait(SOON_NS) == Exit(code)


def test_a_file_without_the_execute_bit_is_126(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    with launch([str(tmp_path / "script")]) as command:
        with pytest.raises(UsageError):
            command.release()
        assert command.wait(SOON_NS) == Exit(126)


@pytest.mark.parametrize("command", [[], [""], ["a\0b"]])
def test_no_command_is_an_error_before_anything_starts(command: list[str]) -> None:
    with pytest.raises(UsageError):
        launch(command)


def test_a_command_ended_by_a_signal_is_told_as_a_shell_does() -> None:
    with launch(["sleep", "60"]) as command:
        command.release()
        command.send(signal.SIGKILL)
        assert command.wait(SOON_NS) == Exit(128 + 9, 9)
        command.send(signal.SIGKILL)  # of no consequence any more


def test_waiting_ends_by_its_deadline() -> None:
    with launch(["sleep", "60"]) as command:
        command.release()
        assert command.wait(1_000_000) is None


@pytest.mark.parametrize("release", [True, False])
def test_nothing_is_left_behind(release: bool) -> None:
    with launch(["sleep", "60"]) as command:
        if release:
            command.release()
    assert not Path(f"/proc/{command.pid}").exists()
    command.close()


def test_it_inherits_what_was_handed_down_and_nothing_of_ours(tmp_path: Path) -> None:
    ours = os.open(tmp_path / "ours", os.O_CREAT | os.O_RDWR)
    handed = os.open(tmp_path / "handed", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(handed, True)
    try:
        with launch(["sleep", "60"]) as command:
            before = {link.fd: link.name for link in LiveHost().fd_links(command.pid)}
            command.release()
            after = {link.fd: link.name for link in LiveHost().fd_links(command.pid)}
    finally:
        os.close(ours)
        os.close(handed)
    assert after[handed] == str(tmp_path / "handed")
    assert str(tmp_path / "ours") not in before.values()
    assert {fd: name for fd, name in before.items() if fd in after} == after
    assert len(before) == len(after) + 2  # the two pipes to leadline, closed by exec


def test_python_s_ignored_signals_are_not_handed_down() -> None:
    with launch(["sleep", "60"]) as command:
        command.release()
        status = LiveHost().read_proc(f"{command.pid}/status")
    ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith(b"SigIgn:")), 16)
    assert not ignored >> (signal.SIGPIPE - 1) & 1


def test_the_environment_can_be_given(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LEADLINE_TEST": "23"}
    with launch(["sh", "-c", f"echo $LEADLINE_TEST > {tmp_path}/out"], environment=environment) as command:
        command.release()
        command.wait(SOON_NS)
    assert (tmp_path / "out").read_text() == "23\n"


def test_signals_are_handed_on_and_told() -> None:
    seen: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    with launch(["sleep", "60"]) as command:
        command.release()
        with command.forwarding(seen.append):
            os.kill(os.getpid(), signal.SIGTERM)
            assert command.wait(SOON_NS) == Exit(128 + 15, 15)
    assert seen == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


PARENT = """
import os, sys
from leadline.host import launch
command = launch(["sleep", "60"])
print(command.pid, flush=True)
sys.stdin.read()
os.kill(os.getpid(), 9)
"""


def test_a_command_that_was_never_released_ends_with_leadline() -> None:
    """SIGKILL of leadline closes the gate, and the child that waits at it goes."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        with LiveHost().open_process(pid) as waiting:
            parent.communicate()
            assert waiting.wait_exit(SOON_NS)


COUNTING = """
import signal, sys, time
from leadline.host import launch
child = '''
import signal, sys
count = 0
def hear(number, frame):
    global count
    count += 1
signal.signal(signal.SIGINT, hear)
print("ready", flush=True)
while count == 0:
    signal.pause()
signal.sigtimedwait([], 0.3)
print("heard", count, flush=True)
'''
with launch([sys.executable, "-c", child]) as command:
    with command.forwarding():
        command.release()
        command.wait(10_000_000_000)
"""


def read_until(fd: int, text: bytes) -> bytes:
    """Return what comes from a descriptor until a text is in it, at most 10 s."""
    seen = b""
    while text not in seen:
        ready, _, _ = select.select([fd], [], [], 10)
        assert ready, seen
        seen += os.read(fd, 1024)
    return seen


def test_ctrl_c_on_a_terminal_reaches_the_command_once() -> None:
    """Many Go services take a second Ctrl-C as an order to give up at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fork beside other threads: the child execs at once
        pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", COUNTING])
    try:
        read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        assert b"heard 1" in read_until(terminal, b"heard 1")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def test_an_interrupt_sent_to_leadline_alone_is_handed_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COUNTING], stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.readline() == b"heard 1\n"
        assert parent.wait(10) == 0
