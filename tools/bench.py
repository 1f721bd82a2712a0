"""Run the benchmarks and keep what they print, with the machine described, in ``benchmarks/results``.

python tools/bench.py              all of them
python tools/bench.py sockets      benchmarks/bench_sockets.py only; further arguments are passed on
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
import sys
from pathlib import Path

from leadline import __version__

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
DEADLINE_S = 3600
GOAL_MISSED = 3


def machine() -> str:
    """Return the machine in one Markdown list: what a reader needs to compare figures."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")),
        "?",
    )
    memory_kib = next(
        int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line
    )
    facts = {
        "day": dt.datetime.now(dt.UTC).date().isoformat(),
        "leadline": __version__,
        "CPU": f"{os.cpu_count()} x {model}",
        "memory": f"{memory_kib / (1 << 20):.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "load at the start": f"{os.getloadavg()[0]:.1f}",
    }
    return "".join(f"- {name}: {value}\n" for name, value in facts.items())


def run(script: Path, arguments: list[str]) -> bool:
    """Run one benchmark, show what it prints, and keep it; return whether it ended well."""
    subject = script.stem.removeprefix("bench_")
    print(f"== {subject}", flush=True)
    header = f"# {subject}\n\n{machine()}\nWritten by `make bench` from `benchmarks/{script.name}`.\n\n"
    command = [sys.executable, str(script), *arguments]
    lines: list[str] = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None  # noqa: S101  given above
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    status = process.wait(timeout=DEADLINE_S)
    if status not in (0, GOAL_MISSED):
        print(f"bench: {script.name} ended with {status}; its results are not kept", file=sys.stderr)
        return False
    results = BENCHMARKS / "results"
    results.mkdir(exist_ok=True)
    (results / f"{subject}.md").write_text(header + "".join(lines).strip() + "\n")
    if status == GOAL_MISSED:
        print(f"bench: {subject} missed a goal; the results are kept all the same", file=sys.stderr)
    return status == 0


def main() -> int:
    """Run what was asked for; exit 1 when one failed."""
    wanted, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("*", [])
    scripts = sorted(BENCHMARKS.glob(f"bench_{wanted}.py"))
    if not scripts:
        print(f"bench: there is no benchmarks/bench_{wanted}.py", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("bench: without root only the decoders can be measured: sudo make bench", file=sys.stderr)
    return 0 if all([run(script, arguments) for script in scripts]) else 1  # noqa: C419  each must run


if __name__ == "__main__":
    sys.exit(main())
