"""What keeps connections reachable: time and memory of a search of a heap of 300 MB, and what it costs the service.

    .venv/bin/python benchmarks/bench_retention.py

Workload: a stripped Go service with small records that point to each other (a map of all of them, a list through all of them),
until its heap is as large; 64 connections hang on some, and nobody works with them. Another process asks it for a page
every 2 ms. In turn: leadline opens the service and searches its heap for up to 64 of its sockets, in a process of its own,
which tells its peak of resident memory; for as long nobody looks, which is the noise of the machine. The worst answers are
compared as medians of the rounds. The second case has dropped connections too, which takes two searches, and connections at
the end of a list of 20,000 nodes.
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
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import symbol_twins as twins_of
from bench_runtime import SOURCE as PINGER_SOURCE
from bench_runtime import Latency, Pinger
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime.heap_index import build_index
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.process import open_process
from leadline.probes.snapshot_runtime.retention import retain

SOURCE = Path(__file__).resolve().parent / "workload" / "heap"
HEAP_BYTES = 300_000_000
CONNECTIONS = 64
MAX_SEARCHED = 64
"""As many as ``leadline trace`` asks for at once."""
GOAL_S = 3.0
GOAL_RSS_BYTES = 1 << 30
GOAL_LATENCY_NS = 2_000_000
ROUNDS = 3
CASES = {"forgotten": ("forgotten",), "forgotten, dropped, in a list": ("forgotten", "dropped", "listed")}


def search(pid: int) -> None:
    """Print what one search took, as JSON: the child process."""
    host = LiveHost()
    begin = time.perf_counter()
    process = open_process(host, pid)
    fds = [link.fd for link in host.fd_links(pid) if link.name.startswith("socket:")]
    fds = fds[:: len(fds) // MAX_SEARCHED + 1]
    found = retain(process, take_look(process), fds)
    whole = time.perf_counter() - begin
    answer = {
        "whole": whole,
        "cpu": time.process_time(),
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        "fds": len(fds),
        "verdicts": Counter(one.verdict for one in found),
        "scanned": max(one.scanned_bytes or 0 for one in found),
        "pointers": build_index(process).pointer_count,
    }
    print(json.dumps(answer))


def build(folder: Path) -> tuple[Path, Path]:
    """Return the service and the pinger, stripped."""
    go = twins_of.installed_go()
    if go is None:
        raise SystemExit("no Go toolchain here; install Go 1.21 or later")
    print(f"go{go.version}, {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
    programs = []
    for source in (SOURCE, PINGER_SOURCE):
        programs.append(folder / source.name)
        command = [str(go.goroot / "bin" / "go"), "build", "-ldflags=-s -w", "-o", str(programs[-1]), "."]
        subprocess.run(command, cwd=source, env=environment, check=True, timeout=600)
    return programs[0], programs[1]


def measure(name: str, kinds: tuple[str, ...], program: Path, pinger_program: Path) -> bool:
    """Print one block; return whether the goals are met."""
    service = subprocess.Popen(
        [program, str(HEAP_BYTES), str(CONNECTIONS), *kinds],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    url, size = (service.stdout.readline() if service.stdout else "").split()
    pinger = Pinger(pinger_program, url)
    try:
        time.sleep(2)
        pinger.phase()
        quiet, during, answers = [], [], []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            command = [sys.executable, __file__, "--search", str(service.pid)]
            answers.append(
                json.loads(subprocess.run(command, check=True, capture_output=True, timeout=600).stdout)
            )
            during.append(pinger.phase())
            time.sleep(time.perf_counter() - begin)
            quiet.append(pinger.phase())
    finally:
        pinger.close()
        service.kill()
        service.communicate()
    return report(f"{name}, heap of {int(size) / 1e6:.0f} MB", answers, quiet, during)


def report(name: str, answers: list[dict[str, float]], quiet: list[Latency], during: list[Latency]) -> bool:
    """Print what was measured; return whether the goals are met."""
    noise, worst = (statistics.median(one.worst for one in phase) for phase in (quiet, during))
    last = answers[-1]
    whole = statistics.median(one["whole"] for one in answers)
    rss = max(one["rss"] for one in answers)
    print(f"\n{name}: {last['fds']} sockets, {last['verdicts']}\n")
    rows = [
        (
            "opening and search",
            f"{whole * 1e3:8.0f} ms, worst {max(one['whole'] for one in answers) * 1e3:.0f} ms",
        ),
        ("memory searched", f"{last['scanned'] / 2**20:8.0f} MiB"),
        ("pointers found", f"{last['pointers']:8.0f}"),
        ("peak of resident memory", f"{rss / 2**20:8.0f} MiB"),
    ]
    for what, value in rows:
        print(f"{what:36}{value}")
    print(f"\n{'answers of the service':36}{'count':>8}{'median ms':>11}{'p99 ms':>9}{'worst ms':>10}")
    for what, phases in (("nobody looks", quiet), ("leadline searches", during)):
        for one in phases:
            print(
                f"{what:36}{one.count:8}{one.median / 1e6:11.2f}{one.p99 / 1e6:9.2f}{one.worst / 1e6:10.2f}"
            )
    goals = [
        (f"opening and search in {GOAL_S:.0f} s", whole <= GOAL_S, f"{whole:.2f} s"),
        (
            f"worst answer {GOAL_LATENCY_NS / 1e6:.0f} ms above noise",
            worst - noise <= GOAL_LATENCY_NS,
            f"{(worst - noise) / 1e6:+.2f} ms",
        ),
        (f"resident memory {GOAL_RSS_BYTES >> 30} GiB", rss <= GOAL_RSS_BYTES, f"{rss / 2**20:.0f} MiB"),
    ]
    print()
    for what, is_met, value in goals:
        print(f"goal: {what}: {'met' if is_met else 'MISSED'} ({value})")
    return all(is_met for _, is_met, _ in goals)


def main() -> int:
    """Run the benchmark and print its tables; 3 when a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--search", type=int, metavar="PID", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        search(options.search)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        program, pinger = build(Path(folder))
        results = [measure(name, kinds, program, pinger) for name, kinds in CASES.items()]
    return 0 if all(results) else 3


if __name__ == "__main__":
    raise SystemExit(main())
