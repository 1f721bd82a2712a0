"""Connections and pools of HTTP transports, against what a program says of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import go_truth
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime import http_client, pollers
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.process import OpenedProcess
from live_runs import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadline.evidence.kinds import Pool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=go_truth.builds())
def truth(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[go_truth.Truth]:
    go, stripped = request.param
    program = go_truth.build("transports", go, tmp_path_factory.mktemp("transports"), stripped=stripped)
    with go_truth.running(program) as truth:
        yield truth


def _read(truth: go_truth.Truth) -> Found:
    """Return what is found once the program's goroutines stand still."""
    last = [Found()]
    assert isinstance(truth.process, OpenedProcess)
    process = truth.process

    def is_settled() -> bool:
        found = last[0] = Found()
        host = LiveHost()
        found.unix_minus_mono_ns = host.clock.unix_ns() - host.clock.mono_ns()
        look = take_look(process)
        pollers.read(host, process, look, found)
        http_client.read(process, look, found)
        activities = [one.activity for one in found.connections.values()]
        return len(activities) == 12 and activities.count("body-held") == 3 and "in-use" in activities

    until(is_settled, "twelve connections", deadline_s=10)
    return last[0]


def _as_said(pool: Pool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "open": pool.open,
        "idle": pool.idle,
        "max_open": -1 if pool.max_open is None else pool.max_open,
        "waiting": list(pool.waiting_goids),
    }


def test_pools_have_the_connections_and_waiters_that_the_program_says(truth: go_truth.Truth) -> None:
    found = _read(truth)
    told = [_as_said(pool) for pool in found.pools]
    for want in truth.said["pools"].values():
        assert {**want, "waiting": sorted(want["waiting"])} in told
    assert len(found.pools) == 6
    assert len({pool.id for pool in found.pools}) == 6
    assert all(pool.open == len(pool.fds) and pool.kind == "net/http.Transport" for pool in found.pools)


def test_a_goroutine_that_has_the_response_may_still_read_it(truth: go_truth.Truth) -> None:
    found = _read(truth)
    held = [one for one in found.connections.values() if one.activity == "body-held"]
    assert all(one.owner_goid is None for one in held)
    assert [one.fd for one in held if truth.said["holder"] in one.known_to_goids] != []


def test_a_request_that_is_being_sent_is_in_use(truth: go_truth.Truth) -> None:
    found = _read(truth)
    [one] = [one for one in found.connections.values() if one.host == truth.said["mute"]]
    assert (one.activity, one.owner_goid, one.role, one.scheme) == (
        "in-use",
        truth.said["sender"],
        "client",
        "http",
    )
    assert len(one.goids) == 3  # who asked, readLoop, writeLoop
    assert one.site is not None
    assert one.site.function.startswith("main.main.func")


def test_a_proxy_hides_the_host(truth: go_truth.Truth) -> None:
    found = _read(truth)
    [one] = [one for one in found.connections.values() if one.host is None]
    assert (one.activity, one.scheme) == ("idle", "http")
