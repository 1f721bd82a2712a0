"""The committed BPF blobs are what their sources compile to, bit for bit."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from house import live
from house.files import ROOT, SRC, files

SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/sbin"


def missing() -> list[str]:
    """Return the tools that are needed to build the blobs and are not here, with the way to get them."""
    found = []
    if importlib.util.find_spec("ziglang") is None:
        found.append("ziglang (make bpf installs it)")
    if shutil.which("bpftool", path=SYSTEM_PATH) is None:
        found.append("bpftool (apt-get install bpftool)")
    if not Path("/usr/include/bpf/bpf_helpers.h").exists():
        found.append("libbpf's headers (apt-get install libbpf-dev)")
    return found


def test_blobs_can_be_rebuilt_bit_for_bit() -> None:
    if missing():
        assert not live.must_run(), f"must run here, and cannot without {missing()}"
        pytest.skip(f"cannot rebuild without {', '.join(missing())}")
    command = [sys.executable, str(ROOT / "tools" / "build_bpf.py"), "--check"]
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_every_program_has_its_blob_and_every_blob_its_program() -> None:
    sources = {path.name.removesuffix(".bpf.c") for path in files(".c") if path.is_relative_to(SRC)}
    blobs = {path.name.split(".")[0] for path in files(".lskel")}
    assert sources == blobs
    assert sources
