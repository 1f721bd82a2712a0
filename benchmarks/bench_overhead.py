"""What watching costs the watched: server CPU per request, beside strace and bpftrace doing the same job.

The job is to count births by call and stack, and deaths by close.

Each tool is measured in alternating pairs with nothing attached, on the same server process, with the same number of
requests; the figure is the median of the pairs' ratios. CPU is what the scheduler counts for the server's threads
(schedstat), so it holds what tracing adds inside its system calls. Then leadline's own cost: CPU and memory at 5,000 births
per second, and the time to attach.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from leadline.lab.go_tool import find_go

HERE = Path(__file__).parent
BPFTRACE = """
tracepoint:syscalls:sys_enter_close /pid == PID/ { @closes = count(); delete(@open[args->fd]); }
tracepoint:syscalls:sys_exit_socket,tracepoint:syscalls:sys_exit_accept4,tracepoint:syscalls:sys_exit_accept,
tracepoint:syscalls:sys_exit_openat,tracepoint:syscalls:sys_exit_dup,tracepoint:syscalls:sys_exit_fcntl,
tracepoint:syscalls:sys_exit_pipe2,tracepoint:syscalls:sys_exit_epoll_create1
/pid == PID && args->ret >= 0/ { @births[ustack] = count(); @open[args->ret] = nsecs; }
"""


def build(directory: Path) -> Path:
    """Build the workload, stripped as services are."""
    binary = directory / "workload"
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
    subprocess.run(
        [find_go().path, "build", "-ldflags=-s -w", "-o", str(binary), "."],
        cwd=HERE / "workload",
        env=environment,
        check=True,
    )
    return binary


@contextmanager
def started(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """Start a role of the workload and yield it with its ready line; end it by pid."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process's threads, as the scheduler counts them (a Go server keeps its threads)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def per_request_us(binary: Path, pid: int, url: str, *, requests: int, keep_alive: bool) -> float:
    """Return the server's CPU microseconds per request under load."""
    before = cpu_s(pid)
    flags = ["-keepalive"] if keep_alive else []
    subprocess.run(
        [binary, "-role", "client", "-url", url, "-n", str(requests), *flags],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return (cpu_s(pid) - before) / requests * 1e6


@contextmanager
def tool(command: list[str], *, ready: Callable[[subprocess.Popen[str]], None]) -> Iterator[None]:
    """Run an observer beside the load, from when it has attached, and end it by SIGINT."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        ready(process)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def says(text: str) -> Callable[[subprocess.Popen[str]], None]:
    """Wait until the tool says on stderr that it is attached."""

    def wait(process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if text in line:
                return
        raise SystemExit(f"{process.args!r} ended before it was attached")

    return wait


def observers(pid: int) -> dict[str, tuple[list[str], Callable[[subprocess.Popen[str]], None]]]:
    """Return the tools that are here: name to command and how to know that it has attached."""
    leadline = [sys.executable, "-m", "leadline", "trace", str(pid), "-d", "10m", "--json", "--exit-zero"]
    found = {"leadline": (leadline, says("watching"))}
    if path := shutil.which("strace"):
        found["strace"] = (
            [path, "-f", "-o", "/dev/null", "-e", "trace=%desc,%network", "-p", str(pid)],
            says("attached"),
        )
    if path := shutil.which("bpftrace"):
        script = 'BEGIN { printf("attached\\n"); }' + BPFTRACE.replace("PID", str(pid))
        # tracefs, which it needs, is mounted where only it sees that.
        shell = 'mount -t tracefs nodev /sys/kernel/tracing && exec "$0" -e "$1" >&2'
        found["bpftrace"] = (["unshare", "--mount", "/bin/sh", "-c", shell, path, script], says("attached"))
    return found


def compare(
    binary: Path, *, pairs: int, requests: int, keep_alive: bool
) -> dict[str, tuple[float, float, float]]:
    """Return for each tool: microseconds without, with, and the median ratio of the pairs."""
    results: dict[str, list[tuple[float, float]]] = {}
    with started([str(binary), "-role", "server"]) as (server, line):
        url = str(line["url"])
        per_request_us(binary, server.pid, url, requests=requests, keep_alive=keep_alive)
        for round_number in range(pairs):
            for name, (command, ready) in observers(server.pid).items():
                count = requests // 5 if name == "strace" else requests

                def bare() -> float:
                    return per_request_us(binary, server.pid, url, requests=count, keep_alive=keep_alive)  # noqa: B023  called in this turn

                def watched() -> float:
                    with tool(command, ready=ready):  # noqa: B023
                        return bare()

                pair = (bare(), watched()) if round_number % 2 == 0 else (watched(), bare())[::-1]
                results.setdefault(name, []).append(pair)
    return {
        name: (
            statistics.median(without for without, _ in rows),
            statistics.median(with_ for _, with_ in rows),
            statistics.median(with_ / without for without, with_ in rows),
        )
        for name, rows in results.items()
    }


def own_cost(binary: Path, *, rate: int, seconds: int) -> dict[str, float]:
    """Return what leadline itself used while watching a churn of descriptors, and how long it took to attach."""
    with (
        started([str(binary), "-role", "churn", "-rate", str(rate)]) as (churn, _),
        tempfile.TemporaryDirectory() as directory,
    ):
        report = Path(directory) / "report.json"
        with report.open("w") as out:
            subprocess.run(
                [sys.executable, "-m", "leadline", "trace", str(churn.pid), "-d", f"{seconds}s", "--json", "--exit-zero"],
                stdout=out, stderr=subprocess.DEVNULL, check=True,
            )  # fmt: skip
        own = json.loads(report.read_text())["self"]
    return {
        "cpu_ratio": own["cpu_s"] / seconds,
        "rss_mib": own["rss_bytes"] / (1 << 20),
        "births_per_s": own["births_seen"] / seconds,
        "attach_ms": own["attach_ns"] / 1e6,
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        binary = build(Path(directory))
        print("| load | tool | CPU us per request, alone | watched | ratio (median of pairs) |")
        print("|---|---|---|---|---|")
        for keep_alive, load in ((False, "one connection per request"), (True, "keep-alive")):
            requests = arguments.requests * (3 if keep_alive else 1)
            for name, (without, with_, ratio) in compare(
                binary, pairs=arguments.pairs, requests=requests, keep_alive=keep_alive
            ).items():
                print(f"| {load} | {name} | {without:.1f} | {with_:.1f} | {ratio:.2f} |", flush=True)
        own = own_cost(binary, rate=5000, seconds=arguments.seconds)
        print("\n| leadline's own cost at 5,000 births/s | |\n|---|---|")
        for name, value in own.items():
            print(f"| {name} | {value:.3g} |")


if __name__ == "__main__":
    main()
