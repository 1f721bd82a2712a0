"""The recorded machine answers as the real one: one class of tests runs on both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from leadline.evidence.kinds import DescriptorKind as Kind
from leadline.formats.procfd import descriptor_kind
from leadline.formats.procmaps import parse_maps
from leadline.formats.procstat import parse_stat
from leadline.formats.sockdiag import ALL_STATES, ANY_FAMILY, INET_EXTENSIONS, UNIX_SHOW, decode_dump
from leadline.host import LiveHost
from leadline.host.recorded import ManualClock, RecordedHost, record
from leadline.model import AccessError, TargetGone, Unsupported

if TYPE_CHECKING:
    from leadline.contracts import Host

CHILD = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
held = [listener, socket.socket(), *socket.socketpair(), os.eventfd(0), os.pipe()]
client = socket.create_connection(listener.getsockname())
print(listener.getsockname()[1], client.fileno(), flush=True)
sys.stdin.read()
"""
LISTEN_STATE = 1 << 10


class Target(NamedTuple):
    """A child that holds a listener, a connection to it that nobody accepts, and some more."""

    pid: int
    port: int
    client: int


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    port, client = map(int, child.stdout.readline().split())
    yield Target(child.pid, port, client)
    child.stdin.close()
    child.stdout.close()
    child.wait(10)


@pytest.fixture(scope="module", params=["live", "recorded"])
def host(request: pytest.FixtureRequest, target: Target, tmp_path_factory: pytest.TempPathFactory) -> Host:
    if request.param == "live":
        return LiveHost()
    folder = tmp_path_factory.mktemp("recording")
    record(LiveHost(), [target.pid], folder)
    return RecordedHost(folder)


class TestHost:
    """What every host does."""

    def test_a_process_is_the_one_that_was_started(self, host: Host, target: Target) -> None:
        stat = parse_stat(host.read_proc(f"{target.pid}/stat"))
        assert (stat.pid, stat.parent_pid) == (target.pid, os.getpid())
        with host.open_process(target.pid) as process:  # type: ignore[attr-defined]
            assert (process.pid, process.start_ticks) == (target.pid, stat.start_ticks)
            assert process.is_alive()
            assert not process.wait_exit(1_000_000)

    def test_the_program_is_the_interpreter(self, host: Host, target: Target) -> None:
        assert host.link_proc(f"{target.pid}/exe") == str(Path(sys.executable).resolve())
        assert b"sys.stdin.read" in host.read_proc(f"{target.pid}/cmdline")

    def test_the_descriptor_table_has_every_kind(self, host: Host, target: Target) -> None:
        links = host.fd_links(target.pid)
        kinds = host.socket_kinds(target.pid, links)
        plain = [descriptor_kind(link.name, link.mode) for link in links]
        found = [kind for kind in plain if kind is not Kind.SOCKET] + list(kinds.values())
        assert found.count(Kind.TCP) == 3
        assert found.count(Kind.UNIX) == 2
        assert found.count(Kind.EVENTFD) == 1
        assert host.fd_count(target.pid) == len(links)
        assert host.link_proc(f"{target.pid}/fd/{target.client}") in {link.name for link in links}

    def test_sockets_are_told_by_protocol(self, host: Host, target: Target) -> None:
        assert host.socket_protocol(target.pid, target.client) == "TCP"
        with pytest.raises(AccessError):
            host.socket_protocol(target.pid, 0)

    def test_the_listener_is_in_the_dump_of_listeners_alone(self, host: Host, target: Target) -> None:
        dump = host.sock_diag(target.pid, socket.AF_INET, socket.IPPROTO_TCP, LISTEN_STATE, 0)
        table = decode_dump(dump, "tcp")
        assert set(table.state_counts()) == {"LISTEN"}
        listening = [record for record in table.records() if record.lport == target.port]
        assert [record.rqueue_bytes for record in listening] == [1]

    def test_the_connection_is_in_the_dump_of_all(self, host: Host, target: Target) -> None:
        dump = host.sock_diag(target.pid, ANY_FAMILY, socket.IPPROTO_TCP, ALL_STATES, INET_EXTENSIONS)
        table = decode_dump(dump, "tcp")
        name = host.link_proc(f"{target.pid}/fd/{target.client}")
        (client,) = table.of_inodes([int(name[8:-1])]).records()
        ends = {client.lport, target.port}
        ours = [record for record in table.records() if {record.lport, record.rport} == ends]
        assert [record.state for record in ours] == ["ESTABLISHED", "ESTABLISHED"]
        assert all(record.rtt_us is not None for record in ours)

    def test_unix_sockets_know_their_peers(self, host: Host, target: Target) -> None:
        dump = host.sock_diag(target.pid, socket.AF_UNIX, 0, ALL_STATES, UNIX_SHOW)
        records = {record.inode: record for record in decode_dump(dump, "unix").records()}
        kinds = host.socket_kinds(target.pid, host.fd_links(target.pid))
        pair = [inode for inode, kind in kinds.items() if kind is Kind.UNIX]
        assert [records[inode].peer_inode for inode in pair] == pair[::-1]

    def test_a_process_that_does_not_exist_is_gone_everywhere(self, host: Host) -> None:
        for call in (
            lambda: host.read_proc("4194000/stat"),
            lambda: host.list_proc("4194000/fd"),
            lambda: host.link_proc("4194000/exe"),
            lambda: host.fd_links(4194000),
            lambda: host.fd_count(4194000),
            lambda: host.open_process(4194000),
            lambda: host.open_program(4194000),
            lambda: host.read_memory(4194000, 4096, 8),
            lambda: host.gather_memory(4194000, np.array([4096], np.uint64), np.array([8], np.uint64)),
            lambda: host.sock_diag(4194000, 2, 6, LISTEN_STATE, 0),
            lambda: host.socket_protocol(4194000, 1),
        ):
            with pytest.raises(TargetGone):
                call()

    def test_files_that_a_host_lacks_are_unsupported(self, host: Host, target: Target) -> None:
        with pytest.raises(Unsupported):
            host.read_proc(f"{target.pid}/no-such-file")
        with pytest.raises(Unsupported):
            host.read_sys("no/such/file")
        with pytest.raises(Unsupported):
            host.list_var("no/such/directory")

    def test_clocks_run_in_nanoseconds(self, host: Host) -> None:
        assert host.clock.mono_ns() > 0
        assert host.clock.boot_ns() >= host.clock.mono_ns() - 10**9
        assert host.clock.unix_ns() > 1_600_000_000 * 10**9


def test_an_object_is_opened_as_it_is_mapped(target: Target) -> None:
    host = LiveHost()
    maps = parse_maps(host.read_proc(f"{target.pid}/maps"))
    program = host.link_proc(f"{target.pid}/exe")
    mine = next(entry for entry in maps if entry.path == program)
    view = host.open_object(target.pid, mine)
    assert view is not None
    assert bytes(view[:4]) == b"\x7fELF"
    assert len(view) == Path(program).stat().st_size


def test_manual_clocks_move_when_told() -> None:
    clock = ManualClock(mono_ns=5, boot_ns=6, unix_ns=7)
    clock.advance(10)
    assert (clock.mono_ns(), clock.boot_ns(), clock.unix_ns()) == (15, 16, 17)
