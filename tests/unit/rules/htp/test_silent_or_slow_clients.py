"""HTP103: clients that let a server without limits wait are found; keep-alive, websockets and long polls are not."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import Runtime
from evidence_builders import Scene
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import Listener
from leadline.model import Severity
from leadline.rules.htp.silent_or_slow_clients import RULE

S = 10**9
LISTENERS = (Listener(inode=1, address="10.0.0.1", port=8080),)


def clients(
    count: int,
    activity: str = "first-byte",
    *,
    deadline_s: float | None = 0.0,
    soft: int = 20000,
    born_s: float = 1.0,
    moved: bool | None = None,
    silent_s: float = 12.0,
    has_sockets: bool = True,
    passes: int = 2,
    **facts: Any,
) -> Runtime:
    scene = Scene(window_s=14.0, listeners=LISTENERS, nofile_soft=soft, has_sockets=has_sockets)
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all([born_s] * count, local_port=8080, received=8, sent=0, last_data_s=14.0 - silent_s)
    runtime = Runtime(scene, passes)
    for life in place.lives:
        runtime.server(life, activity, deadline_s=deadline_s, moved=moved, **facts)
    return runtime


def test_silent_clients_are_found() -> None:
    found = finding(RULE, clients(23).evidence())
    assert (
        found.title
        == "23 clients on port 8080 have not sent a whole request, and the server waits without a limit"
    )
    assert "23 have sent nothing; one has let the server wait for 13 s." in found.explanation
    assert (found.severity, found.confidence, found.count, found.kind) == (Severity.MEDIUM, 0.9, 23, "tcp")
    assert "no read deadline" in found.because[0].says
    assert [(site.function, site.role) for site in found.sites] == [
        ("main.serve", "acquired"),
        ("net.(*conn).Read", "parked"),
    ]


def test_10_fire_and_9_do_not() -> None:
    assert finding(RULE, clients(10).evidence()).count == 10
    assert "9 let the server wait without a limit" in cleared(RULE, clients(9).evidence()).reason


def test_a_hundred_or_a_tenth_of_the_limit_is_high() -> None:
    assert finding(RULE, clients(99).evidence()).severity is Severity.MEDIUM
    assert finding(RULE, clients(100).evidence()).severity is Severity.HIGH
    assert finding(RULE, clients(10, soft=100).evidence()).severity is Severity.HIGH


def test_10_s_fire_and_less_does_not() -> None:
    assert finding(RULE, clients(23, born_s=4.0, silent_s=9.0).evidence())
    assert cleared(RULE, clients(23, born_s=4.001, silent_s=9.0).evidence())


@pytest.mark.parametrize("activity", ["first-byte", "headers", "body"])
def test_each_part_of_a_request_is_found(activity: str) -> None:
    assert finding(RULE, clients(23, activity).evidence())


def test_a_header_that_drips_in_is_found_and_an_upload_that_moves_is_healthy() -> None:
    assert finding(RULE, clients(23, "headers", moved=True, silent_s=0.5).evidence())
    assert cleared(RULE, clients(23, "body", moved=True, silent_s=0.5).evidence())


def test_limits_clear_it() -> None:
    verdict = cleared(RULE, clients(23, deadline_s=30.0).evidence())
    assert verdict.pattern == "limited"
    assert "23 within a limit" in verdict.reason
    assert cleared(RULE, clients(23, deadline_s=None, header_limit_ns=5 * S, read_limit_ns=0).evidence())


def test_the_servers_limits_decide_where_deadlines_are_unknown() -> None:
    found = finding(RULE, clients(23, deadline_s=None, header_limit_ns=0, read_limit_ns=0).evidence())
    assert found.confidence == 0.8
    assert "could not be read" in found.against[0].says


@pytest.mark.parametrize("activity", ["keep-alive", "handler", "hijacked", "writing"])
def test_idle_long_polling_and_hijacked_connections_are_healthy(activity: str) -> None:
    verdict = cleared(RULE, clients(5000, activity).evidence())
    assert verdict.count == 5000


def test_two_ports_are_two_findings_or_none() -> None:
    runtime = clients(9)
    place = runtime.scene.place("tcp", "accepted")
    place.all([1.0] * 9, local_port=9090, sent=0)
    for life in place.lives:
        runtime.server(life, "first-byte")
    assert "18 let the server wait" in cleared(RULE, runtime.evidence()).reason


def test_without_sockets_it_is_told_without_the_port() -> None:
    found = finding(RULE, clients(23, has_sockets=False).evidence())
    assert found.title.startswith("23 clients have not sent a whole request")


def test_one_look_suffices_since_age_and_deadline_are_facts() -> None:
    assert finding(RULE, clients(23, passes=1).evidence()).confidence == 0.9


def test_not_judged_where_no_limit_is_known_and_without_the_runtime() -> None:
    assert "read deadlines" in not_judged(RULE, clients(23, deadline_s=None).evidence()).missing
    assert is_silent_without(RULE)
