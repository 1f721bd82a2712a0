"""Runs a Go program with goroutines of all kinds, and compares what leadline reads of them with what Go itself dumps."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import symbol_twins as twins_of
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime.evidence import runtime_evidence
from leadline.probes.snapshot_runtime.look import GoroutineLook, take_look
from leadline.probes.snapshot_runtime.process import OpenedProcess, open_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leadline.evidence.kinds import Goroutine

__all__ = [
    "FLAVOURS",
    "Comparison",
    "Dumped",
    "Target",
    "build",
    "compared",
    "launched",
    "parse_dump",
    "read",
]

SOURCE = twins_of.ROOT / "tests" / "fixtures" / "gosrc" / "goroutines"
DEADLINE_S = 60.0

# Flavour to (build flags, linker flags, cgo).
FLAVOURS: dict[str, tuple[list[str], str, bool]] = {
    "plain": ([], "", False),
    "stripped": ([], "-s -w", False),
    "pie": (["-buildmode=pie", "-trimpath"], "-s -w", False),
    "cgo": ([], "-linkmode=external -s -w", True),
    "cgo-pie": (["-buildmode=pie"], "-linkmode=external -s -w", True),
    "cgo-plain": ([], "", True),
}

# Labels stand inside the brackets in Go 1.26, behind them from 1.27 on.
_HEADER = re.compile(r"goroutine (\d+) \[([^\]{]*?)(?: labels:\{(.*)\})?([^\]{}]*)\](?: \{(.*)\})?:$")
_LABEL = re.compile(r'("(?:[^"\\]|\\.)*"|[^\s":,{}]+): ("(?:[^"\\]|\\.)*"|[^\s":,{}]*)')
_CREATED = re.compile(r"created by (.*?)(?: in goroutine (\d+))?$")
_PLACE = re.compile(r"\t(.*?):(\d+)(?: \+0x[0-9a-f]+)?$")
_ELIDED = re.compile(r"\.\.\.(\d+) frames elided\.\.\.$")
_PRINTED_FRAMES = 50  # tracebackInnerFrames and tracebackOuterFrames

Frame = tuple[str, str, int]


@dataclass(frozen=True)
class Dumped:
    """One goroutine of a dump; ``frames`` has None where some were left out."""

    goid: int
    state: str
    is_locked: bool
    labels: dict[str, str]
    frames: tuple[Frame | None, ...]
    created_by: Frame | None
    parent: int | None


@dataclass
class Comparison:
    """How a look agrees with the dumps around it.

    Attributes:
        compared: goroutines that are the same in both dumps, and so were there at the look.
        different: what is not equal, in words.
        moved: goroutines that changed between the dumps, or are in one only.
        unknown: goroutines that leadline shows and no dump has.
    """

    compared: int = 0
    different: list[str] = field(default_factory=list)
    moved: list[Dumped] = field(default_factory=list)
    unknown: list[Goroutine] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)


def parse_dump(text: str) -> dict[int, Dumped]:
    """Return the goroutines of a ``debug=2`` dump by number."""
    found = {}
    for block in text.strip().split("\n\n"):
        head, *lines = block.split("\n")
        match = _HEADER.match(head)
        if match is None:
            raise AssertionError(f"not the head of a goroutine: {head!r}")
        state, *flags = (match[2] + match[4]).split(", ")
        frames: list[Frame | None] = []
        created: Frame | None = None
        parent = None
        at = 0
        while at < len(lines):
            if _ELIDED.match(lines[at]):
                frames.append(None)
                at += 1
                continue
            if "stack unavailable" in lines[at]:
                at += 1
                continue
            place = _PLACE.match(lines[at + 1])
            if place is None:
                raise AssertionError(f"not a place: {lines[at + 1]!r}")
            creator = _CREATED.match(lines[at])
            if creator is not None:
                created = (creator[1], place[1], int(place[2]))
                parent = int(creator[2]) if creator[2] else None
            else:
                frames.append((lines[at][: lines[at].rindex("(")], place[1], int(place[2])))
            at += 2
        goid = int(match[1])
        found[goid] = Dumped(
            goid,
            state.removesuffix(" (scan)"),
            "locked to thread" in flags,
            {_unquoted(key): _unquoted(value) for key, value in _LABEL.findall(match[3] or match[5] or "")},
            tuple(frames),
            created,
            parent,
        )
    return found


def build(go: twins_of.Toolchain, flavour: str, folder: Path) -> Path:
    """Return the program, built by a toolchain in one flavour."""
    flags, linker, cgo = FLAVOURS[flavour]
    output = folder / f"goroutines-{go.version}-{flavour}"
    command = [str(go.goroot / "bin" / "go"), "build", *flags, f"-ldflags={linker}", "-o", str(output), "."]
    environment = {
        **os.environ, "GOROOT": str(go.goroot), "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOPROXY": "off",
        "CGO_ENABLED": "1" if cgo else "0",
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=SOURCE, env=environment, check=False, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")
    return output


class Target:
    """The running program."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def say(self, command: str) -> None:
        """Give it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def line(self) -> str:
        """Return its next line."""
        assert self._process.stdout is not None
        found = self._process.stdout.readline().decode()
        if not found:
            raise AssertionError("the program has ended")
        return found.strip()

    def dump(self) -> dict[int, Dumped]:
        """Return its goroutines as it dumps them itself."""
        self.say("dump")
        word, size = self.line().split()
        assert word == "dump"
        assert self._process.stdout is not None
        return parse_dump(self._process.stdout.read(int(size)).decode())

    def settle(self) -> dict[int, Dumped]:
        """Return a dump once two in a row are the same but for who dumps."""
        deadline = time.monotonic() + DEADLINE_S
        before = self.dump()
        while time.monotonic() < deadline:
            after = self.dump()
            busy = {goid for goid in before.keys() | after.keys() if before.get(goid) != after.get(goid)}
            if not busy and all(
                one.state not in {"runnable", "running"} or _is_dumper(one) for one in after.values()
            ):
                return after
            before = after
        raise AssertionError(
            f"goroutines do not settle: {[after[goid] for goid in busy if goid in after][:5]}"
        )


@contextmanager
def launched(
    program: Path, *arguments: str, environment: dict[str, str] | None = None, wrap: Sequence[str] = ()
) -> Iterator[Target]:
    """Run the program until the block ends; it is ready when the block begins."""
    started = {**os.environ, "GODEBUG": "tracebacklabels=1", **(environment or {})}
    with subprocess.Popen(
        [*wrap, program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=started
    ) as process:
        try:
            target = Target(process)
            assert target.line() == "ready"
            yield target
        finally:
            process.kill()


def read(pid: int) -> tuple[OpenedProcess, GoroutineLook, dict[int, Goroutine], dict[int, tuple[Frame, ...]]]:
    """Return what leadline reads: the process, the look, its goroutines, and their whole stacks, by number."""
    host = LiveHost()
    process = open_process(host, pid)
    look = take_look(process)
    _, goroutines, _ = runtime_evidence(host, process, look)
    stacks: dict[int, tuple[Frame, ...]] = {}
    for one in goroutines:
        index = look.index_of_goid(one.goid)
        assert index is not None
        stack = int(look.stack_of[index])
        stacks[one.goid] = (
            tuple((frame.function, frame.file or "", frame.line or 0) for frame in look.frames(stack))
            if stack >= 0
            else ()
        )
    return process, look, {one.goid: one for one in goroutines}, stacks


def compared(
    before: dict[int, Dumped],
    after: dict[int, Dumped],
    goroutines: dict[int, Goroutine],
    stacks: dict[int, tuple[Frame, ...]],
    *,
    has_labels: bool,
) -> Comparison:
    """Return how goroutines that were read agree with two dumps around the reading."""
    result = Comparison()
    for goid in sorted(before.keys() | after.keys()):
        one = before.get(goid)
        if one is None or after.get(goid) != one:
            result.moved.append(one or after[goid])
            continue
        if _is_dumper(one):
            result.moved.append(one)
            continue
        result.compared += 1
        result.states[one.state] = result.states.get(one.state, 0) + 1
        mine = goroutines.get(goid)
        if mine is None:
            result.different.append(f"goroutine {goid} [{one.state}] is missing")
            continue
        creator = mine.created_by
        pairs = {
            "state": (one.state, mine.state),
            "locked": (one.is_locked, mine.is_locked),
            "parent": (one.parent, mine.parent_goid if one.created_by else None),
            "creator": (
                one.created_by,
                None if creator is None else (creator.function, creator.file, creator.line),
            ),
            "frames": (one.frames, _as_printed(stacks[goid])),
        }
        if has_labels:
            pairs["labels"] = (one.labels, mine.labels)
        result.different += [
            f"goroutine {goid} [{one.state}] {what}: Go {theirs}, leadline {ours}"
            for what, (theirs, ours) in pairs.items()
            if theirs != ours
        ]
    known = before.keys() | after.keys()
    result.unknown = [one for goid, one in goroutines.items() if goid not in known]
    return result


def _as_printed(frames: tuple[Frame, ...]) -> tuple[Frame | None, ...]:
    if len(frames) <= 2 * _PRINTED_FRAMES:
        return frames
    return (*frames[:_PRINTED_FRAMES], None, *frames[-_PRINTED_FRAMES:])


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    found = json.loads(text)
    assert isinstance(found, str)
    return found


def _is_dumper(one: Dumped) -> bool:
    return any(frame is not None and frame[0] == "main.dump" for frame in one.frames)
