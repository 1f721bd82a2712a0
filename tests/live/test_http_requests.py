"""What connections were asked for, against a program that asks for known paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import go_truth
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime import http_client, pollers
from leadline.probes.snapshot_runtime.http_requests import CLIENT_SCHEMES, tell_requests
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.process import OpenedProcess
from live_runs import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadline.evidence.kinds import Connection

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=go_truth.builds())
def truth(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[go_truth.Truth]:
    go, stripped = request.param
    program = go_truth.build("transports", go, tmp_path_factory.mktemp("transports"), stripped=stripped)
    with go_truth.running(program) as truth:
        yield truth


def _connections(truth: go_truth.Truth) -> list[Connection]:
    """Return the connections once the program's goroutines stand still."""
    last: list[Connection] = []
    process = truth.process
    assert isinstance(process, OpenedProcess)

    def is_settled() -> bool:
        found, look = Found(), take_look(process)
        pollers.read(LiveHost(), process, look, found)
        http_client.read(process, look, found)
        last[:] = found.connections.values()
        activities = [one.activity for one in last]
        return len(activities) == 12 and activities.count("body-held") == 3 and "in-use" in activities

    until(is_settled, "twelve connections", deadline_s=10)
    return last


def test_held_responses_are_told_by_method_and_path_without_query(truth: go_truth.Truth) -> None:
    held = [one for one in _connections(truth) if one.activity == "body-held"]
    assert sorted((one.request, one.is_reused) for one in held) == [
        ("GET /", False),
        ("GET /", False),
        ("GET /v1/prices", True),
    ]


def test_a_request_without_an_answer_is_told_by_the_goroutine_that_asked(truth: go_truth.Truth) -> None:
    [one] = [one for one in _connections(truth) if one.activity == "in-use"]
    assert (one.request, one.is_reused) == ("POST /upload", False)
    assert "secret" not in repr(one)


def test_idle_connections_are_told_without_a_request(truth: go_truth.Truth) -> None:
    idle = [one for one in _connections(truth) if one.activity == "idle"]
    assert {(one.request, one.is_reused) for one in idle} == {(None, True)}


def test_other_objects_are_no_requests(truth: go_truth.Truth) -> None:
    words = np.unique(np.concatenate([truth.look.words(i) for i in range(len(truth.look.goids))]))
    told = tell_requests(truth.process, words, CLIENT_SCHEMES)
    assert {text for text in told if text is not None} <= {"GET /", "GET /v1/prices", "POST /upload"}
    assert told.count(None) > 0.9 * len(told)
    assert (
        tell_requests(truth.process, np.array([0, 8, 4096, 1 << 60], np.uint64), CLIENT_SCHEMES) == [None] * 4
    )
