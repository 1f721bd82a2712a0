"""What goroutines say of descriptors: which are healthy because of it, which are not, and how sure a leak is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connection_builders import BODY_HELD, RAW_READ, Runtime
from evidence_builders import HTTP_DIAL, Place, Scene, steady
from judging import cleared, finding, verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import Listener, PoolHolder, RetentionRoot
from leadline.model import Finding, Layer
from leadline.rules.fdl import (
    close_wait_pile_up,
    leaking_accepted_connections,
    leaking_descriptors,
    leaking_dialed_connections,
    silent_clients,
)

DIALED = leaking_dialed_connections.RULE
ACCEPTED = leaking_accepted_connections.RULE
REGISTRY = RetentionRoot(kind="global", name="main.registry", path=("map", "*main.session", "net.Conn"))


def dialing(count: int = 23, *, below: tuple[str, ...] = (), **facts: Any) -> tuple[Scene, Place]:
    """Return a process that dialed so many connections in 30 s, which are still open and silent."""
    scene = Scene()
    place = scene.place("tcp", "dialed", function="main.fetch", below=below)
    place.all(steady(count, 1.0, 29.0), **facts)
    return scene, place


def accepting(count: int = 23, **facts: Any) -> tuple[Scene, Place]:
    scene = Scene()
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all(steady(count, 1.0, 24.0), **facts)
    return scene, place


def says(found: Finding) -> str:
    return " ".join(one.says for one in found.because if one.layer is Layer.RUNTIME)


def test_without_a_goroutine_the_same_leak_is_surer_and_the_report_says_why() -> None:
    scene, place = dialing()
    before = finding(DIALED, scene)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.use(life)
        runtime.retain(life, "reachable", REGISTRY)
    after = finding(DIALED, runtime.evidence())
    assert after.confidence > before.confidence
    assert "no goroutine waits on 23 of 23" in says(after)
    assert "reachable from global main.registry (map → *main.session → net.Conn)" in says(after)
    assert [site.role for site in after.sites] == ["acquired"]


def test_a_parked_goroutine_is_named_beside_the_acquisition_and_costs_confidence() -> None:
    scene, place = dialing()
    before = finding(DIALED, scene)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.reader(life, *RAW_READ, "main.read:57")
    after = finding(DIALED, runtime.evidence())
    assert after.confidence < before.confidence
    assert [(site.role, site.function, site.line) for site in after.sites] == [
        ("acquired", "main.fetch", 42),
        ("parked", "main.read", 57),
    ]
    assert after.sites[1].stack
    assert (
        "Acquired at main.fetch (main.go:42), they are kept by goroutines that wait at main.read"
        in after.explanation
    )
    assert "no read deadline" in says(after)
    assert any("by design looks the same" in doubt.says for doubt in after.against)


@pytest.mark.parametrize("facts", [{"moved": True}, {"deadline_s": 60.0}, {"state": "running"}])
def test_goroutines_that_run_or_have_a_deadline_are_healthy_users(facts: dict[str, Any]) -> None:
    scene, place = dialing()
    assert finding(DIALED, scene)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.reader(life, *RAW_READ, "main.read:57", **facts)
    found = cleared(DIALED, runtime.evidence())
    assert "23 of 23 are in use by a goroutine" in found.reason
    assert "goroutine 100" in found.reason


def pooled(count: int, *, pools: int) -> Evidence:
    """Return silent connections that net/http has idle, in so many pools."""
    scene, place = dialing(count, below=HTTP_DIAL)
    runtime = Runtime(scene)
    for index in range(pools):
        runtime.pool("net/http.Transport", place.lives[index::pools])
    for index, life in enumerate(place.lives):
        runtime.client(life, "idle", pool=1 + index % pools)
    return runtime.evidence()


def test_connections_that_one_pool_has_idle_are_healthy_although_it_dialed_on() -> None:
    scene, _ = dialing(35, below=HTTP_DIAL)
    assert finding(DIALED, scene).count == 35
    found = cleared(DIALED, pooled(35, pools=1))
    assert "35 of 35 are idle in a pool (net/http.Transport)" in found.reason
    assert found.pattern == "idle-pool"


def test_a_pool_for_each_request_excuses_nothing() -> None:
    assert finding(DIALED, pooled(35, pools=35)).count == 35


def test_held_answers_are_certain_and_named() -> None:
    scene, place = dialing(below=HTTP_DIAL)
    before = finding(DIALED, scene)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.client(life, "body-held")
    after = finding(DIALED, runtime.evidence())
    assert after.confidence >= before.confidence
    assert "An answer is held on 2" in says(after)
    assert "neither read to its end nor closed" in says(after)


@pytest.mark.parametrize(("silent_s", "held"), [(5.0, 1), (4.9, 0)])
def test_an_answer_is_held_after_exactly_five_seconds(silent_s: float, held: int) -> None:
    scene = Scene()
    place = scene.place("tcp", "dialed", function="main.fetch", below=HTTP_DIAL)
    place.live(2.0, last_data_s=30.0 - silent_s)
    runtime = Runtime(scene)
    runtime.client(place.lives[0], "body-held")
    (found,) = verdicts(DIALED, runtime.evidence())
    assert ("1 are open and in use" in str(found)) is not bool(held)


def test_an_answer_that_is_handed_on_is_in_use() -> None:
    scene, place = dialing(below=HTTP_DIAL)
    runtime = Runtime(scene)
    for life in place.lives:
        owner = runtime.go(*RAW_READ, "main.copy:9", moved=True)
        runtime.client(life, "body-held", owner_goid=owner)
    assert "in use by a goroutine" in cleared(DIALED, runtime.evidence()).reason


def test_a_body_that_is_being_read_is_healthy_however_long() -> None:
    scene, place = dialing(below=HTTP_DIAL)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.client(life, "body-reading")
    assert "in use by a goroutine" in cleared(DIALED, runtime.evidence()).reason


def test_rows_that_nobody_has_are_held() -> None:
    scene, place = dialing(below=("database/sql.(*DB).conn",))
    runtime = Runtime(scene)
    number = runtime.pool("database/sql.DB", place.lives)
    for life in place.lives:
        runtime.go(*BODY_HELD)
        runtime.use(life)
        runtime.connection(life, "client", "sql", "in-use", pool=number, held_by="*sql.Rows")
    fds = runtime.fds()
    holders = tuple(PoolHolder(how="*sql.Rows", fd=fds[id(life)]) for life in place.lives)
    runtime.pools[0] = msgspec.structs.replace(runtime.pools[0], holders=holders)
    assert finding(DIALED, runtime.evidence()).count == 23


def test_an_accepted_connection_with_a_live_peer_and_a_goroutine_is_healthy_and_the_reason_names_it() -> None:
    scene, place = accepting()
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.reader(life, *RAW_READ, "main.chat:80")
    found = cleared(ACCEPTED, runtime.evidence())
    assert found.pattern == "live-peers"
    assert "goroutines wait on or work with 23 of them" in found.reason
    assert "main.go:80" in found.reason


@pytest.mark.parametrize(("verdict", "is_found"), [("unreachable", True), ("reachable", False)])
def test_a_live_peer_excuses_a_connection_without_goroutine_only_while_something_reaches_it(
    verdict: str, *, is_found: bool
) -> None:
    scene, place = accepting()
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.use(life)
        runtime.retain(life, verdict)
    (found,) = verdicts(ACCEPTED, runtime.evidence())
    assert isinstance(found, Finding) is is_found


def test_a_listener_whose_goroutine_accepts_is_in_use() -> None:
    scene = Scene()
    place = scene.place("tcp", "opened", syscall="socket", function="main.listen")
    place.all(steady(23, 1.0, 29.0), state="LISTEN")
    assert finding(leaking_descriptors.RULE, scene)
    runtime = Runtime(scene)
    for life in place.lives:
        goid = runtime.reader(life, *RAW_READ, "main.accept:12")
        runtime.connection(life, "listener", "tcp", "accepting", owner_goid=goid, goids=(goid,))
    assert "in use by a goroutine" in cleared(leaking_descriptors.RULE, runtime.evidence()).reason


def test_a_peer_that_is_gone_is_excused_only_by_a_goroutine_that_runs_now() -> None:
    scene, place = accepting(state="CLOSE_WAIT", since_ack_s=6.0)
    runtime = Runtime(scene)
    for life in place.lives:
        goid = runtime.go("runtime.gopark", "main.work:7", state="chan receive", moved=True)
        runtime.use(life)
        runtime.connection(life, "server", "tcp", "blocked", owner_goid=goid, goids=(goid,))
    found = finding(ACCEPTED, runtime.evidence())
    assert found.sites[1].role == "parked"
    busy = Runtime(scene)
    for life in place.lives:
        goid = busy.go(state="running")
        busy.use(life)
        busy.connection(life, "server", "tcp", "handler", owner_goid=goid, goids=(goid,))
    assert "in use by a goroutine" in cleared(ACCEPTED, busy.evidence()).reason


def test_other_processes_and_dumps_change_nothing() -> None:
    """A runtime that was not read tells nothing of its absence."""
    scene, _ = dialing()
    evidence = Runtime(scene).evidence()
    plain = scene.evidence()
    assert finding(DIALED, evidence).confidence == finding(DIALED, plain).confidence
    assert says(finding(DIALED, evidence)) == ""


def test_the_pile_in_close_wait_tells_who_is_there() -> None:
    scene, place = accepting(state="CLOSE_WAIT", since_ack_s=6.0)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.use(life)
        runtime.retain(life, "reachable", REGISTRY)
    found = finding(close_wait_pile_up.RULE, runtime.evidence())
    assert "no goroutine waits on 23 of 23" in says(found)


@pytest.mark.parametrize(("deadline_s", "confidence"), [(0.0, 0.8), (None, 0.6), (60.0, None)])
def test_silent_clients_are_those_whose_read_has_no_deadline(
    deadline_s: float | None, confidence: float | None
) -> None:
    scene = Scene(listeners=(Listener(inode=1, address="::", port=40000),))
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all([1.0] * 12, received=0, sent=0)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.reader(life, *RAW_READ, "main.greet:33", deadline_s=deadline_s)
    if confidence is None:
        assert "on 12 a read deadline will end" in cleared(silent_clients.RULE, runtime.evidence()).reason
    else:
        found = finding(silent_clients.RULE, runtime.evidence())
        assert found.confidence == confidence
        assert found.sites[1].function == "main.greet"


@pytest.mark.parametrize(("is_reused", "doubts"), [(True, 1), (False, 0)])
def test_connections_that_later_requests_keep_are_no_proof_against_the_line_that_dialed(
    *, is_reused: bool, doubts: int
) -> None:
    scene, place = dialing(below=HTTP_DIAL)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.client(life, "body-held", is_reused=is_reused)
    found = finding(DIALED, runtime.evidence())
    says = [one.says for one in found.against if "had served earlier requests" in one.says]
    assert len(says) == doubts
