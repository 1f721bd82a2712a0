"""Builds and runs the program of tests/fixtures/gosrc/retention, which keeps connections in known ways."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import symbol_twins as twins_of
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime.process import OpenedProcess, open_process

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Keeper", "Way", "build", "every", "keeping", "toolchains"]

SOURCE = twins_of.ROOT / "tests" / "fixtures" / "gosrc" / "retention"
OTHER_RELEASES = ("1.21.13", "1.24.11", "1.27.3")


@dataclass(frozen=True)
class Way:
    """Connections that are kept in one way: by which variable or goroutine, and by which function."""

    fds: list[int]
    variable: str
    goids: list[int]
    function: str


class Keeper:
    """The running program."""

    def __init__(self, process: subprocess.Popen[str], ways: dict[str, Way]) -> None:
        self._process = process
        self.ways = ways
        self.pid = process.pid

    def opened(self) -> OpenedProcess:
        """Open it for reading."""
        return open_process(LiveHost(), self.pid)

    def ask(self, word: str) -> str:
        """Send a word and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def load(self, count: int) -> list[int]:
        """Start goroutines that pass connections on all the time; return the descriptors of these."""
        found = json.loads(self.ask(f"load {count}"))
        assert isinstance(found, list)
        return found

    def sockets(self) -> dict[int, str]:
        """Return what each descriptor is open on."""
        found = {}
        for path in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found[int(path.name)] = os.readlink(path)  # noqa: PTH115  pathlib would follow it
        return found


def every(keeper: Keeper) -> list[int]:
    """Return all descriptors that the program told of."""
    return [fd for way in keeper.ways.values() for fd in way.fds]


def toolchains() -> list[twins_of.Toolchain]:
    """Return the installed Go; with ``LEADLINE_ALL_GO=1`` three releases that ``tools/go_offsets.py --fetch`` has brought."""
    installed = twins_of.installed_go()
    found = [installed] if installed else []
    if os.environ.get("LEADLINE_ALL_GO", "") not in {"", "0"}:
        found += [go for go in twins_of.cached_toolchains() if go.version in OTHER_RELEASES]
    return found


def build(go: twins_of.Toolchain, folder: Path, *, strip: bool = False, pie: bool = False) -> Path:
    """Build the program."""
    path = folder / f"keeper-{go.version}{'-stripped' * strip}{'-pie' * pie}"
    command = [str(go.goroot / "bin" / "go"), "build", "-o", str(path)]
    command += ["-ldflags=-s -w"] * strip + ["-buildmode=pie"] * pie
    environment = {
        **os.environ, "GOROOT": str(go.goroot), "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOPROXY": "off",
        "CGO_ENABLED": "0",
    }  # fmt: skip
    subprocess.run([*command, "."], cwd=SOURCE, env=environment, check=True, timeout=300)
    return path


@contextmanager
def keeping(path: Path, count: int) -> Iterator[Keeper]:
    """Run the program with so many connections in each way."""
    with subprocess.Popen(
        [path, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            ways = {
                name: Way(one["Fds"], one["Global"], one["Goids"] or [], one["Function"])
                for name, one in told.items()
            }
            yield Keeper(process, ways)
        finally:
            process.kill()
