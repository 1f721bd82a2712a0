"""``leadline trace`` finds out what is wrong with its arguments before it attaches to anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from house.command import call


@pytest.mark.parametrize("duration", ["30", "0s", "soon", "-5s"])
def test_a_duration_needs_its_unit(capsys: pytest.CaptureFixture[str], duration: str) -> None:
    ran = call(capsys, "trace", os.getpid(), f"--duration={duration}")
    assert ran.status == 2
    assert duration in ran.err
    assert "do: write" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("option", ["-o", "--html", "--pprof", "--flame", "--sarif", "--junit"])
def test_an_existing_file_is_refused_before_the_watch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    ran = call(capsys, "trace", os.getpid(), "-d", "10m", option, kept)
    assert ran.status == 2
    assert "--force" in ran.err
    assert kept.read_text() == "mine"


def test_a_missing_folder_is_refused_before_the_watch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ran = call(capsys, "trace", os.getpid(), "-d", "10m", "-o", tmp_path / "no" / "case.leadline")
    assert ran.status == 2
    assert "no" in ran.err


@pytest.mark.parametrize(
    "target", ["name:no-process-has-this-name", "4194305", "port:99999", "thing:1", "nonsense"]
)
def test_a_target_that_means_nothing_is_an_error_with_a_remedy(
    capsys: pytest.CaptureFixture[str], target: str
) -> None:
    ran = call(capsys, "trace", target, "-d", "10m")
    assert ran.status == 2
    assert ran.err.startswith("leadline: ")
    assert "  do: " in ran.err
