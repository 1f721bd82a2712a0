"""``leadline goroutines`` refuses what it cannot mean; live tests see it at work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from house.command import call


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--from-pprof"),
        (("1", "--full", "--text"), "--full and --text exclude each other"),
        (("1", "--interval", "5"), "is not a duration"),
        (("nonsense",), "is not a target"),
        (("--from-pprof", "ftp://x"), "is not a URL"),
    ],
)
def test_wrong_use_is_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    ran = call(capsys, "goroutines", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err


def test_files_that_exist_are_refused_before_the_look(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "g.pb.gz").write_bytes(b"")
    ran = call(capsys, "goroutines", os.getpid(), "--pprof", tmp_path / "g.pb.gz")
    assert ran.status == 2
    assert "--force" in ran.err


def test_a_process_without_go_is_exit_2_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "goroutines", os.getpid())
    assert ran.status == 2
    assert "No goroutine was seen." in ran.out
    assert "no goroutine could be read" in ran.err
