"""HTP104: websockets that outlive their server are found; those of a server that serves are not."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import RAW_READ, Runtime
from evidence_builders import Scene
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import Listener
from leadline.model import Severity
from leadline.rules.htp.hijacked_after_shutdown import RULE

LISTENERS = (Listener(inode=1, address="10.0.0.1", port=8080),)


def websockets(
    count: int, *, listens: bool, is_traced: bool = True, has_sockets: bool = True, **facts: Any
) -> Runtime:
    listeners = LISTENERS if listens else ()
    scene = Scene(window_s=12.0, listeners=listeners, has_sockets=has_sockets)
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all([1.0 if is_traced else -60.0] * count, local_port=8080)
    runtime = Runtime(scene)
    for life in place.lives:
        goid = runtime.reader(life, *RAW_READ, "bufio.(*Reader).Read", "io.Copy", "main.(*hub).listen:54")
        runtime.connection(life, "server", "websocket", "hijacked", owner_goid=goid, goids=(goid,), **facts)
    return runtime


def test_those_of_a_closing_server_are_found_with_their_goroutine_and_the_accept() -> None:
    found = finding(RULE, websockets(23, listens=False, server_closing=True).evidence())
    assert (
        found.title
        == "23 hijacked connections of port 8080 are open although their server was told to shut down"
    )
    assert (found.severity, found.confidence, found.count, found.kind) == (Severity.MEDIUM, 0.9, 23, "tcp")
    assert [(site.function, site.line, site.role) for site in found.sites] == [
        ("main.serve", 42, "acquired"),
        ("main.(*hub).listen", 54, "parked"),
    ]
    assert "taken over from net/http; goroutine 100 has been parked" in found.because[0].says


def test_without_the_server_a_lost_listener_tells() -> None:
    found = finding(RULE, websockets(23, listens=False).evidence())
    assert found.title.endswith("although their server no longer listens")
    assert (found.severity, found.confidence) == (Severity.MEDIUM, 0.7)


def test_a_new_server_on_the_port_makes_it_low() -> None:
    found = finding(RULE, websockets(23, listens=True, server_closing=True).evidence())
    assert (found.severity, found.confidence) == (Severity.LOW, 0.7)
    assert "listens on port 8080 again" in found.against[1].says


def test_5_fire_and_4_do_not() -> None:
    assert finding(RULE, websockets(5, listens=False, server_closing=True).evidence()).count == 5
    assert (
        "4 of a server that has been shut down"
        in cleared(RULE, websockets(4, listens=False, server_closing=True).evidence()).reason
    )


@pytest.mark.parametrize("closing", [False, None])
def test_thousands_of_a_server_that_serves_are_healthy(closing: bool | None) -> None:
    verdict = cleared(RULE, websockets(5000, listens=True, server_closing=closing).evidence())
    assert (verdict.pattern, verdict.count) == ("served", 5000)


def test_a_server_that_is_known_to_serve_needs_no_listener() -> None:
    """Its listener may be another process's."""
    assert cleared(RULE, websockets(23, listens=False, server_closing=False).evidence())


def test_websockets_that_the_process_dialed_are_none_of_its_business() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed")
    place.all([1.0] * 9)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.connection(life, "client", "websocket", "hijacked")
    assert cleared(RULE, runtime.evidence()).count == 0


@pytest.mark.parametrize(("has_sockets", "is_traced"), [(False, True), (True, False)])
def test_not_judged_where_nobody_tells_of_the_server(has_sockets: bool, is_traced: bool) -> None:
    """The process may have been given connections that another one accepted."""
    runtime = websockets(23, listens=False, has_sockets=has_sockets, is_traced=is_traced)
    assert "still serves" in not_judged(RULE, runtime.evidence()).missing


def test_not_judged_without_the_runtime() -> None:
    assert is_silent_without(RULE)
