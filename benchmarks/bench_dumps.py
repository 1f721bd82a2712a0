"""A goroutine dump of 100 MB: time and memory until it is grouped and judged.

    .venv/bin/python benchmarks/bench_dumps.py

The dump is one that a real program wrote, repeated with new goroutine numbers until it has 100 MB. The whole command
``leadline dump FILE --json`` is timed in a process of its own, which includes the start of Python.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "tests" / "fixtures" / "dumps" / "go1.27-debug2.txt"
SIZE_BYTES = 100_000_000
GOAL_S = 5.0
ROUNDS = 3


def write_dump(path: Path) -> int:
    """Write the dump and return how many goroutines it has."""
    blocks = [block for block in SAMPLE.read_text().split("\n\n") if block.startswith("goroutine ")]
    parts = [re.split(r"(?<=^goroutine )\d+", block, maxsplit=1) for block in blocks]
    count = size = 0
    with path.open("w") as stream:
        while size < SIZE_BYTES:
            for before, after in parts:
                count += 1
                size += stream.write(f"{before}{count}{after}\n\n")
    return count


def main() -> int:
    """Measure and print; return 3 when the goal was missed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump.txt"
        goroutines = write_dump(path)
        times = []
        for _ in range(ROUNDS):
            begun = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "leadline", "dump", str(path), "--json", "--exit-zero"],
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                stdout=subprocess.PIPE,
                check=True,
            )
            times.append(time.monotonic() - begun)
    told = json.loads(done.stdout)
    seen = sum(group["count"] for group in told["groups"])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    middle = statistics.median(times)
    print(f"dump of {SIZE_BYTES / 1e6:.0f} MB, {goroutines:,} goroutines, {len(told['groups'])} groups")
    print(f"goroutines found                        {seen:>10,}")
    print(f"whole command, median of {ROUNDS}              {middle:>10.2f} s, worst {max(times):.2f} s")
    print(f"peak of resident memory                 {peak:>10,} MiB")
    is_met = middle <= GOAL_S and seen == goroutines
    print(f"\ngoal: grouped and judged in {GOAL_S:g} s: {'met' if is_met else 'MISSED'} ({middle:.2f} s)")
    return 0 if is_met else 3


if __name__ == "__main__":
    raise SystemExit(main())
