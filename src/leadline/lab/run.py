"""Run lab programs, and end everything that was started, however we end.

A program and its second process each hold the read end of a pipe whose write end is ours: when leadline dies, by SIGKILL too,
the kernel closes it and they stop by themselves. Otherwise they are ended by pid. Both stop after ``-duration`` in any case.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from leadline.lab.build import STRIPPED, Flavour, build, second_name
from leadline.lab.catalog import LabProgram, OtherEnd, find
from leadline.lab.go_tool import GoTool
from leadline.model import DeadlineExceeded, LeadlineError, TargetGone

__all__ = ["Running", "second_process", "start"]

READY_DEADLINE_S = 30.0
_POLL_S = 0.01
_END_S = 3.0


class _Process:
    """A started process whose JSON lines are read by a thread, so that it never blocks on a full pipe."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed in end()
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for leadline, which ends its programs itself
        )
        self._changed = threading.Condition()
        self._lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, name=f"lab-{self.popen.pid}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None  # noqa: S101  Popen was asked for a pipe
        for raw in self.popen.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                continue  # not one of ours: a library's print
            if isinstance(line, dict):
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def line_with(self, key: str, deadline_s: float) -> dict[str, Any]:
        """Return the first line that has ``key``; TargetGone or DeadlineExceeded when there will be none."""
        end = time.monotonic() + deadline_s
        with self._changed:
            while True:
                for line in self._lines:
                    if key in line:
                        return line
                if not self._reader.is_alive() or self.popen.poll() is not None:
                    raise TargetGone(f"the lab program ended before it said {key!r}: {self.words()}")
                if time.monotonic() > end:
                    raise DeadlineExceeded(f"the lab program did not say {key!r} within {deadline_s:.0f} s")
                self._changed.wait(_POLL_S)

    def done(self) -> tuple[int, bool]:
        """Return the highest count of work done so far, and whether the planned number was reached."""
        with self._changed:
            counts = [int(line["done"]) for line in self._lines if "done" in line]
            return max(counts, default=0), any("finished" in line for line in self._lines)

    def say(self, word: str) -> None:
        """Write one line to the process's stdin; a process that has ended does not mind."""
        assert self.popen.stdin is not None  # noqa: S101  Popen was asked for a pipe
        try:
            self.popen.stdin.write(f"{word}\n".encode())
            self.popen.stdin.flush()
        except BrokenPipeError:
            return

    def errors(self) -> str:
        """Return all that the process wrote on stderr."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def words(self) -> str:
        """Return the end of what the process wrote on stderr."""
        return self.errors()[-2000:].strip() or "(it said nothing)"

    def end(self) -> None:
        """End the process: first by closing its lifeline, then by signal."""
        assert self.popen.stdin is not None  # noqa: S101  Popen was asked for a pipe
        assert self.popen.stdout is not None  # noqa: S101  likewise
        with suppress(BrokenPipeError):
            self.popen.stdin.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                self.popen.send_signal(number)
            try:
                self.popen.wait(_END_S)
                break
            except subprocess.TimeoutExpired:
                continue
        self._reader.join(_END_S)
        self.popen.stdout.close()
        self._errors.close()


class Running:
    """A lab program at work.

    Attributes:
        program: its entry in the catalog.
        binary: path of the executable.
        pid: of the observed process, in our pid namespace.
        addr: where clients find it; "" when it listens nowhere.
        ready: the whole ready line.
        second_pid: of the second process; None when there is none or the program started it itself.
    """

    def __init__(
        self,
        program: LabProgram,
        binary: Path,
        process: _Process,
        second: _Process | None,
        ready: dict[str, Any],
    ) -> None:
        self.program = program
        self.binary = binary
        self.ready = ready
        self.addr = str(ready.get("addr", ""))
        self.second_pid = None if second is None else second.popen.pid
        self.pid = _pid_of(binary, process.popen.pid)
        self._process = process
        self._second = second

    def go(self) -> None:
        """Let the work begin, for a program that was started with ``hold``; without effect the second time."""
        self._process.say("go")
        if self._second is not None:
            self._second.say("go")

    @property
    def done(self) -> int:
        """Return how many leaks were made, or how much work was done, as the program said last."""
        return self._process.done()[0]

    @property
    def is_finished(self) -> bool:
        """Return whether the program has reached its planned number."""
        return self._process.done()[1]

    @property
    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.popen.poll() is None

    def wait_done(self, count: int | None = None, *, deadline_s: float = 60.0) -> int:
        """Wait until ``count`` was done (the planned number when None) and return how many were.

        Raises:
            DeadlineExceeded: it took longer than ``deadline_s``. TargetGone: the program ended before.
        """
        end = time.monotonic() + deadline_s
        while True:
            done, finished = self._process.done()
            if finished if count is None else done >= count:
                return done
            if not self.is_alive:
                raise TargetGone(f"{self.program.name} ended after {done}: {self._process.words()}")
            if time.monotonic() > end:
                raise DeadlineExceeded(f"{self.program.name} had done {done} after {deadline_s:.0f} s")
            time.sleep(_POLL_S)

    def child_pid(self, *, deadline_s: float = READY_DEADLINE_S) -> int:
        """Return the pid of the process that the program has started as its child (``child-leak``).

        Raises:
            DeadlineExceeded: it started none within ``deadline_s``. TargetGone: the program ended before.
        """
        return int(self._process.line_with("child_pid", deadline_s)["child_pid"])

    def words(self) -> str:
        """Return the end of what the program wrote on stderr."""
        return self._process.words()

    def dump(self, *, deadline_s: float = READY_DEADLINE_S) -> str:
        """End the program by SIGQUIT and return what it then prints: the stacks of all its goroutines.

        Raises:
            DeadlineExceeded: it did not end within ``deadline_s``. TargetGone: it had ended before.
        """
        if not self.is_alive:
            raise TargetGone(f"{self.program.name} has ended: {self._process.words()}")
        os.kill(self.pid, signal.SIGQUIT)
        try:
            self._process.popen.wait(deadline_s)
        except subprocess.TimeoutExpired as error:
            raise DeadlineExceeded(
                f"{self.program.name} had not ended {deadline_s:.0f} s after SIGQUIT"
            ) from error
        return self._process.errors()


@contextmanager
def start(
    name: str,
    args: Sequence[str] = (),
    *,
    hold: bool = False,
    flavour: Flavour = STRIPPED,
    go: GoTool | None = None,
    wrap: Sequence[str] = (),
    alone: bool = False,
    deadline_s: float = READY_DEADLINE_S,
) -> Iterator[Running]:
    """Run a lab program until the block ends.

    Args:
        name: of the program.
        args: more arguments, after those of the catalog, so that they win (``-n 0 -rate 50``).
        hold: do not begin the work before :meth:`Running.go`, so that an observer can be attached first.
        flavour: how to build it.
        go: toolchain to build with.
        wrap: command before the program, such as ``("unshare", "--net")``; then also pass ``alone``.
        alone: let the program start its second process itself, as its child (as by hand on a command line).
        deadline_s: time until it must be ready, building not counted.

    Raises:
        As :func:`leadline.lab.build.build`; DeadlineExceeded or TargetGone when it does not become ready.
    """
    program = find(name)
    binary = build(name, flavour=flavour, go=go)
    with ExitStack() as stack:
        arguments = [*program.args, *args]
        second: _Process | None = None
        elsewhere: list[str] = []
        if program.other_end is OtherEnd.UPSTREAM and not alone:
            second = _start(stack, _second_command(binary, arguments, ""))
            elsewhere = ["-peer", str(second.line_with("ready", deadline_s)["addr"])]
        elif program.other_end is OtherEnd.CLIENTS and not alone:
            elsewhere = ["-peer", "external"]
        holding = ["-hold"] if hold else []
        process = _start(stack, [*wrap, binary, *arguments, "-lifeline", *holding, *elsewhere])
        if elsewhere == ["-peer", "external"]:
            addr = str(process.line_with("listening", deadline_s)["listening"])
            second = _start(stack, _second_command(binary, arguments, addr))
            second.line_with("ready", deadline_s)
        running = Running(program, binary, process, second, process.line_with("ready", deadline_s))
        if not hold:
            running.go()
        yield running


@contextmanager
def second_process(
    name: str,
    args: Sequence[str] = (),
    *,
    addr: str = "",
    flavour: Flavour = STRIPPED,
    go: GoTool | None = None,
    deadline_s: float = READY_DEADLINE_S,
) -> Iterator[str]:
    """Run only the second process of a program, for a program that somebody else starts with ``-peer``.

    Args:
        name: of the program.
        args: as given to the program itself.
        addr: where the program listens, for one that is called by clients; they begin at once.
        flavour: how to build it.
        go: toolchain to build with.
        deadline_s: time until it must be ready.

    Yields:
        The address to give to the program with ``-peer``; "" for clients (the program takes ``-peer external``).
    """
    program = find(name)
    if program.other_end is OtherEnd.NONE:
        raise LeadlineError(f"{name} has no second process", remedy="start the program alone")
    binary = build(name, flavour=flavour, go=go)
    with ExitStack() as stack:
        second = _start(stack, _second_command(binary, [*program.args, *args], addr))
        said = second.line_with("ready", deadline_s)
        second.say("go")
        yield str(said["addr"])


def _start(stack: ExitStack, command: Sequence[str | Path]) -> _Process:
    process = _Process(command)
    stack.callback(process.end)
    return process


def _second_command(binary: Path, arguments: Sequence[str], addr: str) -> list[str | Path]:
    return [second_name(binary), *arguments, "-role", "peer", "-lifeline", "-hold", "-peer", addr]


def _pid_of(binary: Path, pid: int) -> int:
    # A wrapper (unshare --fork, setpriv) may have the program as its child: walk down to the process with our binary.
    for _ in range(8):
        try:
            if str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)") == str(binary.resolve()):
                return pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        except OSError:
            return pid
        if not children:
            return pid
        pid = int(children[0])
    return pid
