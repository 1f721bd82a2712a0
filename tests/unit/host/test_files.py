"""Reads below the roots, and how their failures are told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from leadline.contracts import FdLink
from leadline.host.files import FileTree, access_error, with_deadline
from leadline.model import AccessError, DeadlineExceeded, NotPermitted, TargetGone, Unsupported


@pytest.fixture
def tree(tmp_path: Path) -> FileTree:
    (tmp_path / "proc" / "7" / "fd").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "stat").write_bytes(b"x" * 200_000)
    (tmp_path / "sys" / "fs").mkdir(parents=True)
    (tmp_path / "sys" / "fs" / "value").write_bytes(b"max\n")
    (tmp_path / "var" / "log").mkdir(parents=True)
    return FileTree(
        proc_root=str(tmp_path / "proc"), sys_root=str(tmp_path / "sys"), var_root=str(tmp_path / "var")
    )


def test_files_are_read_whole_and_cut_at_the_limit(tree: FileTree) -> None:
    assert len(tree.read_proc("7/stat")) == 200_000
    assert len(tree.read_proc("7/stat", limit_bytes=70_001)) == 70_001
    assert tree.read_sys("fs/value") == b"max\n"
    assert tree.list_var("log") == []
    assert sorted(tree.list_proc("7")) == ["fd", "stat"]


@pytest.mark.parametrize("call", ["read_proc", "list_proc", "link_proc"])
def test_a_process_that_is_not_there_is_gone(tree: FileTree, call: str) -> None:
    with pytest.raises(TargetGone):
        getattr(tree, call)("8/stat")


@pytest.mark.parametrize("call", ["read_proc", "list_proc", "link_proc"])
def test_a_file_that_a_living_process_lacks_is_unsupported(tree: FileTree, call: str) -> None:
    with pytest.raises(Unsupported):
        getattr(tree, call)("7/nothing")
    with pytest.raises(Unsupported):
        getattr(tree, call)("pressure/cpu")


def test_what_sys_and_var_lack_is_unsupported(tree: FileTree) -> None:
    for call in (tree.read_sys, tree.list_var):
        with pytest.raises(Unsupported):
            call("nothing")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, NotPermitted),
        (errno.EPERM, NotPermitted),
        (errno.ESRCH, TargetGone),
        (errno.ETIMEDOUT, DeadlineExceeded),
        (errno.EAGAIN, DeadlineExceeded),
        (errno.ENOENT, Unsupported),
        (errno.EINVAL, Unsupported),
    ],
)
def test_the_kind_of_error_follows_the_errno(number: int, kind: type[AccessError]) -> None:
    error = access_error(OSError(number, "x"), "proc/7/maps")
    assert type(error) is kind
    assert error.errno_raw == number
    assert "proc/7/maps" in error.message


def test_a_missing_right_comes_with_its_remedy() -> None:
    assert "CAP_SYS_PTRACE" in access_error(OSError(errno.EACCES, "x"), "proc/7/fd").remedy


def test_a_read_that_the_kernel_holds_up_ends_by_its_deadline() -> None:
    """A pipe that nobody writes to stands for a process whose memory lock is held: its reader waits for ever."""
    held = os.pipe()
    try:
        with pytest.raises(DeadlineExceeded) as caught:
            with_deadline(lambda: os.read(held[0], 1), "7/cmdline", timeout_s=0.02)
    finally:
        os.close(held[1])  # the thread left behind sees the end of the file and goes
        os.close(held[0])
    assert "state D" in caught.value.remedy
    assert "proc/7/cmdline" in caught.value.message


def test_a_read_with_a_deadline_gives_what_it_read_or_its_error(tree: FileTree) -> None:
    assert with_deadline(lambda: 23, "7/maps") == 23
    with pytest.raises(TargetGone):
        tree.read_proc("8/maps")
    with pytest.raises(Unsupported):
        tree.read_proc("7/maps")


def test_own_descriptors_are_listed_with_what_is_behind_them(tmp_path: Path) -> None:
    file = os.open(tmp_path / "data", os.O_CREAT | os.O_RDWR)
    pipe = os.pipe()
    try:
        links = {link.fd: link for link in FileTree().fd_links(os.getpid())}
        found = os.fstat(file)
        assert links[file] == FdLink(file, str(tmp_path / "data"), found.st_mode, found.st_ino, found.st_dev)
        assert links[pipe[0]] == FdLink(pipe[0], f"pipe:[{os.fstat(pipe[0]).st_ino}]")
        assert list(links) == sorted(links)
        assert FileTree().fd_count(os.getpid()) <= len(links)  # listing holds the directory open itself
    finally:
        for fd in (file, *pipe):
            os.close(fd)


def test_the_table_of_a_process_that_is_not_there_is_gone(tree: FileTree) -> None:
    for call in (tree.fd_links, tree.fd_count):
        with pytest.raises(TargetGone):
            call(8)
    assert not tree.process_exists(8)


def test_an_empty_table_is_that_of_a_living_process_or_of_a_zombie(tmp_path: Path) -> None:
    (tmp_path / "7" / "fd").mkdir(parents=True)
    tree = FileTree(proc_root=str(tmp_path))
    (tmp_path / "7" / "stat").write_bytes(b"7 (x) S 1")
    assert tree.fd_links(7) == []
    (tmp_path / "7" / "stat").write_bytes(b"7 (x) Z 1")
    with pytest.raises(TargetGone):
        tree.fd_links(7)
