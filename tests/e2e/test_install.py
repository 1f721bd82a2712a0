"""The wheel alone is enough: installed into an empty environment, with no compiler and no BPF tools on the path, it traces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from house.files import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DEADLINE_S = 600


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the scripts of an environment that holds the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("install")
    scripts = folder / "venv" / "bin"
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)])
    _run([sys.executable, "-m", "venv", str(folder / "venv")])
    (wheel,) = folder.glob("*.whl")
    constraints = str(ROOT / "constraints.txt")
    _run(
        [
            str(scripts / "pip"),
            "install",
            "--quiet",
            "--constraint",
            constraints,
            "--only-binary",
            ":all:",
            str(wheel),
        ]
    )
    return scripts


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, f"{command[:4]}: {done.stdout[-1000:]}{done.stderr[-2000:]}"


@pytest.fixture
def target() -> Iterator[int]:
    """Return the pid of a process that opens a file every 10 ms and closes it."""
    program = (
        "import time\nprint(flush=True)\nwhile True:\n    open('/dev/null').close()\n    time.sleep(0.01)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout and process.stdout.close()


def leadline(scripts: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command with nothing but itself on the path."""
    environment = {"PATH": str(scripts), "HOME": str(folder), "LANG": os.environ.get("LANG", "C.UTF-8")}
    command = [str(scripts / "leadline"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environment, cwd=folder
    )


def test_it_knows_its_version_and_commands(installed: Path, tmp_path: Path) -> None:
    assert leadline(installed, "--version", folder=tmp_path).stdout.startswith("leadline 0.")
    for arguments in (["--help"], ["list", "rules"], ["explain", "FDL101"], ["lab", "list"]):
        done = leadline(installed, *arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


@pytest.mark.live
def test_it_traces_by_bpf(installed: Path, tmp_path: Path, target: int) -> None:
    done = leadline(installed, "trace", str(target), "-d", "3s", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["window"]["mode"] == "bpf", report["gaps"]
    assert report["target"]["pid"] == target
    assert report["self"]["births_seen"] > 50
    assert report["findings"] == []
