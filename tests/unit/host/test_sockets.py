"""Kinds of sockets, by dump and by attribute."""

from __future__ import annotations

import pytest

from leadline.contracts import FdLink
from leadline.evidence.kinds import DescriptorKind as Kind
from leadline.host.sockets import socket_kinds
from leadline.model import NotPermitted, TargetGone, Unsupported
from socket_dumps import done, inet, unix


class Kernel:
    """Answers as told, and notes what it was asked."""

    def __init__(self, dumps: dict[tuple[int, int], bytes], protocols: dict[int, str]) -> None:
        self.dumps = dumps
        self.protocols = protocols
        self.asked: list[str] = []

    def sock_diag(self, pid: int, family: int, protocol: int, states: int, extensions: int) -> bytes:
        self.asked.append(f"dump {family}/{protocol}")
        if (family, protocol) not in self.dumps:
            raise NotPermitted("EPERM")
        return self.dumps[family, protocol]

    def socket_protocol(self, pid: int, fd: int) -> str:
        self.asked.append(f"attribute {fd}")
        if fd not in self.protocols:
            raise Unsupported("closed meanwhile")
        if self.protocols[fd] == "gone":
            raise TargetGone("it ended")
        return self.protocols[fd]


def links(count: int) -> list[FdLink]:
    return [FdLink(0, "/dev/null"), *(FdLink(fd, f"socket:[{fd + 1000}]") for fd in range(1, count + 1))]


def test_few_sockets_are_told_by_attribute_without_a_dump() -> None:
    kernel = Kernel({}, {1: "TCP", 2: "UNIX-STREAM", 3: "NETLINK"})
    assert socket_kinds(kernel, 7, links(4)) == {1001: Kind.TCP, 1002: Kind.UNIX, 1003: Kind.NETLINK}
    assert all(question.startswith("attribute") for question in kernel.asked)


def test_many_sockets_are_told_by_dumps_and_the_rest_by_attribute() -> None:
    tcp = b"".join(inet(1000 + fd) for fd in range(1, 80)) + inet(5) + done()
    local = unix(1080, 1) + done()
    kernel = Kernel({(0, 6): tcp, (1, 0): local, (2, 17): done(), (10, 17): done()}, {81: "TCPv6"})
    found = socket_kinds(kernel, 7, links(81))
    assert found == {**{1000 + fd: Kind.TCP for fd in range(1, 80)}, 1080: Kind.UNIX, 1081: Kind.TCP}
    assert [question for question in kernel.asked if question.startswith("attribute")] == ["attribute 81"]


def test_dumps_that_are_refused_or_damaged_leave_it_to_attributes() -> None:
    kernel = Kernel({(0, 6): b"damaged "}, dict.fromkeys(range(1, 71), "TCP"))
    assert socket_kinds(kernel, 7, links(70)) == {1000 + fd: Kind.TCP for fd in range(1, 71)}


def test_no_further_dump_is_asked_for_when_all_are_known() -> None:
    tcp = b"".join(inet(1000 + fd) for fd in range(1, 71)) + done()
    kernel = Kernel({(0, 6): tcp}, {})
    assert len(socket_kinds(kernel, 7, links(70))) == 70
    assert kernel.asked == ["dump 0/6"]


def test_a_process_that_ends_is_said_to_be_gone() -> None:
    with pytest.raises(TargetGone):
        socket_kinds(Kernel({}, {1: "gone"}), 7, links(1))


def test_without_sockets_nothing_is_asked() -> None:
    kernel = Kernel({}, {})
    assert socket_kinds(kernel, 7, [FdLink(0, "/dev/null")]) == {}
    assert kernel.asked == []
