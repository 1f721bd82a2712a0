"""Census of 18,000 descriptors of one process: kinds, inodes, names, families of sockets.

    .venv/bin/python benchmarks/bench_census.py

Workload: one child process that holds 9,000 unix sockets, 6,000 TCP sockets, 2,000 pipes' ends and 1,000 files. Measured
is the whole of ``snapshot_descriptors`` until the evidence is made, by the kernel's iterator and by the way that needs no
rights (proc and socket dumps), beside ``ls -l /proc/PID/fd``, which shows less, and ``lsof -p`` where installed. CPU is
user + system time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, TimelineSample
from leadline.host import LiveHost
from leadline.model import NotPermitted
from leadline.probes.snapshot_descriptors import PROBE

GOAL_S = 0.1


def hold(count: int, pipe: Connection) -> None:
    """Hold descriptors of several kinds until the pipe closes."""
    held: list[object] = []
    for _ in range(count // 4):
        held += socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    for _ in range(count // 6):
        held += [socket.create_connection(listener.getsockname()), listener.accept()[0]]
    for _ in range(count // 18):
        held += os.pipe()
    held += [os.open("/dev/null", os.O_RDONLY) for _ in range(count // 36)]
    held += [os.open(__file__, os.O_RDONLY) for _ in range(count // 36)]
    pipe.send(len(list(Path("/proc/self/fd").iterdir())) - 1)
    pipe.poll(None)


class WithoutBpf(LiveHost):
    """The machine as an ordinary user meets it: no iterator, so proc and socket dumps must do."""

    def bpf(self) -> NoReturn:
        raise NotPermitted("switched off for comparison")


def census(host: LiveHost, pid: int) -> Evidence:
    """Return the evidence of one look."""
    evidence = Evidence()
    PROBE.begin(host, pid, evidence).finish(evidence)
    return evidence


def main() -> int:
    """Run the benchmark and print its table; 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--descriptors", type=int, default=18_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ours, theirs = mp.Pipe()
    child = mp.Process(target=hold, args=(options.descriptors, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        expected = ours.recv()
        return report(child.pid or 0, expected, options.rounds)
    finally:
        ours.close()
        child.terminate()
        child.join()


def alternating(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return (wall, CPU) seconds of each job; the order is turned round each time."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name in list(jobs) if number % 2 else list(reversed(jobs)):
            before, began = cpu_s(), time.perf_counter()
            jobs[name]()
            times[name].append((time.perf_counter() - began, cpu_s() - before))
    return times


def cpu_s() -> float:
    """Return user + system time of this process and of its children that ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def print_table(times: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians of wall and CPU time, and the fastest and slowest wall time."""
    print(f"{'':24}{'median':>10}{'CPU':>10}{'min':>10}{'max':>10}")
    for name, values in times.items():
        walls = [wall for wall, _ in values]
        cpu = statistics.median(used for _, used in values)
        print(f"{name:24}{statistics.median(walls):9.3f}s{cpu:9.3f}s{min(walls):9.3f}s{max(walls):9.3f}s")


def report(pid: int, expected: int, rounds: int) -> int:
    """Measure and print."""
    host = LiveHost()
    jobs: dict[str, Callable[[], object]] = {
        "leadline census": partial(census, host, pid),
        "the same, from proc": partial(census, WithoutBpf(), pid),
    }
    tools = {"ls -l": ["ls", "-l", f"/proc/{pid}/fd"], "lsof -p": ["lsof", "-n", "-P", "-p", str(pid)]}
    for name, command in tools.items():
        if shutil.which(command[0]):
            jobs[name] = partial(subprocess.run, command, stdout=subprocess.DEVNULL, check=True)
    found = census(host, pid)
    assert len(found.all(Descriptor)) == expected, (len(found.all(Descriptor)), expected)
    times = alternating(jobs, rounds)
    print(f"{expected} descriptors, {rounds} alternating rounds, {platform.machine()}, {os.cpu_count()} CPUs")
    print(
        f"Linux {platform.release()}, Python {platform.python_version()}; {found.all(TimelineSample)[0].by_kind}"
    )
    print_table(times)
    median = statistics.median(wall for wall, _ in times["leadline census"])
    print(f"goal: at most {GOAL_S} s: {'met' if median <= GOAL_S else 'MISSED'} ({median:.3f} s)")
    return 0 if median <= GOAL_S else 3


if __name__ == "__main__":
    raise SystemExit(main())
