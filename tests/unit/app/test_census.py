"""A census is one look at this machine: exact for this process, and open about what it may not read."""

from __future__ import annotations

import json
import os
import socket

from leadline.app.census import census_all, census_target
from leadline.evidence.kinds import Descriptor, DescriptorKind, ProcessInfo, SocketState, Window


def test_planted_descriptors_are_counted_exactly() -> None:
    before = census_target(str(os.getpid())).evidence.all(Descriptor)
    pipes = [os.pipe() for _ in range(7)]
    try:
        after = census_target(str(os.getpid())).evidence.all(Descriptor)
    finally:
        for end in (end for pipe in pipes for end in pipe):
            os.close(end)
    grown = _count(after, DescriptorKind.PIPE) - _count(before, DescriptorKind.PIPE)
    assert grown == 14


def _count(descriptors: tuple[Descriptor, ...], kind: DescriptorKind) -> int:
    return sum(descriptor.kind is kind for descriptor in descriptors)


def test_a_listener_is_seen_with_its_state_and_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        case = census_target(str(os.getpid()))
        port = server.getsockname()[1]
    seen = [one for one in case.evidence.all(SocketState) if one.lport == port]
    assert {one.state for one in seen} == {"LISTEN"}
    assert len({one.inode for one in seen}) == 1
    (window,) = case.evidence.all(Window)
    assert window.mode == "single"
    process = case.evidence.first(ProcessInfo)
    assert process is not None
    assert process.pid == os.getpid()
    assert port in [one.port for one in process.listeners]


def test_a_census_of_all_has_this_process_and_its_limits() -> None:
    document = json.loads(census_all(as_json=True, verbose=False))
    assert document["schema_version"] == 1
    assert document["unread"] >= 0
    (own,) = [row for row in document["processes"] if row["pid"] == os.getpid()]
    assert own["open_count"] > 0
    text = census_all(as_json=False, verbose=False)
    assert str(os.getpid()) in text
