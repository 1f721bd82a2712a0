"""Builds and runs ``tests/fixtures/dumps/states``, which parks goroutines in every common state and serves net/http/pprof."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leadline.lab import find_go

__all__ = ["DEADLINE_S", "States", "build_states", "serving"]

SOURCE = Path(__file__).resolve().parent / "fixtures" / "dumps" / "states"
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class States:
    """The program at work; ``url`` is of its net/http/pprof."""

    pid: int
    url: str


def build_states(folder: Path) -> Path:
    """Return the binary, built with the Go that the lab uses."""
    binary = folder / "states"
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false -mod=mod",
        "GOWORK": "off",
    }
    subprocess.run(
        [find_go().path, "build", "-o", binary, "."], cwd=SOURCE, env=environment, check=True, timeout=300
    )
    return binary


@contextmanager
def serving(binary: Path) -> Iterator[States]:
    """Run the program until the block ends; it has parked all its goroutines when the block begins."""
    environment = {**os.environ, "HOW": "serve"}
    process = subprocess.Popen(
        [binary], env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield States(process.pid, f"http://{process.stdout.readline().strip()}")
    finally:
        process.kill()
        process.wait(DEADLINE_S)
        if process.stdout is not None:
            process.stdout.close()
