"""Decode of 50,000 TCP sockets, beside ``ss -tin`` on the same sockets in the same run.

    sudo .venv/bin/python benchmarks/bench_sockets.py

Workload: child processes hold 25,000 loopback connections (50,000 sockets; a process may hold 20,000 descriptors here).
Pairs of runs alternate (leadline first, then ss first), medians are compared. Both tools write or keep everything: ``ss``
writes to /dev/null, leadline keeps evidence records of every socket.

- *census of one process*: all sockets fetched, the 200 of one process decoded (what ``leadline trace`` does);
- *all columns*: all sockets fetched, all numeric fields of all of them decoded (30 columns);
- *all records*: all sockets fetched and made into 50,000 Python records with all fields and addresses as text. That is
  what a target with 50,000 sockets of its own costs; the time goes into making two million Python objects.

The goal is about decoding, so it is judged by *all columns*.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from bench_census import alternating, print_table
from leadline.formats.sockdiag import ALL_STATES, ANY_FAMILY, INET_EXTENSIONS, SocketTable, decode_dump
from leadline.host import LiveHost

GOAL_RATIO = 0.5
CONNECTIONS_PER_PROCESS = 4_500
WITHOUT_DESCRIPTOR = 1 << 6 | 1 << 3 | 1 << 12


def hold(connections: int, pipe: Connection) -> None:
    """Hold both ends of connections until the pipe closes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    held = []
    for number in range(connections):
        client = socket.socket()
        # Spread over addresses: one pair of addresses has 28,000 free ports only.
        client.bind((f"127.0.{os.getpid() % 250 + 1}.{number % 200 + 1}", 0))
        client.connect(listener.getsockname())
        held += [client, listener.accept()[0]]
    pipe.send([os.fstat(end.fileno()).st_ino for end in held[:200]])
    pipe.poll(None)


def fetch(host: LiveHost) -> SocketTable:
    """Return the TCP sockets of both families."""
    states = ALL_STATES & ~WITHOUT_DESCRIPTOR
    return decode_dump(host.sock_diag(0, ANY_FAMILY, socket.IPPROTO_TCP, states, INET_EXTENSIONS), "tcp")


def all_columns(table: SocketTable) -> int:
    """Decode every numeric field; return their number."""
    return len(table.numbers) + len(table.state_counts())


def main() -> int:
    """Run the benchmark and print its table; 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sockets", type=int, default=50_000)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    children, inodes = [], []
    left = options.sockets // 2
    while left > 0:
        ours, theirs = mp.Pipe()
        child = mp.Process(target=hold, args=(min(left, CONNECTIONS_PER_PROCESS), theirs), daemon=True)
        child.start()
        theirs.close()
        children.append((child, ours))
        left -= CONNECTIONS_PER_PROCESS
    try:
        for child, pipe in children:
            while not pipe.poll(1):
                if not child.is_alive():
                    raise SystemExit("a process that should hold sockets ended")
            inodes = pipe.recv()
        return report(inodes, options.pairs)
    finally:
        for child, pipe in children:
            pipe.close()
            child.terminate()
            child.join()


def report(inodes: list[int], pairs: int) -> int:
    """Measure and print."""
    host = LiveHost()
    jobs: dict[str, Callable[[], object]] = {
        "ss -tin": lambda: subprocess.run(["ss", "-tin"], stdout=subprocess.DEVNULL, check=True),
        "census of one process": lambda: fetch(host).of_inodes(inodes).records(),
        "all columns": lambda: all_columns(fetch(host)),
        "all records": lambda: fetch(host).records(),
    }
    count = len(fetch(host))
    times = alternating(jobs, pairs)
    print(f"{count} TCP sockets, {pairs} alternating rounds, {platform.machine()}, {os.cpu_count()} CPUs")
    print(f"Linux {platform.release()}, Python {platform.python_version()}")
    print_table(times)
    ratios = {name: median_ratio(values, times["ss -tin"]) for name, values in times.items()}
    for name, (wall, cpu) in ratios.items():
        print(
            f"{name:24}{wall:6.2f} x the time of ss -tin,{cpu:6.2f} x its CPU time (medians of the rounds' ratios)"
        )
    ratio = ratios["all columns"][0]
    print(
        f"goal: all columns at most {GOAL_RATIO} x ss -tin: {'met' if ratio <= GOAL_RATIO else 'MISSED'} ({ratio:.2f})"
    )
    return 0 if ratio <= GOAL_RATIO else 3


def median_ratio(
    values: list[tuple[float, float]], reference: list[tuple[float, float]]
) -> tuple[float, float]:
    """Return the medians over the rounds of (wall, CPU) as multiples of the reference in the same round."""
    pairs = list(zip(values, reference, strict=True))
    return (
        statistics.median(mine[0] / other[0] for mine, other in pairs),
        statistics.median(mine[1] / other[1] for mine, other in pairs),
    )


if __name__ == "__main__":
    raise SystemExit(main())
