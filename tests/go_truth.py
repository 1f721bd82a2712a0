"""Builds small Go programs below tests/fixtures/gosrc and runs them; each prints as JSON what is true of itself."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import symbol_twins as twins_of
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.process import open_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadline.probes.snapshot_runtime.looks import GoProcess, Look

__all__ = ["Truth", "build", "builds", "running"]

SOURCES = Path(__file__).resolve().parent / "fixtures" / "gosrc"
OLDEST_MINOR = 21


@dataclass(frozen=True)
class Truth:
    """A program that stands still, and what it says of itself."""

    said: dict[str, Any]
    process: GoProcess
    look: Look
    found: Found


def builds() -> list[object]:
    """Return (toolchain, is stripped): of the installed Go both; all of all fetched releases with ``LEADLINE_ALL_GO=1``."""
    installed = twins_of.installed_go()
    wanted = [installed] if installed else []
    if os.environ.get("LEADLINE_ALL_GO", "") not in {"", "0"}:
        wanted += [go for go in twins_of.cached_toolchains() if go.minor >= OLDEST_MINOR]
    return [
        pytest.param(
            (go, stripped), id=f"{go.version}-{'stripped' if stripped else 'plain'}", marks=pytest.mark.slow
        )
        for go in wanted
        for stripped in (False, True)
    ]


def build(name: str, go: twins_of.Toolchain, folder: Path, *, stripped: bool) -> Path:
    """Return a program built with one toolchain."""
    output = folder / name
    flags = ["-ldflags=-s -w"] if stripped else []
    environment = {
        **os.environ, "GOROOT": str(go.goroot), "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0",
        "GOPROXY": "off", "GOWORK": "off",
    }  # fmt: skip
    command = [str(go.goroot / "bin" / "go"), "build", *flags, "-o", str(output), "."]
    subprocess.run(command, cwd=SOURCES / name, env=environment, check=True, timeout=600)
    return output


@contextmanager
def running(program: Path, *arguments: object) -> Iterator[Truth]:
    """Run a program until it has said what is true, and look at it once; it ends with the block."""
    process = subprocess.Popen(
        [str(program), *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        opened = open_process(LiveHost(), process.pid)
        yield Truth(said, opened, take_look(opened), Found())
    finally:
        process.kill()
        process.wait(60)
        process.stdin.close()
        process.stdout.close()
