"""Record lab programs as case files, for the tests of the rules on real evidence.

Needs root. Programs are built with ``-trimpath`` in a folder of neutral name, and what tells of the recording machine (control
group, name of the boot's mounts) is replaced. ``record_cases.py NAME ...`` records some again; without names, all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUNDLES = ROOT / "tests" / "fixtures" / "bundles"
CACHE = Path("/tmp/leadline-lab")  # noqa: S108  its name is part of the recorded paths
NAMES = (
    "http-body-leak",
    "accept-leak",
    "file-error-path",
    "pipe-leak",
    "dup-leak",
    "silent-clients",
    "near-limit",
    "emfile",
    "double-close",
    "close-others",
    "keepalive-pool",
    "batch-open-close",
    "fd-cache",
    "sql-pool",
)
"""Descriptors: programs that do what they do a known number of times, recorded into ``lab``."""
RUNTIME = (
    "https-body-leak",
    "transport-per-request",
    "half-body-clients",
    "hijacked-after-shutdown",
    "silent-tls",
    "tls-handshake-leak",
    "stuck-reader",
    "forgotten-in-map",
    "dropped-conns",
    "close-wait-ignored",
    "recover-no-close",
    "dup-outlives-close",
    "blocking-mode",
    "sql-pool-starved",
    "orphan-senders",
    "lock-cycle",
    "runnable-pile-up",
    "pinned-threads",
    "idle-websockets",
    "chat-server",
    "pipeline",
    "sse-server",
    "sql-pool-busy",
    "cpu-bursts",
)
"""The Go runtime: programs that go on until they are stopped, recorded into ``runtime``."""


def record(name: str, folder: str) -> None:
    """Run one program under trace and write its case file."""
    from leadline import lab  # noqa: PLC0415  found only after the path is set
    from leadline.lab.build import Flavour  # noqa: PLC0415

    program = lab.find(name)
    path = BUNDLES / folder / f"{name}.leadline"
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = program.endless if folder == "runtime" else ()
    with lab.start(name, arguments, hold=True, flavour=Flavour(trimpath=True)) as running:
        duration = f"{program.trace_s:g}s"
        command = [
            sys.executable,
            "-m",
            "leadline",
            "trace",
            str(running.pid),
            "-d",
            duration,
            "-o",
            str(path),
        ]
        trace = subprocess.Popen(
            [*command, "--force", "--exit-zero", "--json", *program.watch],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert trace.stderr is not None  # noqa: S101  Popen was asked for a pipe
        trace.stderr.readline()
        running.go()
        _, errors = trace.communicate(timeout=program.trace_s + 60)
    if trace.returncode != 0:
        raise SystemExit(f"{name}: {errors}")
    neutralise(path)
    print(f"{name}: {path.stat().st_size} bytes")


def neutralise(path: Path) -> None:
    """Replace what tells of the recording machine."""
    import msgspec  # noqa: PLC0415

    from leadline.app.cases import read_case  # noqa: PLC0415
    from leadline.evidence import Evidence  # noqa: PLC0415
    from leadline.evidence.bundle import encode_bundle  # noqa: PLC0415
    from leadline.evidence.kinds import KINDS, CgroupState, ProcessInfo  # noqa: PLC0415

    evidence, kept = read_case(path), Evidence()
    for name in evidence.observed():
        kind = KINDS[name]
        records = list(evidence.all(kind))
        if kind is ProcessInfo:
            records = [msgspec.structs.replace(one, cgroup_path="/lab") for one in records]
        elif kind is CgroupState:
            records = [msgspec.structs.replace(one, path="/lab") for one in records]
        kept.put_all(kind, records)
    path.write_bytes(encode_bundle(kept))


def main() -> None:
    """Record the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[*NAMES, *RUNTIME], help="lab programs")
    names = parser.parse_args().names
    os.environ["LEADLINE_CACHE_DIR"] = str(CACHE)
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    sys.path.insert(0, str(ROOT / "src"))
    for name in names:
        record(name, "runtime" if name in RUNTIME else "lab")


if __name__ == "__main__":
    main()
