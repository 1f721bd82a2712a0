from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path

import pytest

from leadline.app.cases import check_writable, read_case, write_case, write_file
from leadline.evidence.bundle import encode_bundle
from leadline.evidence.kinds import ProcessInfo
from leadline.model import BundleError, UsageError
from report_samples import sample_evidence


def test_a_case_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.leadline"
    write_case(path, sample_evidence())
    assert path.read_bytes() == encode_bundle(sample_evidence())
    assert read_case(path).observed() == sample_evidence().observed()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["a.leadline"]


def test_an_existing_file_stays_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "a.leadline"
    path.write_text("mine")
    for attempt in (partial(write_case, path, sample_evidence()), partial(check_writable, path)):
        with pytest.raises(UsageError, match="exists") as caught:
            attempt()
        assert "--force" in caught.value.remedy
    assert path.read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["a.leadline"]
    check_writable(path, force=True)
    write_case(path, sample_evidence(), force=True)
    assert read_case(path).first(ProcessInfo) is not None
    assert [file.name for file in tmp_path.iterdir()] == ["a.leadline"]


def test_a_missing_directory_is_named_before_and_after(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.html"
    for attempt in (partial(check_writable, path), partial(write_file, path, b"x")):
        with pytest.raises(UsageError, match="none"):
            attempt()
    with pytest.raises(UsageError, match="is a directory"):
        check_writable(tmp_path)


def test_reports_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_file(tmp_path / "a.html", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o644


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_writable(path)
        write_file(path, b"report")
        assert os.read(reader, 100) == b"report"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away; run as root")
def test_files_written_under_sudo_belong_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "65534")
    monkeypatch.setenv("SUDO_GID", "65534")
    write_file(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_uid == 65534


def test_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.leadline"
    path.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(BundleError, match=r"broken\.leadline: the case file is damaged"):
        read_case(path)
    with pytest.raises(UsageError, match="No such file"):
        read_case(tmp_path / "none")
