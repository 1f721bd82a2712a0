"""Runs leadline as a user does, in a process of its own, on real targets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadline import lab

__all__ = [
    "FAST",
    "PLAIN_USER",
    "Done",
    "Watch",
    "is_planted",
    "leadline",
    "python_target",
    "say",
    "until",
    "watching",
]

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 60.0
FAST = ("-n", "0", "-rate", "20")
"""Arguments with which a lab program leaks enough for a verdict in four seconds, and goes on."""
PLAIN_USER = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Runs a command as a user without any right, who still may read this checkout."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a run of leadline ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Return the JSON document on stdout."""
        try:
            found = json.loads(self.out)
        except ValueError:
            raise AssertionError(
                f"no JSON document, exit {self.status}: {self.out[:500]}\n{self.err}"
            ) from None
        assert isinstance(found, dict)
        return found

    def loud(self) -> list[str]:
        """Return the codes of findings above info."""
        return [one["code"] for one in self.document["findings"] if one["severity"] != "info"]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COLUMNS", "GITHUB"))}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", **(more or {})}


def leadline(
    *arguments: object,
    wrap: Sequence[str] = (),
    cwd: Path | None = None,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run leadline to its end."""
    done = subprocess.run(
        [*wrap, sys.executable, "-m", "leadline", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        env=_environment(environment),
        timeout=DEADLINE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Watch:
    """A ``leadline trace`` at work."""

    def __init__(self, process: subprocess.Popen[str], first: str) -> None:
        self.process = process
        self.first = first

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send Ctrl-C."""
        self.process.send_signal(number)

    def done(self) -> Done:
        """Wait for its end and return what it said."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return Done(self.process.returncode, out, self.first + err)


@contextmanager
def watching(target: object, *options: object, wrap: Sequence[str] = ()) -> Iterator[Watch]:
    """Trace a target; the block begins when leadline is attached, and nothing is left when it ends."""
    process = subprocess.Popen(
        [*wrap, sys.executable, "-m", "leadline", "trace", *map(str, (target, *options))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=_environment(None),
        # A test run in the background ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  the child calls nothing else
    )
    try:
        assert process.stderr is not None
        yield Watch(process, process.stderr.readline())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(DEADLINE_S)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def python_target(
    body: str, *, wrap: Sequence[str] = (), program: str | Path = sys.executable
) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program that has said ``ready``; it waits for lines on stdin where it calls ``input()``."""
    process = subprocess.Popen(
        [*wrap, str(program), "-c", f'print("ready", flush=True)\n{textwrap.dedent(body)}'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        process.kill()
        process.wait(DEADLINE_S)


def say(process: subprocess.Popen[str], word: str = "") -> None:
    """Write a line to a target."""
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def until(condition: Callable[[], bool], what: str = "the condition", deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition, at most until the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about in {deadline_s:.0f} s"
        time.sleep(0.01)


def is_planted(finding: Mapping[str, Any], program: str) -> bool:
    """Return whether the first site of a finding is a line that was planted in a lab program."""
    site = finding["sites"][0] if finding["sites"] else {"function": None, "file": "", "line": None}
    return any(
        (site["function"], site["line"]) == (want.function, want.line)
        and (site["file"] or "").endswith(want.file)
        for want in lab.wants(program)
    )
