"""Start a command that stands still before its first instruction until somebody watches it.

The child is forked, waits on a pipe, and calls exec when it is released, so that the pid is known and probes are attached
before the command runs. It stays in leadline's process group and session: the terminal treats both as one job, so
Ctrl-C, Ctrl-Z and reading from the terminal work as if leadline were not there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Self

from leadline.host.clock import LiveClock
from leadline.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType, TracebackType

__all__ = ["Exit", "Launched", "launch"]

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_RELEASE, _READY = b"g", b"r"
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
_FROM_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})
_DEFAULT_AGAIN = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores these, and exec would hand that down
_FORK_DEADLINE_S = 10.0
_KILL_AFTER_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended: ``code`` as a shell says it (128 + signal number when a signal ended it)."""

    code: int
    signal: int | None = None


class Launched:
    """A command that was started. As a context manager it never leaves the command behind: see ``close``.

    Attributes:
        pid: of the command, the same before and after it begins to run.
    """

    def __init__(self, pid: int, gate: int, report: int) -> None:
        self.pid = pid
        self._gate = gate
        self._report = report
        self._pidfd = os.pidfd_open(pid)
        self._exit: Exit | None = None
        self._clock = LiveClock()

    def release(self, *, timeout_ns: int = 10_000_000_000) -> None:
        """Let the command run; returns when it has been loaded.

        Raises:
            UsageError: it could not be: not found, not executable. ``wait`` then tells 127 or 126, as a shell would.
        """
        if self._gate < 0:
            return
        with contextlib.suppress(BrokenPipeError):
            os.write(self._gate, _RELEASE)
        self._close_gate()
        # Closed by exec when it worked; holds the errno when it did not.
        ready, _, _ = select.select([self._report], [], [], timeout_ns / 1e9)
        failure = os.read(self._report, 16) if ready else b""
        os.close(self._report)
        self._report = -1
        if failure:
            self.wait(timeout_ns)
            raise UsageError(f"the command cannot be run: {os.strerror(int(failure))}")

    def is_alive(self) -> bool:
        """Return whether it has not ended."""
        return self.wait(0) is None

    def wait(self, timeout_ns: int | None) -> Exit | None:
        """Return how it ended, None when it still runs after the time (None: without limit)."""
        deadline_ns = None if timeout_ns is None else self._clock.mono_ns() + timeout_ns
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        while self._exit is None:
            left_ns = 1_000_000_000 if deadline_ns is None else max(deadline_ns - self._clock.mono_ns(), 0)
            if poll.poll(min(left_ns, 1_000_000_000) / 1e6):
                self._exit = _reap(self.pid)
            elif deadline_ns is not None and left_ns == 0:
                return None
        return self._exit

    def send(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self._exit is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    @contextlib.contextmanager
    def forwarding(self, on_signal: Callable[[int], None] | None = None) -> Iterator[None]:
        r"""Hand signals that reach leadline on to the command while the block runs, instead of ending leadline.

        A terminal sends its own (Ctrl-C, Ctrl-\, hang-up) to the whole foreground job, so the command has got them already;
        they are handed on only when they did not come from there.

        Args:
            on_signal: called with the number, too, such as to end the window.
        """

        def hand_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  as signal.signal wants it
            if not (number in _FROM_TERMINAL and _is_foreground_job()):
                self.send(number)
            if on_signal is not None:
                on_signal(number)

        before = {number: signal.signal(number, hand_on) for number in _FORWARDED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """End the command if it still runs (SIGTERM, after 5 s SIGKILL), reap it, and release everything."""
        self._close_gate()
        if self._report >= 0:
            os.close(self._report)
            self._report = -1
        if self._pidfd < 0:
            return
        if self.wait(0) is None:
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)
            if self.wait(_KILL_AFTER_NS) is None:
                self.send(signal.SIGKILL)
                self.wait(_KILL_AFTER_NS)
        os.close(self._pidfd)
        self._pidfd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close_gate(self) -> None:
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1


def launch(command: Sequence[str], *, environment: dict[str, str] | None = None) -> Launched:
    """Return a command that waits to be released.

    Its standard streams, directory and process group are leadline's, and descriptors that leadline's own caller handed down
    are handed on; none that leadline opened is open in it.
    Call it before threads are started: a fork copies only one.

    Args:
        command: program (searched for in PATH) and arguments.
        environment: variables; None for leadline's own.

    Raises:
        UsageError: the command is empty or holds a NUL.
    """
    if not command or not command[0] or any("\0" in word for word in command):
        raise UsageError("there is no command to run", remedy="write it after --: leadline exec -- ./server")
    gate_read, gate_write = os.pipe()
    report_read, report_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become(list(command), environment, gate_read, report_write)
    os.close(gate_read)
    os.close(report_write)
    launched = Launched(pid, gate_write, report_read)
    ready, _, _ = select.select(
        [report_read], [], [], _FORK_DEADLINE_S
    )  # until it has nothing of leadline open
    if ready:
        os.read(report_read, 1)
    return launched


def _become(command: list[str], environment: dict[str, str] | None, gate: int, report: int) -> NoReturn:
    """Wait for release and exec: the child's part, which never returns."""
    try:
        _close_own(keep={gate, report})
        for number in _DEFAULT_AGAIN + _FORWARDED:
            if number in _DEFAULT_AGAIN or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        # Outlives exec: when leadline is killed, the command is asked to end as well, and nothing is left behind.
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        os.write(report, _READY)
        if os.read(gate, 1) != _RELEASE:  # leadline went away without releasing
            os._exit(_NOT_EXECUTABLE)
        if environment is None:
            os.execvp(command[0], command)  # noqa: S606  running the user's command is the purpose
        os.execvpe(command[0], command, environment)  # noqa: S606  as above
    except OSError as exc:
        os.write(report, str(exc.errno or errno.ENOEXEC).encode("ascii"))
        os._exit(_NOT_FOUND if exc.errno in {errno.ENOENT, errno.ENOTDIR} else _NOT_EXECUTABLE)
    except BaseException:  # noqa: BLE001  nothing of leadline may go on running in the child
        os._exit(_NOT_EXECUTABLE)


def _close_own(keep: set[int]) -> None:
    """Close what exec would close, now already; what leadline's caller handed down stays open for the command."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  names are wanted
        fd = int(name)
        with contextlib.suppress(OSError):
            if fd not in keep and not os.get_inheritable(fd):
                os.close(fd)


def _reap(pid: int) -> Exit:
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return Exit(128 + os.WTERMSIG(status), os.WTERMSIG(status))
    return Exit(os.WEXITSTATUS(status))


def _is_foreground_job() -> bool:
    """Return whether leadline is in the foreground of its terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
