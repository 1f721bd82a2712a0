"""Generated files are what their generators write now, and import contracts hold."""

from __future__ import annotations

import subprocess
import sys

import pytest

from house.files import ROOT
from house.tools import load_tool


@pytest.mark.parametrize("generator", ["gen.py", "gen_reference.py"])
def test_generated_files_are_current(generator: str) -> None:
    command = [sys.executable, str(ROOT / "tools" / generator), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_contracts_hold() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 broken" in done.stdout


def test_every_member_of_the_report_document_has_a_meaning() -> None:
    page = load_tool("gen_reference").report_page()
    bare = [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert not bare, "describe them in report.schema.json"
