"""Ports of HTTP servers, and the connections that handlers have taken over there."""

from __future__ import annotations

import pytest

from leadline import lab
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime import pollers, streams
from leadline.probes.snapshot_runtime.http_ports import http_ports, ports_at
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.process import OpenedProcess, open_process
from live_runs import until

pytestmark = [pytest.mark.live, pytest.mark.slow]


def _found(process: OpenedProcess, ports: frozenset[int]) -> Found:
    """Return what the streams tell when net/http accepted on some ports earlier."""
    found, look = Found(http_ports=ports), take_look(process)
    pollers.read(LiveHost(), process, look, found)
    streams.read(process, look, found)
    return found


def _taken_over(process: OpenedProcess, ports: frozenset[int]) -> int:
    return sum(one.activity == "hijacked" for one in _found(process, ports).connections.values())


def test_connections_outlive_the_port_they_came_in_on() -> None:
    lab.build_all(["hijacked-pumps"])
    with lab.start("hijacked-pumps") as running:
        process = open_process(LiveHost(), running.pid)
        ports: set[int] = set()

        def is_shut_down() -> bool:
            now = ports_at(LiveHost(), process, take_look(process))
            ports.update(now)
            return bool(ports) and not now

        until(is_shut_down, "the end of the server", deadline_s=15)
        assert len(ports) == 1
        until(lambda: _taken_over(process, frozenset(ports)) == 23, "23 connections", deadline_s=5)
        assert _taken_over(process, frozenset()) == 0, "nothing tells any more that they came from net/http"
        assert _taken_over(process, frozenset({1})) == 0


def test_servers_of_other_protocols_have_none() -> None:
    lab.build_all(["chat-server"])
    with lab.start("chat-server") as running:
        process = open_process(LiveHost(), running.pid)
        found: list[Found] = []

        def is_serving() -> bool:
            found[:] = [_found(process, frozenset())]
            activities = {one.activity for one in found[0].connections.values()}
            return {"accepting", "reading"} <= activities

        until(is_serving, "a listener and its connections", deadline_s=15)
        look = take_look(process)
        assert ports_at(LiveHost(), process, look) == http_ports(process, look, found[0]) == frozenset()
        assert {one.role for one in found[0].connections.values()} == {"listener", "server"}
