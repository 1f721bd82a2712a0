"""Runs the shell blocks of a Markdown page as one reader would, and compares what they print with what the page shows."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from house.files import ROOT

__all__ = ["Block", "Reader", "blocks", "expect_in_order"]

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
DEADLINE_S = 300.0


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: ``sh`` is run, ``sh terminal`` stays running in a terminal of its own, ``text`` is to be seen."""

    info: str
    body: str


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that a reader would run or see."""
    found = [Block(match["info"].strip(), match["body"]) for match in _FENCE.finditer(page.read_text())]
    return [block for block in found if block.info in {"sh", "sh terminal", "text"}]


def expect_in_order(shown: str, real: str) -> None:
    """Fail unless each line that the page shows occurs in the real output, in this order; spaces may differ."""
    position = 0
    normal = _normal(real)
    for line in filter(None, map(str.strip, shown.splitlines())):
        place = normal.find(_normal(line), position)
        assert place >= 0, f"the page shows {line!r}, and it is not (or not in this order) in:\n{real}"
        position = place


def _normal(text: str) -> str:
    return re.sub(r"[ \t]+", " ", text)


@dataclass
class Reader:
    """A person with a directory of their own, and as many terminals as needed.

    ``sudo`` is left out of commands: tests that need root run as root.
    """

    folder: Path
    _terminals: list[tuple[subprocess.Popen[bytes], Path]] = field(default_factory=list)

    def run(self, block: Block) -> str:
        """Run a block of commands; return what it printed, both streams.

        Raises:
            AssertionError: a command failed.
        """
        script = "set -eu -o pipefail\n" + re.sub(r"\bsudo ", "", block.body)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode} of\n{block.body}\n{done.stdout}"
        return done.stdout

    def start(self, block: Block) -> None:
        """Leave a command running in a terminal of its own, after ending the one before, and wait for its first words."""
        self.stop()
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix="terminal-", delete=False) as output:
            process = subprocess.Popen(
                ["bash", "-c", "exec " + block.body.strip()],
                cwd=self.folder,
                env=self._environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                # A test run started in the background ignores Ctrl-C, and so would what it starts.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
            )
        said = Path(output.name)
        self._terminals.append((process, said))
        deadline = time.monotonic() + DEADLINE_S
        while not re.search(rb"\bpid \d+", said.read_bytes()):
            assert process.poll() is None, f"ended with {process.returncode}: {said.read_text()}"
            assert time.monotonic() < deadline, "said no pid"
            time.sleep(0.05)

    def stop(self) -> None:
        """End what runs in terminals, as Ctrl-C does."""
        for process, _ in self._terminals:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(20)
        self._terminals.clear()

    def _environment(self) -> Mapping[str, str]:
        # `leadline` is found where this Python's scripts are; the checkout is what runs.
        scripts = Path(sys.executable).parent
        return {
            **os.environ,
            "PATH": f"{scripts}:{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(ROOT / "src"),
            "NO_COLOR": "1",
            "COLUMNS": "80",
        }


def readers(folder: Path) -> Iterator[Reader]:
    """Yield a reader and end what they left running: the body of a fixture."""
    assert shutil.which("bash")
    reader = Reader(folder)
    try:
        yield reader
    finally:
        reader.stop()
