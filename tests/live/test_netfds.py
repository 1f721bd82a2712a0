"""Which descriptor a connection object has, against what a program says of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import go_truth
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime import pollers
from leadline.probes.snapshot_runtime.netfds import NetFds, tls_state

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=go_truth.builds())
def truth(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[go_truth.Truth]:
    go, stripped = request.param
    program = go_truth.build("netfds", go, tmp_path_factory.mktemp("netfds"), stripped=stripped)
    with go_truth.running(program) as truth:
        pollers.read(LiveHost(), truth.process, truth.look, truth.found)
        yield truth


def _objects(truth: go_truth.Truth) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = truth.said  # type: ignore[assignment]
    return said


def test_interface_values_lead_to_their_descriptors(truth: go_truth.Truth) -> None:
    objects = _objects(truth)
    tabs, data = (np.array([one["words"][k] for one in objects], np.uint64) for k in (0, 1))
    told = NetFds(truth.process, truth.found).of_interfaces(tabs, data)
    names = [one["name"] for one in objects]
    assert dict(zip(names, told.fds.tolist(), strict=True)) == {one["name"]: one["fd"] for one in objects}
    assert dict(zip(names, told.tls.tolist(), strict=True)) == {one["name"]: one["tls"] for one in objects}
    assert len(objects) == 14


def test_words_that_are_no_connection_lead_nowhere(truth: go_truth.Truth) -> None:
    nets = NetFds(truth.process, truth.found)
    objects = _objects(truth)
    itab = objects[0]["words"][0]
    garbage = np.array([0, 1, 4096, itab, (1 << 64) - 8, truth.process.module("data"), 1 << 46], np.uint64)
    assert (nets.of_interfaces(garbage, garbage).fds == -1).all()
    assert (nets.of_interfaces(np.full(len(garbage), itab, np.uint64), garbage).fds == -1).all()
    assert (nets.of_pointers(garbage) == -1).all()
    assert (nets.of_poll_fds(garbage) == -1).all()
    assert (nets.of_known(garbage, garbage) == -1).all()


def test_unpolled_descriptors_are_not_believed(truth: go_truth.Truth) -> None:
    one = _objects(truth)[0]
    truth_without = go_truth.Truth(truth.said, truth.process, truth.look, type(truth.found)())
    nets = NetFds(truth_without.process, truth_without.found)
    assert nets.of_pointers(np.array([one["words"][1]], np.uint64)).tolist() == [-1]


def test_sockets_say_their_network_and_port(truth: go_truth.Truth) -> None:
    nets = NetFds(truth.process, truth.found)
    objects = [one for one in _objects(truth) if one["network"]]
    pointers = np.array([truth.process.memory.word(one["words"][1]) for one in objects], np.uint64)
    assert [tuple(name) for name in nets.names(pointers)] == [
        (one["network"], one["port"]) for one in objects
    ]
    assert len(objects) == 3
    assert [tuple(name) for name in nets.names(np.array([8, 0], np.uint64))] == [("", 0), ("", 0)]


def test_tls_connections_say_whether_their_handshake_is_complete(truth: go_truth.Truth) -> None:
    objects = [one for one in _objects(truth) if one["handshake"]]
    told = {one["name"]: tls_state(truth.process, one["words"][1]) for one in objects}
    assert told == {one["name"]: tuple(one["handshake"]) for one in objects}
    assert tls_state(truth.process, 8) is None
