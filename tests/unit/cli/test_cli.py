"""The command line as a whole: errors of ours are messages with a remedy, and never a traceback."""

from __future__ import annotations

import pytest

from house.command import call
from leadline import __version__


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version").out == f"leadline {__version__}\n"


def test_help_names_every_command_and_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "--help")
    assert ran.status == 0
    for command in (
        "trace",
        "exec",
        "census",
        "replay",
        "report",
        "diff",
        "lab",
        "capabilities",
        "explain",
        "list",
    ):
        assert command in ran.out
    assert "Exit status: 0 nothing found, 1 findings, 2 could not run." in " ".join(ran.out.split())


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("trace",), ("trace", "1", "--nonsense"), ("list", "nonsense")]
)
def test_wrong_use_is_exit_2_and_prints_nothing_to_stdout(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    ran = call(capsys, *arguments)
    assert ran.status == 2
    assert ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
