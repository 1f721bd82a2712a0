"""The table of Go runtime offsets against DWARF of a program built by the installed Go, for both machines."""

from __future__ import annotations

import subprocess
import sys

import pytest

import symbol_twins as twins_of
from leadline.formats.gooffsets import lookup


@pytest.mark.slow
def test_the_table_says_what_the_installed_go_builds() -> None:
    go = twins_of.installed_go()
    if go is None:
        pytest.skip("no Go toolchain here; remedy: install Go 1.21 or later")
    if lookup(f"go{go.version}", "x86_64") is None:
        pytest.skip(f"go{go.version} is not in the table; remedy: python tools/go_offsets.py --fetch")
    done = subprocess.run(
        [sys.executable, twins_of.ROOT / "tools" / "go_offsets.py", "--check", "--only", go.version],
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 builds compared, 0 differences" in done.stdout
