"""Socket dumps of this kernel, in this and in another network namespace, beside what ss says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from leadline.formats.sockdiag import ALL_STATES, ANY_FAMILY, INET_EXTENSIONS, UNIX_SHOW, decode_dump
from leadline.host import LiveHost
from leadline.model import TargetGone, Unsupported

pytestmark = pytest.mark.live

LEAKED = 23
INNER = """
import socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
listener = socket.create_server(("127.0.0.1", 8080))
held = [socket.create_connection(("127.0.0.1", 8080)) for _ in range(7)]
print("ready", flush=True)
sys.stdin.read()
"""


def ss(*arguments: str) -> list[str]:
    return subprocess.run(
        ["ss", "-H", *arguments], capture_output=True, text=True, check=True
    ).stdout.splitlines()


@pytest.fixture
def close_waits() -> Iterator[tuple[int, list[socket.socket]]]:
    """Return the port of a server whose 23 clients went away, and the server's ends."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ends = []
        for number in range(LEAKED):
            client = socket.create_connection(listener.getsockname())
            ends.append(stack.enter_context(listener.accept()[0]))
            client.send(b"x" * (number + 1))
            client.close()
        yield listener.getsockname()[1], ends


def test_leaked_connections_are_seen_as_ss_sees_them(close_waits: tuple[int, list[socket.socket]]) -> None:
    port, ends = close_waits
    dump = LiveHost().sock_diag(0, ANY_FAMILY, socket.IPPROTO_TCP, ALL_STATES, INET_EXTENSIONS)
    table = decode_dump(dump, "tcp").of_inodes(os.fstat(end.fileno()).st_ino for end in ends)
    assert table.state_counts() == {"CLOSE_WAIT": LEAKED}
    records = table.records()
    queues = sorted(record.rqueue_bytes or 0 for record in records)
    assert queues == list(range(2, LEAKED + 2))  # what was sent, and one for the FIN
    assert {record.lport for record in records} == {port}
    lines = ss("-tnie", "state", "close-wait", f"sport = :{port}")
    by_peer = {f"{record.raddr}:{record.rport}": record for record in records}
    assert len(lines) == 2 * LEAKED  # without -O, details are a line of their own
    for head, details in zip(lines[::2], lines[1::2], strict=True):
        words = head.split()
        record = by_peer[words[3]]
        assert int(words[0]) == record.rqueue_bytes
        assert f"ino:{record.inode} " in head + " "
        assert f"sk:{record.cookie:x}" in head
        assert f"bytes_received:{record.bytes_received} " in details
        assert f" {record.congestion} " in details


def test_the_accept_queue_of_a_listener_is_counted() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=13))
        for _ in range(5):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        dump = LiveHost().sock_diag(0, ANY_FAMILY, socket.IPPROTO_TCP, 1 << 10, 0)
        (record,) = decode_dump(dump, "tcp").of_inodes([os.fstat(listener.fileno()).st_ino]).records()
        assert (record.state, record.rqueue_bytes, record.wqueue_bytes, record.rport) == (
            "LISTEN",
            5,
            13,
            None,
        )
        line = ss("-ltn", f"sport = :{record.lport}")[0].split()
        assert (int(line[1]), int(line[2])) == (5, 13)


def test_ipv6_udp_and_unix_sockets() -> None:
    host = LiveHost()
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        client = stack.enter_context(socket.create_connection(server.getsockname()[:2]))
        datagram = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagram.bind(("127.0.0.1", 0))
        left, right = socket.socketpair()
        stack.enter_context(left)
        stack.enter_context(right)
        inode = {name: os.fstat(one.fileno()).st_ino for name, one in
                 (("client", client), ("datagram", datagram), ("left", left), ("right", right))}  # fmt: skip
        for family in (ANY_FAMILY, socket.AF_INET6):
            dump = host.sock_diag(0, family, socket.IPPROTO_TCP, ALL_STATES, INET_EXTENSIONS)
            (record,) = decode_dump(dump, "tcp").of_inodes([inode["client"]]).records()
            assert (record.family, record.raddr, record.state) == ("inet6", "::1", "ESTABLISHED")
        dump = host.sock_diag(0, socket.AF_INET, socket.IPPROTO_UDP, ALL_STATES, INET_EXTENSIONS)
        (record,) = decode_dump(dump, "udp").of_inodes([inode["datagram"]]).records()
        assert (record.protocol, record.lport, record.rport) == ("udp", datagram.getsockname()[1], None)
        dump = host.sock_diag(0, socket.AF_UNIX, 0, ALL_STATES, UNIX_SHOW)
        (record,) = decode_dump(dump, "unix").of_inodes([inode["left"]]).records()
        assert record.peer_inode == inode["right"]


def own_namespaces() -> set[str]:
    """Return the network namespaces of all threads of this process."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # ended meanwhile
            found.add(str((task / "ns" / "net").readlink()))
    return found


@pytest.fixture
def inner() -> Iterator[subprocess.Popen[str]]:
    """Return a process in a network namespace of its own, which goes with it."""
    child = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", INNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    yield child
    child.communicate()


def test_the_targets_namespace_is_looked_into_and_leadline_stays_in_its_own(
    inner: subprocess.Popen[str],
) -> None:
    host = LiveHost()
    before = host.link_proc("thread-self/ns/net")
    assert host.link_proc(f"{inner.pid}/ns/net") != before
    dump = host.sock_diag(inner.pid, ANY_FAMILY, socket.IPPROTO_TCP, ALL_STATES, INET_EXTENSIONS)
    counts = decode_dump(dump, "tcp").state_counts()
    assert counts == {"ESTABLISHED": 14, "LISTEN": 1}
    limit = time.perf_counter() + 10
    while own_namespaces() != {before}:  # the thread that went there ends just after it was joined
        assert time.perf_counter() < limit
    assert not [thread for thread in threading.enumerate() if thread.name == "leadline-netns"]


def test_no_descriptor_is_left_open(inner: subprocess.Popen[str]) -> None:
    host = LiveHost()
    before = host.fd_count(os.getpid())
    for pid in (0, inner.pid):
        host.sock_diag(pid, ANY_FAMILY, socket.IPPROTO_TCP, ALL_STATES, 0)
    with pytest.raises(Unsupported):
        host.sock_diag(0, 44, 0, ALL_STATES, 0)
    assert host.fd_count(os.getpid()) == before


def test_a_target_that_has_ended_is_gone(inner: subprocess.Popen[str]) -> None:
    inner.communicate()
    with pytest.raises(TargetGone):
        LiveHost().sock_diag(inner.pid, ANY_FAMILY, socket.IPPROTO_TCP, ALL_STATES, 0)


def test_a_dump_of_many_datagrams_is_whole() -> None:
    """Two thousand sockets take some thirty datagrams of the kernel."""
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(1000)]
        for pair in pairs:
            for end in pair:
                stack.enter_context(end)
        inodes = {os.fstat(end.fileno()).st_ino for pair in pairs for end in pair}
        table = decode_dump(LiveHost().sock_diag(0, socket.AF_UNIX, 0, ALL_STATES, UNIX_SHOW), "unix")
        assert table.is_complete
        assert set(table.of_inodes(inodes).inodes.tolist()) == inodes
