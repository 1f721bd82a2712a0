"""Memory, mapped files and life of processes."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from leadline.formats.procmaps import MapEntry, parse_maps
from leadline.host import LiveHost
from leadline.host.processes import gather_memory, read_memory
from leadline.model import TargetGone, Unsupported


class Entry(NamedTuple):
    """A line of maps."""

    start: int
    end: int
    path: str
    inode: int


def own_entries() -> list[MapEntry]:
    return list(parse_maps(LiveHost().read_proc(f"{os.getpid()}/maps")))


def test_memory_is_read_exactly() -> None:
    secret = ctypes.create_string_buffer(b"leadline reads, never writes", 64)
    assert read_memory(os.getpid(), ctypes.addressof(secret), 28) == b"leadline reads, never writes"
    assert read_memory(os.getpid(), ctypes.addressof(secret), 0) == b""


def test_memory_that_ends_in_the_middle_is_cut_there() -> None:
    vdso = next(entry for entry in own_entries() if entry.path == "[vdso]")
    assert len(read_memory(os.getpid(), vdso.end - 4096, 1 << 20)) in {4096, *range(8192, 1 << 20, 4096)}


def test_memory_where_nothing_is_mapped_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="EFAULT"):
        read_memory(os.getpid(), 16, 8)


def test_ranges_are_gathered_end_to_end_and_those_unread_are_zero() -> None:
    numbers = np.arange(5000, dtype=np.uint64)
    addresses = numbers.ctypes.data + 8 * np.arange(5000, dtype=np.uint64)
    sizes = np.full(5000, 8, np.uint64)
    bad = [0, 7, 1023, 1024, 4999]
    addresses[bad] = [0, 16, (1 << 64) - 8, 8, 1 << 60]
    sizes[[3, 9]] = 16
    gathered, is_read = gather_memory(os.getpid(), addresses, sizes)
    assert np.flatnonzero(~is_read).tolist() == bad
    assert len(gathered) == 5002 * 8
    words = gathered.view(np.uint64)
    assert words[:13].tolist() == [0, 1, 2, 3, 4, 4, 5, 6, 0, 8, 9, 10, 10]
    assert words[-3:].tolist() == [4997, 4998, 0]


def test_a_range_that_ends_in_an_unmapped_page_is_not_half_read() -> None:
    area = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    area.write(b"\xff" * (3 * mmap.PAGESIZE))
    begin = ctypes.addressof(ctypes.c_char.from_buffer(area))
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(begin + mmap.PAGESIZE), mmap.PAGESIZE, 0)
    addresses = np.array([begin, begin + mmap.PAGESIZE - 16, begin + 2 * mmap.PAGESIZE], np.uint64)
    gathered, is_read = gather_memory(os.getpid(), addresses, np.array([8, 32, 8], np.uint64))
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(begin + mmap.PAGESIZE), mmap.PAGESIZE, 3)
    assert is_read.tolist() == [True, False, True]
    assert gathered.tobytes() == b"\xff" * 8 + bytes(32) + b"\xff" * 8


def test_gathering_from_a_process_that_ended_says_so() -> None:
    with subprocess.Popen([shutil.which("true") or "true"]) as child:
        child.wait()
    with pytest.raises(TargetGone):
        gather_memory(child.pid, np.array([4096], np.uint64), np.array([8], np.uint64))


def test_the_vdso_is_an_elf_file() -> None:
    vdso = next(entry for entry in own_entries() if entry.path == "[vdso]")
    view = LiveHost().open_object(os.getpid(), vdso)
    assert view is not None
    assert (bytes(view[:4]), len(view)) == (b"\x7fELF", vdso.end - vdso.start)


def test_own_libraries_can_be_opened() -> None:
    libc = next(entry for entry in own_entries() if "libc" in entry.path and entry.inode)
    view = LiveHost().open_object(os.getpid(), libc)
    assert view is not None
    assert len(view) == Path(libc.path).stat().st_size


@pytest.mark.parametrize("path", ["", "[heap]", "[stack]", "relative"])
def test_what_is_no_file_has_no_object(path: str) -> None:
    assert LiveHost().open_object(os.getpid(), Entry(0, 4096, path, 1)) is None
    assert LiveHost().open_object(os.getpid(), Entry(0, 4096, "/etc/hostname", 0)) is None


def test_a_file_that_took_the_name_of_the_mapped_one_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "library.so").write_bytes(b"\x7fELF other")
    inode = (tmp_path / "library.so").stat().st_ino
    path = str(tmp_path / "library.so")
    assert LiveHost().open_object(os.getpid(), Entry(16, 32, path, inode)) is not None
    assert LiveHost().open_object(os.getpid(), Entry(16, 32, path, inode + 1)) is None


@pytest.mark.parametrize("kind", ["empty", "fifo", "directory"])
def test_only_regular_files_with_content_are_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "object"
    {"empty": path.touch, "fifo": lambda: os.mkfifo(path), "directory": path.mkdir}[kind]()
    assert LiveHost().open_object(os.getpid(), Entry(16, 32, str(path), path.stat().st_ino)) is None


def test_a_deleted_program_is_opened_through_its_process(tmp_path: Path) -> None:
    program = tmp_path / "sleeper"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    size = program.stat().st_size
    with subprocess.Popen([str(program), "60"]) as child:
        try:
            program.unlink()
            host = LiveHost()
            view = host.open_program(child.pid)
            assert view is not None
            assert len(view) == size
            path = host.link_proc(f"{child.pid}/exe")
            assert path.endswith(" (deleted)")
            entry = next(
                entry for entry in parse_maps(host.read_proc(f"{child.pid}/maps")) if entry.path == path
            )
            again = host.open_object(child.pid, entry)
            assert again is not None
            assert again == view
        finally:
            child.kill()


def test_a_handle_sees_the_end_of_its_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        with LiveHost().open_process(child.pid) as process:
            assert process.is_alive()
            assert not process.wait_exit(1_000_000)
            child.kill()
            assert process.wait_exit(10_000_000_000)
            assert not process.is_alive()  # also as a zombie
        with pytest.raises(TargetGone, match="has ended"):
            LiveHost().open_process(child.pid)
    with pytest.raises(TargetGone):
        LiveHost().open_process(child.pid)
    process.close()
