"""HTP101: bodies that nobody reads are found; streams, proxies and moments are not."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import Runtime
from evidence_builders import HTTP_DIAL, Place, Scene, steady
from judging import cleared, finding, is_silent_without, not_judged, verdicts
from leadline.model import Finding, Severity
from leadline.rules.htp.response_body_held import RULE


def dialed(scene: Scene, **facts: Any) -> Place:
    return scene.place("tcp", "dialed", function="main.refresh", below=HTTP_DIAL, **facts)


def held(
    count: int, *, growing: bool = True, passes: int = 2, has_sockets: bool = True, **facts: Any
) -> Runtime:
    """Return a client whose bodies are held: made in the window, or before it."""
    scene = Scene(window_s=20.0, has_sockets=has_sockets)
    place = dialed(scene)
    place.all(steady(count, 0.2, 14.0) if growing else [-60.0] * count, **facts)
    runtime = Runtime(scene, passes)
    for life in place.lives:
        runtime.client(life, "body-held", moved=None if growing else False)
    return runtime


def test_forgotten_bodies_are_found_with_the_line_that_asked_and_the_host() -> None:
    found = finding(RULE, held(23).evidence())
    assert (
        found.title
        == "23 response bodies from http://api.test:80 are neither read nor closed at main.refresh (main.go:42)"
    )
    assert (found.count, found.kind, found.confidence) == (23, "tcp", 0.95)
    assert found.rate_per_s == pytest.approx(1.1, abs=0.1)
    assert found.severity is Severity.HIGH
    assert [(site.function, site.role) for site in found.sites] == [("main.refresh", "acquired")]
    assert "the body is neither read to its end nor closed; goroutine" in found.because[0].says
    assert "no data has moved on it for" in found.because[0].says
    assert "23 of them were made in the window at main.refresh (main.go:42)" in found.because[1].says
    assert not found.against


def test_5_fire_and_4_do_not() -> None:
    assert finding(RULE, held(5).evidence()).count == 5
    assert cleared(RULE, held(4).evidence()).pattern == "none"


def test_old_ones_that_do_not_grow_are_found_with_less_confidence() -> None:
    found = finding(RULE, held(7, growing=False).evidence())
    assert (found.severity, found.confidence, found.rate_per_s) == (Severity.MEDIUM, 0.75, None)
    assert "from http://api.test:80" in found.title
    assert "did not grow" in found.against[0].says


def test_old_ones_join_those_of_the_same_host() -> None:
    runtime = held(8)
    place = dialed(runtime.scene)
    place.all([-100.0] * 30)
    for life in place.lives:
        runtime.client(life, "body-held")
    found = finding(RULE, runtime.evidence())
    assert found.count == 38
    assert "8 of them were made in the window" in found.because[1].says


def test_other_hosts_from_before_are_judged_on_their_own() -> None:
    runtime = held(8)
    place = dialed(runtime.scene)
    place.all([-100.0] * 6)
    for life in place.lives:
        runtime.client(life, "body-held", host="other.test:80")
    assert [one.count for one in verdicts(RULE, runtime.evidence()) if isinstance(one, Finding)] == [8, 6]


def test_5_s_of_silence_fire_and_less_does_not() -> None:
    assert finding(RULE, held(7, growing=False, last_data_s=15.0).evidence())
    assert (
        "for how long nobody has read 7"
        in not_judged(RULE, held(7, growing=False, last_data_s=15.001).evidence()).missing
    )


def test_without_sockets_the_goroutines_decide() -> None:
    found = finding(RULE, held(7, growing=False, has_sockets=False).evidence())
    assert "has been parked" in found.because[0].says
    assert not_judged(RULE, held(7, has_sockets=False).evidence()).count == 7


def test_one_look_is_less_sure_and_not_judged_without_sockets() -> None:
    found = finding(RULE, held(7, passes=1).evidence())
    assert found.confidence == 0.6
    assert "one look only" in found.against[-1].says
    silent = not_judged(RULE, held(7, passes=1, has_sockets=False).evidence())
    assert "there was one look only" in silent.remedy


def test_unread_data_without_growth_is_doubted() -> None:
    found = finding(RULE, held(7, growing=False, rqueue=4000).evidence())
    assert found.confidence == 0.5
    assert "slow receivers" in found.against[1].says


@pytest.mark.parametrize(("state", "moved"), [("IO wait", False), ("running", True), ("select", True)])
def test_bodies_that_a_goroutine_hands_on_are_healthy(state: str, moved: bool) -> None:
    """A proxy copies them to slow receivers, or a program works on what it has read."""
    scene = Scene(window_s=20.0)
    place = dialed(scene)
    place.all([-60.0] * 20)
    runtime = Runtime(scene)
    for life in place.lives:
        copier = runtime.go("net.(*conn).Write", "io.Copy", "main.proxy:9", state=state, moved=moved)
        runtime.client(life, "body-held", known_to_goids=(copier,))
    assert cleared(RULE, runtime.evidence())


def test_a_goroutine_that_forgot_the_body_and_waits_for_ever_is_named() -> None:
    scene = Scene(window_s=20.0)
    place = dialed(scene)
    place.all([-60.0] * 6)
    runtime = Runtime(scene)
    for life in place.lives:
        holder = runtime.go("runtime.gopark", "main.report:77", state="chan receive")
        runtime.client(life, "body-held", owner_goid=holder)
    found = finding(RULE, runtime.evidence())
    assert [(site.function, site.line, site.role) for site in found.sites] == [("main.report", 77, "parked")]


def test_streams_that_are_read_are_healthy() -> None:
    scene = Scene(window_s=20.0)
    place = dialed(scene)
    place.all(steady(50, 0.0, 19.0))
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.client(life, "body-reading")
    verdict = cleared(RULE, runtime.evidence())
    assert verdict.pattern == "streaming"
    assert "50 whose body is being read" in verdict.reason


def test_not_judged_without_the_runtime() -> None:
    assert is_silent_without(RULE)
    assert "Go runtime" in not_judged(RULE, Scene()).missing


def test_the_request_is_named_where_all_ask_for_the_same() -> None:
    scene = Scene(window_s=20.0)
    place = dialed(scene)
    place.all(steady(7, 0.2, 14.0))
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.client(life, "body-held", request="GET /v1/prices", is_reused=False)
    found = finding(RULE, runtime.evidence())
    assert found.title.startswith("7 response bodies of GET /v1/prices from http://api.test:80 are neither")
    assert found.title.endswith("at main.refresh (main.go:42)")
    assert not found.against


def reused(*requests: str | None) -> Runtime:
    """Return a client of one shared pool: a line dialed connections that others have used since."""
    scene = Scene(window_s=20.0)
    place = dialed(scene)
    place.all(steady(len(requests), 0.2, 14.0))
    runtime = Runtime(scene)
    for life, request in zip(place.lives, requests, strict=True):
        runtime.client(life, "body-held", request=request, is_reused=True)
    return runtime


def test_who_dialed_a_reused_connection_is_not_blamed_for_its_body() -> None:
    found = finding(RULE, reused(*["GET /forget"] * 6).evidence())
    assert (
        found.title == "6 response bodies of GET /forget from http://api.test:80 are neither read nor closed"
    )
    assert (
        "6 of these connections had served earlier requests: they were dialed at main.refresh (main.go:42), and each body is"
        " held by whoever asked for GET /forget last." in found.explanation
    )
    assert found.against[0].says.startswith("6 of the connections have served earlier requests")


def test_reused_connections_are_told_apart_by_request() -> None:
    runtime = reused(*["GET /a"] * 6, *["GET /b"] * 5, *["GET /c"] * 4, None)
    found = [one for one in verdicts(RULE, runtime.evidence()) if isinstance(one, Finding)]
    assert {one.title.partition(" response bodies")[2].split(" from ")[0]: one.count for one in found} == {
        " of GET /a": 6,
        " of GET /b": 5,
        "": 5,
    }
    [rest] = [one for one in found if " of GET" not in one.title]
    assert "whoever asked last" in rest.explanation


def test_many_paths_of_reused_connections_stay_one_finding() -> None:
    found = finding(RULE, reused(*[f"GET /users/{n}" for n in range(23)]).evidence())
    assert (found.count, "GET" in found.title) == (23, False)


def test_the_goroutine_that_has_the_responses_at_hand_is_named() -> None:
    runtime = Runtime(Scene(window_s=20.0))
    place = dialed(runtime.scene)
    place.all(steady(6, 0.2, 14.0))
    for life in place.lives:
        holder = runtime.go("runtime.gopark", "main.wait:7", "main.ask:9", state="chan receive")
        runtime.client(life, "body-held", known_to_goids=(holder,), is_reused=True)
    found = finding(RULE, runtime.evidence())
    assert [(site.function, site.role) for site in found.sites] == [
        ("main.wait", "parked"),
        ("main.refresh", "dialed"),
    ], "whoever has the responses comes before the place that dialed for an earlier request"
