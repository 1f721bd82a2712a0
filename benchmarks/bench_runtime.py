"""Goroutines of a running process: time and memory of a look at 10,000 and 100,000, and what it costs the service.

    .venv/bin/python benchmarks/bench_runtime.py

Workload: a stripped Go service with that many goroutines parked in five ways on stacks of different depths, up to 2,000 of
them on descriptors. Another process asks it for a page every 2 ms over one connection. In turn: leadline looks and makes
evidence, many passes, in a process of its own, which tells its peak of resident memory; for as long nobody looks, which is
the noise of the machine; at last two ``debug=2`` dumps are fetched. The worst answers are compared, as medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import symbol_twins as twins_of
from leadline.host import LiveHost, step_aside
from leadline.probes.snapshot_runtime.evidence import runtime_evidence
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.process import open_process

SOURCE = Path(__file__).resolve().parent / "workload" / "goroutines"
PASSES = {10_000: 12, 100_000: 4}
GOAL_S = {10_000: 0.25, 100_000: 1.5}
GOAL_RSS_BYTES = 300 << 20
GOAL_LATENCY_NS = 2_000_000
ROUNDS = 5


@dataclass
class Dumps:
    """What the ``debug=2`` dumps took; the answers meanwhile."""

    seconds: float
    size_bytes: int
    answers: Latency


@dataclass
class Latency:
    """Answers of the service in one phase, in ns."""

    count: int
    worst: int
    p99: int
    median: int


class Pinger:
    """Asks the service all the time, in a process of its own."""

    def __init__(self, program: Path, url: str) -> None:
        self._process = subprocess.Popen(
            [program, "ping", f"{url}/ping"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def phase(self) -> Latency:
        """Return the answers since the last call."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("the pinger has no pipes")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Latency(*(int(word) for word in self._process.stdout.readline().split()))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def look(pid: int, passes: int) -> None:
    """Print what looking took, as JSON: the child process."""
    host = LiveHost()
    begin = time.perf_counter()
    step_aside()  # as every command does
    process = open_process(host, pid)
    opened = time.perf_counter() - begin
    looks, whole, first = [], [], None
    for _ in range(passes):
        begin = time.perf_counter()
        found = take_look(process)
        looked = time.perf_counter()
        _, goroutines, stacks = runtime_evidence(host, process, found, first)
        whole.append(time.perf_counter() - begin)
        looks.append(looked - begin)
        answer = {
            "bytes": found.bytes_read, "goroutines": len(goroutines), "stacks": len(stacks),
            "unstable": int((~found.is_stable).sum()),
        }  # fmt: skip
        first = first or found.moment()
        del found, goroutines, stacks
    print(
        json.dumps(
            {
                **answer,
                "open": opened,
                "look": statistics.median(looks),
                "whole": statistics.median(whole),
                "worst": max(whole),
                "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
            }
        )
    )


def build(folder: Path) -> Path:
    """Return the service, stripped."""
    go = twins_of.installed_go()
    if go is None:
        raise SystemExit("no Go toolchain here; install Go 1.21 or later")
    print(f"go{go.version}, {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    program = folder / "service"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
    command = [str(go.goroot / "bin" / "go"), "build", "-ldflags=-s -w", "-o", str(program), "."]
    subprocess.run(command, cwd=SOURCE, env=environment, check=True, timeout=600)
    return program


def measure(program: Path, count: int) -> bool:
    """Print one block for that many goroutines; return whether the goals are met."""
    service = subprocess.Popen([program, "serve", str(count)], stdout=subprocess.PIPE, text=True)
    url = service.stdout.readline().strip() if service.stdout else ""
    pinger = Pinger(program, url)
    try:
        time.sleep(2)
        pinger.phase()
        quiet, during = [], []
        command = [sys.executable, __file__, "--look", str(service.pid), str(PASSES[count])]
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            answer = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=600).stdout)
            during.append(pinger.phase())
            time.sleep(time.perf_counter() - begin)
            quiet.append(pinger.phase())
        begin = time.perf_counter()
        for _ in range(2):
            with urllib.request.urlopen(f"{url}/debug/pprof/goroutine?debug=2", timeout=600) as reply:
                size = len(reply.read())
        dump_s = (time.perf_counter() - begin) / 2
        dumps = Dumps(dump_s, size, pinger.phase())
    finally:
        pinger.close()
        service.kill()
        service.communicate()
    return report(count, answer, quiet, during, dumps)


def report(
    count: int,
    answer: dict[str, float],
    quiet: list[Latency],
    during: list[Latency],
    dumps: Dumps,
) -> bool:
    """Print what was measured; return whether the goals are met."""
    noise, worst = (statistics.median(one.worst for one in phase) for phase in (quiet, during))
    shape = f"{answer['stacks']:.0f} different stacks, {answer['unstable']:.0f} not stable"
    print(f"\n{answer['goroutines']:,.0f} goroutines, {shape}\n")
    rows = [
        ("opening the process", f"{answer['open'] * 1e3:8.0f} ms"),
        ("look", f"{answer['look'] * 1e3:8.0f} ms"),
        ("look and evidence", f"{answer['whole'] * 1e3:8.0f} ms, worst {answer['worst'] * 1e3:.0f} ms"),
        ("bytes read of the target by a look", f"{answer['bytes'] / 2**20:8.0f} MiB"),
        ("peak of resident memory", f"{answer['rss'] / 2**20:8.0f} MiB"),
        ("one debug=2 dump", f"{dumps.seconds * 1e3:8.0f} ms, {dumps.size_bytes / 2**20:.1f} MiB"),
    ]
    for name, value in rows:
        print(f"{name:36}{value}")
    print(f"\n{'answers of the service':36}{'count':>8}{'median ms':>11}{'p99 ms':>9}{'worst ms':>10}")
    phases = [("nobody looks", one) for one in quiet] + [("leadline looks", one) for one in during]
    for name, one in [*phases, ("two debug=2 dumps", dumps.answers)]:
        print(f"{name:36}{one.count:8}{one.median / 1e6:11.2f}{one.p99 / 1e6:9.2f}{one.worst / 1e6:10.2f}")
    goals = [
        (
            f"look and evidence in {GOAL_S[count]} s",
            answer["whole"] <= GOAL_S[count],
            f"{answer['whole']:.3f} s",
        ),
        (
            f"worst answer {GOAL_LATENCY_NS / 1e6:.0f} ms above noise",
            worst - noise <= GOAL_LATENCY_NS,
            f"{(worst - noise) / 1e6:+.2f} ms",
        ),
        (
            f"resident memory {GOAL_RSS_BYTES >> 20} MiB",
            answer["rss"] <= GOAL_RSS_BYTES,
            f"{answer['rss'] / 2**20:.0f} MiB",
        ),
    ]
    print()
    for name, is_met, value in goals:
        print(f"goal: {name}: {'met' if is_met else 'MISSED'} ({value})")
    return all(is_met for _, is_met, _ in goals)


def main() -> int:
    """Run the benchmark and print its tables; 3 when a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000], choices=[10_000, 100_000])
    parser.add_argument("--look", type=int, nargs=2, metavar=("PID", "PASSES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look:
        look(*options.look)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        results = [measure(program, count) for count in options.counts]
    return 0 if all(results) else 3


if __name__ == "__main__":
    raise SystemExit(main())
