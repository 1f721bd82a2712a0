"""proc/PID/fd and fdinfo."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.evidence.kinds import DescriptorKind as Kind
from leadline.formats.procfd import (
    EpollTarget,
    descriptor_kind,
    link_inode,
    parse_fdinfo,
    socket_inode,
    socket_inodes,
    watched_data,
)
from leadline.model import Malformed

NAMES = {
    "socket:[41822]": Kind.SOCKET,
    "pipe:[7]": Kind.PIPE,
    "anon_inode:[eventpoll]": Kind.EVENTPOLL,
    "anon_inode:[eventfd]": Kind.EVENTFD,
    "anon_inode:[timerfd]": Kind.TIMERFD,
    "anon_inode:[signalfd]": Kind.SIGNALFD,
    "anon_inode:inotify": Kind.INOTIFY,
    "anon_inode:[fanotify]": Kind.FANOTIFY,
    "anon_inode:[userfaultfd]": Kind.USERFAULTFD,
    "anon_inode:[pidfd]": Kind.PIDFD,
    "pidfd:[8871]": Kind.PIDFD,
    "anon_inode:[perf_event]": Kind.PERF_EVENT,
    "anon_inode:[io_uring]": Kind.IO_URING,
    "anon_inode:bpf-map": Kind.BPF,
    "anon_inode:bpf_link": Kind.BPF,
    "anon_inode:[never-seen]": Kind.OTHER,
    "/memfd:cache (deleted)": Kind.MEMFD,
    "/var/log/app.log": Kind.FILE,
    "/var/log/app.log (deleted)": Kind.FILE,
    "/dev/null": Kind.DEVICE,
    "/dev/shm/segment": Kind.FILE,
    "net:[4026531840]": Kind.OTHER,
    "": Kind.OTHER,
}


@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_link_targets_tell_the_kind(name: str, kind: Kind) -> None:
    assert descriptor_kind(name) is kind


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(0o100644, Kind.FILE), (0o040755, Kind.DIRECTORY), (0o020666, Kind.DEVICE), (0o060660, Kind.DEVICE),
     (0o010600, Kind.PIPE), (0o140777, Kind.SOCKET), (0o120777, Kind.OTHER), (0, Kind.OTHER)],
)  # fmt: skip
def test_the_mode_tells_what_a_path_is(mode: int, kind: Kind) -> None:
    assert descriptor_kind("/srv/x", mode) is kind


def test_inodes_are_read_from_the_names_that_have_them() -> None:
    assert link_inode("pipe:[18446744073709551615]") == 2**64 - 1
    assert link_inode("net:[4026531840]") == 4026531840
    assert [
        link_inode(name) for name in ("/tmp/pipe:[7]", "pipe:[x]", "socket:[]", "anon_inode:[eventfd]")
    ] == [None] * 4
    assert [socket_inode(name) for name in ("socket:[9]", "socket:[", "socket:[x]", "pipe:[9]")] == [
        9,
        None,
        None,
        None,
    ]
    assert socket_inodes(["socket:[9]", "pipe:[8]", "socket:[9]", "socket:[7]"]) == {7, 9}


def test_fdinfo_of_an_epoll_instance_lists_what_it_watches() -> None:
    info = parse_fdinfo(
        b"pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1057\n"
        b"tfd:        5 events: 80002019 data: 7f5c00000005  pos:0 ino:1b3 sdev:8\n"
        b"tfd:        6 events:       19 data:                6\n"
    )
    assert (info.flags_raw, info.is_cloexec, info.position_bytes, info.inode) == (0o2000002, True, 0, 1057)
    assert info.watched == (EpollTarget(5, 0x80002019, 0x1B3), EpollTarget(6, 0x19, None))


def test_watched_descriptors_have_the_word_that_the_program_stored() -> None:
    text = (
        b"pos:\t0\nflags:\t02000002\n"
        b"tfd:        5 events: 80002019 data: 7f5c00000005  pos:0 ino:1b3 sdev:8\n"
        b"tfd:        6 events:       19 data:                6\n"
        b"tfd: broken\n"
        b"tfd:        7 events: 80002019 data: ffff8f2a00000001  pos:0 ino:1b3 sdev:8\n"
    )
    assert watched_data(text) == [(5, 0x7F5C00000005), (6, 6), (7, 0xFFFF8F2A00000001)]
    assert watched_data(b"") == []


def test_fdinfo_of_a_plain_file_of_an_older_kernel() -> None:
    info = parse_fdinfo(b"pos:\t4096\nflags:\t0100001\nmnt_id:\t31\n")
    assert (info.is_cloexec, info.position_bytes, info.inode, info.watched) == (False, 4096, None, ())


@pytest.mark.parametrize(
    "text", [b"", b"pos:\t0\n", b"flags:\t9\n", b"flags:\t0\ntfd: 5\n", b"flags:\t0\nino:\tx\n"]
)
def test_other_fdinfo_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_fdinfo(text)


@given(
    st.text(max_size=60)
    | st.builds("{}:[{}".format, st.sampled_from(["socket", "pipe", "pidfd"]), st.text(max_size=25))
)
def test_any_name_has_a_kind(name: str) -> None:
    assert isinstance(descriptor_kind(name), Kind)
    assert (link_inode(name) or 0) >= 0
    assert (socket_inode(name) or 0) >= 0 or name[8] == "-"


@given(st.binary(max_size=120) | st.builds(lambda raw: b"flags:\t02\ntfd: " + raw, st.binary(max_size=60)))
def test_any_bytes_give_a_value_or_malformed(text: bytes) -> None:
    assert all(fd >= 0 and 0 <= data < 1 << 64 for fd, data in watched_data(text))
    try:
        value = isinstance(parse_fdinfo(text).flags_raw, int)
    except Malformed:
        return
    assert value
