"""Tests of the builder with a script in place of Go; the live tests build for real."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fake_go import calls, fake_go
from leadline.lab.build import Flavour, build, build_all, second_name
from leadline.lab.catalog import PROGRAMS
from leadline.lab.go_tool import GoTool, find_go
from leadline.model import LeadlineError, Unsupported, UsageError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADLINE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def go(tmp_path: Path) -> GoTool:
    """Return a Go that builds scripts."""
    return find_go(path=fake_go(tmp_path / "fake"))


def test_a_binary_is_built_once(go: GoTool) -> None:
    path = build("file-leak", go=go)
    assert path.name == "file-leak"
    assert os.access(path, os.X_OK)
    assert build("file-leak", go=go) == path
    assert len(calls(go.path)) == 1


def test_the_second_process_has_a_name_of_its_own(go: GoTool) -> None:
    path = build("file-leak", go=go)
    assert second_name(path).samefile(path)
    assert second_name(path).name[:15] != path.name[:15], "also as the kernel shortens it"


def test_flavours_and_go_versions_do_not_share_binaries(go: GoTool, tmp_path: Path) -> None:
    newer = find_go(path=fake_go(tmp_path / "newer", says="go version go1.27.1 linux/amd64"))
    paths = {
        build("file-leak", go=go),
        build("file-leak", go=newer),
        build("file-leak", go=go, flavour=Flavour(strip=False)),
        build("file-leak", go=go, flavour=Flavour(pie=True, trimpath=True)),
    }
    assert len(paths) == 4
    first, plain, pie = calls(go.path)
    assert "-ldflags=-s -w" in first
    assert "-ldflags" not in plain
    assert "-buildmode=pie -trimpath" in pie


def test_missing_programs_are_built_by_one_call_and_the_others_left_alone(go: GoTool) -> None:
    build("file-leak", go=go)
    paths = build_all(["file-leak", "pipe-leak", "idle-websockets", "websockets-arriving"], go=go, jobs=1)
    assert list(paths) == ["file-leak", "pipe-leak", "idle-websockets", "websockets-arriving"]
    assert paths["idle-websockets"] == paths["websockets-arriving"]
    assert len(calls(go.path)) == 2
    assert calls(go.path)[1].split()[-2:] == ["./pipe-leak", "./idle-websockets"]
    assert "-p 1" in calls(go.path)[1]


def test_all_means_all_that_this_go_can_build(go: GoTool, tmp_path: Path) -> None:
    assert set(build_all(go=go)) == set(PROGRAMS)
    old = find_go(path=fake_go(tmp_path / "old", says="go version go1.21.13 linux/amd64"))
    assert set(PROGRAMS) - set(build_all(go=old)) == {"http2-body-leak"}
    with pytest.raises(Unsupported, match=r"http2-body-leak needs Go 1\.24, this is go1\.21\.13"):
        build("http2-body-leak", go=old)


def test_nothing_of_the_users_go_settings_reaches_the_compiler(
    go: GoTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-race")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("GOCACHE", "/somewhere/go-build")
    build("file-leak", go=go)
    seen = dict(line.split("=", 1) for line in (go.path.parent / "environment").read_text().splitlines())
    assert "GOOS" not in seen
    assert "-race" not in seen["GOFLAGS"]
    assert (seen["GOPROXY"], seen["GOTOOLCHAIN"], seen["GOENV"], seen["GOWORK"]) == (
        "off",
        "local",
        "off",
        "off",
    )
    assert seen["GOCACHE"] == "/somewhere/go-build", "the compiled standard library may be shared"


def test_what_the_compiler_says_is_passed_on(tmp_path: Path) -> None:
    go = find_go(path=fake_go(tmp_path / "broken", fails=True))
    with pytest.raises(LeadlineError, match=r"main\.go:1: no"):
        build("file-leak", go=go)
    assert not list((tmp_path / "cache").glob("lab-build-*")), "no scratch folder stays behind"


def test_two_at_the_same_time_build_once(go: GoTool) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: build("file-leak", go=go), range(4)))
    assert len(set(paths)) == 1
    assert len(calls(go.path)) == 1


def test_binaries_that_nobody_used_for_a_week_are_forgotten(go: GoTool) -> None:
    old, fresh = build("file-leak", go=go), build("pipe-leak", go=go)
    week_ago = old.stat().st_mtime - 8 * 24 * 3600
    os.utime(old.parent, (week_ago, week_ago))
    build("udp-leak", go=go)
    assert not old.exists()
    assert fresh.exists()


def test_an_unknown_program_is_refused(go: GoTool) -> None:
    with pytest.raises(UsageError, match="nonsense"):
        build("nonsense", go=go)
