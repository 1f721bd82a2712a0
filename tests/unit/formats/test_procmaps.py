"""proc/PID/maps in the forms the kernel writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.procmaps import parse_maps
from leadline.model import Malformed

TEXT = (
    b"00400000-00401000 r--p 00000000 fe:01 1318                               /usr/bin/demo\n"
    b"00401000-00500000 r-xp 00001000 fe:01 1318                               /usr/bin/demo\n"
    b"00600000-00601000 rw-p 00000000 00:00 0 \n"
    b"7f0000000000-7f0000001000 r-xp 00000000 00:2d 99                         /tmp/with space\\012and line (deleted)\n"
    b"7f0000001000-7f0000002000 rw-s 00000000 00:01 7                          /memfd:x (deleted)\n"
    b"7f0000002000-7f0000003000 rw-p 00000000 00:00 0                          [anon:Go: heap]\n"
    b"7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]\n"
    b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
)


def test_each_line_is_read() -> None:
    maps = parse_maps(TEXT)
    assert len(maps) == 8
    assert [entry.object_name for entry in maps] == [
        "/usr/bin/demo",
        "/usr/bin/demo",
        "",
        "/tmp/with space\nand line",
        "/memfd:x",
        "[anon:Go: heap]",
        "[vdso]",
        "[vsyscall]",
    ]
    assert [entry.is_deleted for entry in maps] == [False] * 3 + [True] * 2 + [False] * 3
    assert [entry.is_executable for entry in maps] == [False, True, False, True, False, False, True, True]
    entry = maps.at(0x401000)
    assert entry is not None
    assert (entry.start, entry.end, entry.offset, entry.permissions) == (0x401000, 0x500000, 0x1000, "r-xp")
    assert (entry.device_major, entry.device_minor, entry.inode) == (0xFE, 1, 1318)


def test_addresses_are_found_between_start_and_end() -> None:
    maps = parse_maps(TEXT)
    starts = [
        (entry.start if (entry := maps.at(place)) else None)
        for place in (0, 0x3FFFFF, 0x400FFF, 0x4FFFFF, 0x500000, 2**64)
    ]
    assert starts == [None, None, 0x400000, 0x401000, None, None]


def test_names_that_are_not_utf8_survive() -> None:
    [entry] = parse_maps(b"1000-2000 r-xp 00000000 fe:01 3 /tmp/\xff\xfe\n")
    assert entry.path.encode("utf-8", "surrogateescape") == b"/tmp/\xff\xfe"


def test_a_last_line_that_was_cut_is_left_out() -> None:
    assert len(parse_maps(TEXT[:-20])) == 7
    assert len(parse_maps(b"")) == 0


@pytest.mark.parametrize(
    "line",
    [b"", b"hello", b"1000 r-xp 0 0:0 0", b"1000-2000 rwx 00 fe:01 3 /x", b"zz-2000 r-xp 00 fe:01 3 /x"],
)
def test_other_lines_are_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_maps(TEXT + line + b"\n")


@given(st.binary(max_size=300))
def test_any_bytes_give_maps_or_malformed(raw: bytes) -> None:
    try:
        maps = parse_maps(raw)
    except Malformed:
        return
    assert len(maps) <= raw.count(b"\n")
