"""Tests of the lab's cache folder and its lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from leadline.lab.cache import cache_dir, locked
from leadline.model import DeadlineExceeded


def test_the_folder_that_was_named_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("LEADLINE_CACHE_DIR", raising=False)
    assert cache_dir() == tmp_path / "xdg/leadline"
    monkeypatch.setenv("LEADLINE_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine"
    assert cache_dir().is_dir()


def test_an_account_without_a_home_gets_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delenv("LEADLINE_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file/below"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_dir()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_lock_that_somebody_holds_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    with (
        locked(path, deadline_s=1),
        pytest.raises(DeadlineExceeded, match="still locked"),
        locked(path, deadline_s=0),
    ):
        pass
    with locked(path, deadline_s=0):
        pass  # it is free again


@pytest.mark.slow
def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    code = f"import fcntl,sys; f=open({str(path)!r},'a'); fcntl.flock(f,2); print('held',flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DeadlineExceeded), locked(path, deadline_s=0):
            pass
        holder.kill()
        holder.wait()
        with locked(path, deadline_s=0):
            pass
