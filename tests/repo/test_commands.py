"""The list of commands: every target explains itself, and CI calls nothing that people cannot."""

from __future__ import annotations

import os
import re
import subprocess

from house.files import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_target_explains_itself() -> None:
    done = subprocess.run(["make", "help"], capture_output=True, text=True, timeout=30, check=True, cwd=ROOT)
    targets = re.findall(r"^\.PHONY: ([a-z0-9-]+)$", MAKEFILE, re.MULTILINE)
    assert {"demo", "test", "check", "bench", "bpf", "gen", "accept", "wheel", "clean"} <= set(targets)
    for target in targets:
        assert re.search(rf"^  make {target} +\S.*\.$", done.stdout, re.MULTILINE), target


def test_test_runs_every_folder_of_tests() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.rglob("test_*.py"))}
    named = set(re.findall(r"\$\(PYTEST\).* tests/(\w+)\b", MAKEFILE, re.MULTILINE))
    assert folders - {"fixtures"} <= named


def test_ci_calls_make_test_and_lets_no_live_test_skip() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert text.rstrip().endswith("exec make test")
    assert "LEADLINE_REQUIRE_LIVE=1" in text


def test_constraints_name_one_release_of_each_package() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[\w.+]+", line) for line in lines)
    project = (ROOT / "pyproject.toml").read_text()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    for name in re.findall(
        r'"([\w-]+)[>=]=', project[project.index("\ndependencies") : project.index("[tool.hatch")]
    ):
        assert name in pinned, f"{name} has no constraint: make lock"
