"""Rows of the task-file iterator as descriptors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import leadline.probes.snapshot_descriptors as probe
from leadline.evidence.kinds import DescriptorKind as Kind
from leadline.evidence.kinds import Origin
from leadline.formats.procrows import descriptors_from_table, rows_of_process, user_device

LAYOUT = np.dtype(
    [("tgid", "<u4"), ("tid", "<u4"), ("fd", "<u4"), ("flags", "<u4"), ("file", "<u8"), ("operations", "<u8"), ("inode", "<u8"),
     ("device", "<u4"), ("mode", "<u2"), ("family", "<u2"), ("protocol", "<u2"), ("cloexec", "u1")]
)  # fmt: skip
FILES, SOCKETS, PIPES, EVENTFDS, DEVICES = range(0xFFFF_0000, 0xFFFF_0005)
_FIELDS = json.loads((Path(probe.__file__).parent / "table.x86_64.json").read_text())["structs"]["open_file"][
    "fields"
]


def row(fd: int, operations: int, inode: int, **more: int) -> dict[str, int]:
    plain = {
        "tgid": 7,
        "tid": 7,
        "flags": 0,
        "file": 1000 + fd,
        "device": 9,
        "mode": 0o600,
        "family": 0,
        "protocol": 0,
        "cloexec": 0,
    }
    return {"fd": fd, "operations": operations, "inode": inode, **plain, **more}


def table(*rows: dict[str, int]) -> NDArray[np.void]:
    return np.array([tuple(one[name] for name in LAYOUT.names or ()) for one in rows], dtype=LAYOUT)


NAMES = {
    0: "/dev/null",
    5: "pipe:[70]",
    6: "pipe:[71]",
    7: "anon_inode:[eventfd]",
    8: "anon_inode:[eventfd]",
    9: "/spool/a",
    10: "/spool/b",
}
ROWS = (
    row(0, DEVICES, 3, mode=0o020666, device=6),
    row(3, SOCKETS, 90, mode=0o140777, family=2, protocol=6, cloexec=1, flags=2),
    row(4, SOCKETS, 90, mode=0o140777, family=2, protocol=6, file=1003),
    row(5, PIPES, 70, mode=0o010600),
    row(6, PIPES, 71, mode=0o010600),
    row(7, EVENTFDS, 1038),
    row(8, EVENTFDS, 1038),
    row(9, FILES, 500, mode=0o100644, device=254 << 20),
    row(10, FILES, 501, mode=0o100644, device=254 << 20),
)


def test_the_layout_is_that_of_the_program() -> None:
    assert {name for name, _, _ in _FIELDS} - {"reserved"} == set(LAYOUT.names or ())


def test_each_row_gives_one_descriptor() -> None:
    found = descriptors_from_table(table(*ROWS), NAMES.get, pid=7, seen_mono_ns=99)
    assert [(one.fd, one.kind, one.name) for one in found] == [
        (0, Kind.DEVICE, "/dev/null"),
        (3, Kind.TCP, "socket:[90]"),
        (4, Kind.TCP, "socket:[90]"),
        (5, Kind.PIPE, "pipe:[70]"),
        (6, Kind.PIPE, "pipe:[71]"),
        (7, Kind.EVENTFD, "anon_inode:[eventfd]"),
        (8, Kind.EVENTFD, "anon_inode:[eventfd]"),
        (9, Kind.FILE, "/spool/a"),
        (10, Kind.FILE, "/spool/b"),
    ]
    assert {(one.pid, one.seen_since_mono_ns, one.origin) for one in found} == {(7, 99, Origin.BEFORE)}
    assert (found[1].cloexec, found[2].cloexec, found[1].flags_raw) == (True, False, 2)
    assert found[7].device == 254 << 8


def test_equal_open_files_are_duplicates() -> None:
    found = descriptors_from_table(table(*ROWS), NAMES.get, pid=7, seen_mono_ns=0)
    references = [one.file_ref for one in found]
    assert references[1] == references[2]
    assert len(set(references)) == len(ROWS) - 1


def test_one_link_is_read_per_type_and_one_per_file() -> None:
    asked: list[int] = []

    def read_name(fd: int) -> str | None:
        asked.append(fd)
        return NAMES.get(fd)

    descriptors_from_table(table(*ROWS), read_name, pid=7, seen_mono_ns=0)
    assert sorted(set(asked)) == [0, 5, 7, 9, 10]


def test_sockets_are_told_by_family_and_protocol() -> None:
    cases = {(2, 6): Kind.TCP, (10, 262): Kind.TCP, (10, 17): Kind.UDP, (2, 136): Kind.UDP, (2, 1): Kind.SOCKET,
             (1, 0): Kind.UNIX, (16, 4): Kind.NETLINK, (17, 768): Kind.PACKET, (40, 0): Kind.SOCKET}  # fmt: skip
    rows = [
        row(fd, SOCKETS, fd, family=family, protocol=protocol) for fd, (family, protocol) in enumerate(cases)
    ]
    found = descriptors_from_table(table(*rows), lambda _: None, pid=7, seen_mono_ns=0)
    assert [one.kind for one in found] == list(cases.values())


def test_a_named_pipe_is_a_pipe_with_a_path() -> None:
    rows = table(row(3, PIPES, 70, mode=0o010600, device=1), row(4, PIPES, 44, mode=0o010600, device=2))
    found = descriptors_from_table(rows, {3: "pipe:[70]", 4: "/run/fifo"}.get, pid=7, seen_mono_ns=0)
    assert [(one.kind, one.name) for one in found] == [(Kind.PIPE, "pipe:[70]"), (Kind.PIPE, "/run/fifo")]


def test_without_the_right_to_read_links_kinds_are_told_as_far_as_the_mode_tells() -> None:
    found = descriptors_from_table(table(*ROWS), lambda _: None, pid=7, seen_mono_ns=0)
    assert [(one.kind, one.name) for one in found] == [
        (Kind.DEVICE, ""), (Kind.TCP, "socket:[90]"), (Kind.TCP, "socket:[90]"),
        (Kind.PIPE, "pipe:[70]"), (Kind.PIPE, "pipe:[71]"),
        (Kind.OTHER, ""), (Kind.OTHER, ""), (Kind.FILE, ""), (Kind.FILE, ""),
    ]  # fmt: skip


def test_a_number_that_meanwhile_is_another_s_lends_no_name() -> None:
    rows = table(
        row(5, PIPES, 70, mode=0o010600), row(6, PIPES, 71, mode=0o010600), row(9, FILES, 5, mode=0o100644)
    )
    found = descriptors_from_table(
        rows, {5: "socket:[4]", 6: "pipe:[71]", 9: "pipe:[8]"}.get, pid=7, seen_mono_ns=0
    )
    assert [one.name for one in found] == ["pipe:[70]", "pipe:[71]", ""]


def test_rows_of_other_processes_and_threads_are_left_out() -> None:
    rows = table(
        row(9, FILES, 1, tgid=8, tid=8), row(4, FILES, 2), row(3, FILES, 3), row(3, FILES, 3, tid=12)
    )
    assert rows_of_process(rows, 7)["fd"].tolist() == [3, 4]
    assert len(rows_of_process(rows, 99)) == 0
    assert len(rows_of_process(table(), 7)) == 0


def test_pids_of_another_namespace_are_accepted_when_there_is_one_process_only() -> None:
    rows = table(row(4, FILES, 2, tgid=4711, tid=4711))
    assert rows_of_process(rows, 7)["fd"].tolist() == [4]


def test_the_table_of_a_process_whose_main_thread_ended_is_that_of_another_thread() -> None:
    rows = table(row(4, FILES, 2, tid=12), row(5, FILES, 2, tid=12), row(4, FILES, 2, tid=13))
    assert rows_of_process(rows, 7)["fd"].tolist() == [4, 5]


def test_an_empty_table_has_no_descriptors() -> None:
    assert descriptors_from_table(table(), lambda _: None, pid=7, seen_mono_ns=0) == []


@given(st.integers(0, 4095), st.integers(0, (1 << 20) - 1))
def test_devices_are_written_as_stat_does(major: int, minor: int) -> None:
    encoded = int(user_device(np.array([major << 20 | minor], dtype=np.uint32))[0])
    assert (encoded >> 8 & 0xFFF, encoded & 0xFF | encoded >> 12 & ~0xFF) == (major, minor)


@given(st.binary(max_size=LAYOUT.itemsize * 6))
def test_any_rows_give_descriptors(raw: bytes) -> None:
    rows = np.frombuffer(raw[: len(raw) // LAYOUT.itemsize * LAYOUT.itemsize], dtype=LAYOUT)
    mine = rows_of_process(rows, 7)
    assert len(descriptors_from_table(mine, lambda fd: f"pipe:[{fd}]", pid=7, seen_mono_ns=0)) == len(mine)
