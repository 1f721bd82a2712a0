"""``leadline exec`` checks its arguments before it starts the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from house.command import call


def test_a_wrong_duration_starts_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mark = tmp_path / "started"
    ran = call(capsys, "exec", "-d", "30", "--", "/usr/bin/touch", mark)
    assert ran.status == 2
    assert "30s" in ran.err
    assert not mark.exists()


def test_an_existing_report_starts_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mark, report = tmp_path / "started", tmp_path / "leaks.sarif"
    report.write_text("mine")
    ran = call(capsys, "exec", "--sarif", report, "--", "/usr/bin/touch", mark)
    assert ran.status == 2
    assert "--force" in ran.err
    assert not mark.exists()


def test_without_a_command_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "exec")
    assert ran.status == 2
    assert "CMD" in ran.err


def test_options_after_the_command_belong_to_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """``leadline exec -- ls --json`` asks ls for JSON, not leadline: so this fails in exec, not in parsing."""
    ran = call(capsys, "exec", "--", "/no/such/command", "--no-such-option", "-d", "30")
    assert ran.status == 2
    assert "/no/such/command" in ran.err
    assert "No such option" not in ran.err
