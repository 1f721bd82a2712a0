"""TLS101: clients that never finish the handshake are found where nothing limits it."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import Runtime
from evidence_builders import Scene
from judging import cleared, finding, is_silent_without, not_judged
from leadline.evidence.kinds import Listener
from leadline.model import Severity
from leadline.rules.tls.silent_tls_handshakes import RULE

S = 10**9


def clients(
    count: int,
    activity: str = "tls-handshake",
    *,
    born_s: float = 1.0,
    deadline_s: float | None = 0.0,
    role: str = "accepted",
    **facts: Any,
) -> Runtime:
    listeners = (Listener(inode=1, address="10.0.0.1", port=8443),)
    scene = Scene(window_s=12.0, listeners=listeners, nofile_soft=20000)
    place = scene.place("tcp", role, function="main.serveTLS")
    place.all([born_s] * count, local_port=8443, received=0, sent=0)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.server(life, activity, moved=None, deadline_s=deadline_s, tls=True, **facts)
    return runtime


def test_silent_handshakes_are_found() -> None:
    found = finding(RULE, clients(23).evidence())
    assert (
        found.title
        == "23 clients on port 8443 have not finished the TLS handshake, and the server waits without a limit"
    )
    assert (found.severity, found.confidence) == (Severity.MEDIUM, 0.9)
    assert "in its TLS handshake; goroutine" in found.because[0].says
    assert "HandshakeContext" in found.remedy
    assert found.sites[0].function == "main.serveTLS"


def test_10_fire_and_9_do_not() -> None:
    assert finding(RULE, clients(10).evidence())
    assert cleared(RULE, clients(9).evidence())


def test_handshakes_of_10_s_fire_and_younger_ones_do_not() -> None:
    assert finding(RULE, clients(23, born_s=2.0).evidence())
    assert cleared(RULE, clients(23, born_s=2.001).evidence())


def test_a_deadline_or_a_limit_of_the_server_clears_it() -> None:
    assert cleared(RULE, clients(23, deadline_s=40.0).evidence()).pattern == "limited"
    assert cleared(RULE, clients(23, deadline_s=None, header_limit_ns=S, read_limit_ns=0).evidence())


@pytest.mark.parametrize("activity", ["first-byte", "headers", "keep-alive"])
def test_later_parts_of_a_request_are_none_of_its_business(activity: str) -> None:
    assert cleared(RULE, clients(23, activity).evidence())


def test_handshakes_of_this_process_as_a_client_are_none_of_its_business() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("tcp", "dialed")
    place.all([1.0] * 23)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.client(life, "tls-handshake", tls=True)
    assert cleared(RULE, runtime.evidence()).count == 0


def test_not_judged_without_deadlines_and_without_the_runtime() -> None:
    assert "read deadlines" in not_judged(RULE, clients(23, deadline_s=None).evidence()).missing
    assert is_silent_without(RULE)
