"""Calls the command line in this process, as ``leadline ARGUMENTS`` would."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from leadline.cli import main

__all__ = ["Ran", "call"]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    """Run a command; return its exit status and what it printed."""
    before = sys.argv
    sys.argv = ["leadline", *map(str, arguments)]
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.argv = before
    printed = capsys.readouterr()
    return Ran(status, printed.out, printed.err)
