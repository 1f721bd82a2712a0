"""Descriptor tables as evidence."""

from __future__ import annotations

import pytest

from leadline.contracts import FdLink
from leadline.evidence.kinds import DescriptorKind as Kind
from leadline.evidence.kinds import Origin
from leadline.formats.proctable import PROTOCOL_KINDS, descriptors_from_links, kind_counts, kind_of_protocol

LINKS = [
    FdLink(0, "/dev/null", 0o020666, 3, 6),
    FdLink(3, "socket:[41822]"),
    FdLink(4, "socket:[41822]"),
    FdLink(5, "socket:[9]"),
    FdLink(6, "pipe:[77]"),
    FdLink(7, "anon_inode:[eventpoll]"),
    FdLink(8, "/srv/data", 0o100644, 1234, 65024),
]


def test_each_link_gives_one_descriptor() -> None:
    found = descriptors_from_links(7, LINKS, seen_mono_ns=99, socket_kinds={41822: Kind.TCP})
    assert [one.kind for one in found] == [
        Kind.DEVICE, Kind.TCP, Kind.TCP, Kind.SOCKET, Kind.PIPE, Kind.EVENTPOLL, Kind.FILE,
    ]  # fmt: skip
    assert [one.inode for one in found] == [3, 41822, 41822, 9, 77, None, 1234]
    assert {(one.pid, one.seen_since_mono_ns, one.origin) for one in found} == {(7, 99, Origin.BEFORE)}
    assert found[-1].device == 65024


def test_only_sockets_tell_their_duplicates() -> None:
    found = descriptors_from_links(7, LINKS, seen_mono_ns=0, socket_kinds={})
    assert [one.file_ref for one in found] == [None, 41822, 41822, 9, None, None, None]


def test_kinds_are_counted_most_first() -> None:
    found = descriptors_from_links(7, LINKS, seen_mono_ns=0, socket_kinds={41822: Kind.TCP})
    assert list(kind_counts(found).items()) == [
        ("tcp", 2), ("device", 1), ("eventpoll", 1), ("file", 1), ("pipe", 1), ("socket", 1),
    ]  # fmt: skip
    assert kind_counts([]) == {}


@pytest.mark.parametrize(
    ("protocol", "kind"), [*PROTOCOL_KINDS.items(), ("VSOCK", Kind.SOCKET), ("", Kind.SOCKET)]
)
def test_protocol_names_tell_the_kind(protocol: str, kind: Kind) -> None:
    assert kind_of_protocol(protocol) is kind
