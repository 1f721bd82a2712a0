"""Symbols of Go binaries: time to open, to find a function, to resolve 10,000 distinct addresses; agreement with Go.

    .venv/bin/python benchmarks/bench_symbols.py

Workload: a net/http program built by the installed Go in three forms, each stripped, and the Go compiler itself (the largest
Go binary on most machines). Addresses are chosen at random over the whole text, all distinct, inlined calls expanded, caches
empty. The truth is ``go tool addr2line`` on the unstripped twin (2,000 addresses) and ``runtime.CallersFrames`` inside the
running program (every frame it prints). CPU time is judged: other work on the machine does not change it much.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import symbol_twins as twins_of
from leadline.formats.elfimage import ElfImage
from leadline.formats.gobinary import GoBinary, open_go_binary
from leadline.formats.symbolize import ProcessSymbols

ADDRESSES = 10_000
GOAL_S = 0.5
COMPARED = 2_000
NAME = "net/http.(*Transport).queueForDial"


@dataclass
class Row:
    """Medians of one binary; times in seconds of CPU."""

    name: str
    size_bytes: int
    functions: int
    open_s: float
    find_s: float
    resolve_s: float
    frames: int


def fresh(path: Path) -> GoBinary:
    """Open a binary with empty caches; its pages are in the page cache from before."""
    binary = open_go_binary(ElfImage(twins_of.map_file(path)))
    if binary is None:
        raise SystemExit(f"{path} is not a Go binary")
    return binary


def measure(name: str, path: Path, rounds: int) -> Row:
    """Return medians over the rounds."""
    first = fresh(path)
    functions = first.table.functions()
    choose = random.Random(23)
    addresses = choose.sample(range(functions[0].entry, functions[-1].end), ADDRESSES)
    opens, finds, resolves, frames = [], [], [], 0
    for _ in range(rounds):
        begin = time.process_time()
        binary = fresh(path)
        opened = time.process_time()
        binary.function_offset(NAME)
        found = time.process_time()
        frames = sum(len(binary.table.frames_at(address)) for address in addresses)
        resolves.append(time.process_time() - found)
        opens.append(opened - begin)
        finds.append(found - opened)
    return Row(
        name,
        path.stat().st_size,
        len(functions),
        statistics.median(opens),
        statistics.median(finds),
        statistics.median(resolves),
        frames,
    )


def chains(twins: twins_of.Twins) -> tuple[int, int]:
    """Return how many frames of runtime.CallersFrames agree, of how many."""
    agreed = total = 0
    with twins_of.running(twins.stripped) as (symbols, scenes):
        for scene in scenes:
            ours = twins_of.logical_frames(symbols, scene)
            total += len(scene.frames)
            agreed += sum(mine == told for mine, told in zip(ours, scene.frames, strict=False))
    return agreed, total


def repeated(twins: twins_of.Twins) -> float:
    """Return microseconds for a stack of about 20 addresses that was resolved before."""
    with twins_of.running(twins.stripped) as (symbols, scenes):
        stack = [pc for scene in scenes for pc in scene.pcs][:20]
        return per_stack_us(symbols, stack)


def per_stack_us(symbols: ProcessSymbols, stack: list[int]) -> float:
    """Return CPU microseconds per call once the addresses are known."""
    symbols.resolve(stack)
    begin = time.process_time()
    for _ in range(5_000):
        symbols.resolve(stack)
    return (time.process_time() - begin) / 5_000 * 1e6


def main() -> int:
    """Run the benchmark and print its table; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    go = twins_of.installed_go()
    if go is None:
        raise SystemExit("no Go toolchain here; install Go 1.21 or later")
    print(f"go{go.version}, {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    rows, verdicts = [], []
    with tempfile.TemporaryDirectory() as folder:
        for flavour in ("plain", "trimpath", "pie"):
            twins = twins_of.build(go, flavour, Path(folder) / flavour)
            rows.append(measure(f"net/http, {flavour}, stripped", twins.stripped, options.rounds))
            agreed, differences = twins_of.agreement(twins, count=COMPARED)
            same, told = chains(twins)
            verdicts.append((rows[-1].name, agreed, same, told, repeated(twins)))
            for difference in differences[:5]:
                print(difference)
    compiler = next((go.goroot / "pkg" / "tool").glob("*/compile"), None)
    if compiler is not None:
        rows.append(measure("the Go compiler", compiler, options.rounds))
    return report(rows, verdicts)


def report(rows: list[Row], verdicts: list[tuple[str, int, int, int, float]]) -> int:
    """Print both tables; return 3 when a goal is missed."""
    print(
        f"\n{'binary':28}{'MiB':>7}{'functions':>11}{'open ms':>9}{'find ms':>9}{'10k addr s':>12}{'frames':>8}"
    )
    for row in rows:
        print(
            f"{row.name:28}{row.size_bytes / 2**20:7.1f}{row.functions:11}{row.open_s * 1e3:9.1f}{row.find_s * 1e3:9.1f}"
            f"{row.resolve_s:12.3f}{row.frames:8}"
        )
    print(f"\n{'binary':28}{'addr2line agrees':>18}{'CallersFrames agrees':>22}{'known stack us':>16}")
    for name, agreed, same, told, known_us in verdicts:
        print(f"{name:28}{f'{agreed}/{COMPARED}':>18}{f'{same}/{told}':>22}{known_us:16.1f}")
    slowest = max(row.resolve_s for row in rows)
    right = all(agreed == COMPARED and same == told for _, agreed, same, told, _ in verdicts)
    print(
        f"\ngoal: {ADDRESSES} addresses in {GOAL_S} s: {'met' if slowest <= GOAL_S else 'MISSED'} ({slowest:.3f} s)"
    )
    print(f"goal: full agreement with Go: {'met' if right else 'MISSED'}")
    return 0 if slowest <= GOAL_S and right else 3


if __name__ == "__main__":
    raise SystemExit(main())
