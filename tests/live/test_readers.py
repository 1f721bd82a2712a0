"""What connections do, against what a program says of its own: HTTP/1, TLS and HTTP/2, clients and servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

import go_truth
from leadline.host import LiveHost
from leadline.model import GapReason, Malformed, TargetGone, Unsupported
from leadline.probes.snapshot_runtime import pollers
from leadline.probes.snapshot_runtime.look import GoroutineLook, take_look
from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look
from leadline.probes.snapshot_runtime.process import OpenedProcess
from leadline.probes.snapshot_runtime.readers import READERS, read_all
from live_runs import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from leadline.evidence.kinds import Connection
    from leadline.probes.snapshot_runtime.looks import Memory, Words

WRONG = 0.05
"""Share of words that are read wrong."""
CONNECTION_READERS = [one for one in READERS if "connections" in one[0] or "handshakes" in one[0]]
EVERYTHING = 50
"""Connections that the program tells of."""


@pytest.fixture(scope="module", params=go_truth.builds())
def truth(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[go_truth.Truth]:
    go, stripped = request.param
    program = go_truth.build("connections", go, tmp_path_factory.mktemp("connections"), stripped=stripped)
    with go_truth.running(program) as truth:
        yield truth


def _look(truth: go_truth.Truth) -> GoroutineLook:
    assert isinstance(truth.process, OpenedProcess)
    return take_look(truth.process)


def _told(connection: Connection | None, want: dict[str, Any]) -> dict[str, Any]:
    """Return what leadline says in the words of the program; what the program leaves open is taken from it."""
    if connection is None:
        return {"fd": want["fd"]}
    goid = connection.owner_goid or 0
    is_open = want["goid"] < 0 or (want["goid"] == 0 and want["role"] == "server")
    return {
        "case": want["case"], "fd": connection.fd, "role": connection.role, "protocol": connection.protocol,
        "activity": connection.activity, "tls": connection.tls, "host": connection.host or "",
        "scheme": connection.scheme or "", "handler": connection.handler.function if connection.handler else "",
        "goid": want["goid"] if is_open else goid, "streams": connection.streams or 0, "read_ns": connection.read_limit_ns or 0,
        "header_ns": connection.header_limit_ns or 0, "idle_ns": connection.idle_limit_ns or 0,
    }  # fmt: skip


def _settled(truth: go_truth.Truth) -> Found:
    """Look until all is as the program says, for at most ten seconds; return the last look's findings."""
    host = LiveHost()
    last = [Found()]

    def is_so() -> bool:
        last[0] = Found()
        read_all(host, truth.process, _look(truth), last[0])
        return all(_told(last[0].connections.get(want["fd"]), want) == want for want in _wanted(truth))

    try:
        until(is_so, "what the program says", deadline_s=10)
    except AssertionError:
        for want in _wanted(truth):
            assert _told(last[0].connections.get(want["fd"]), want) == want
        raise
    return last[0]


def _wanted(truth: go_truth.Truth) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = truth.said  # type: ignore[assignment]
    return said


def test_every_connection_does_what_the_program_says(truth: go_truth.Truth) -> None:
    found = _settled(truth)
    wanted = _wanted(truth)
    assert len(wanted) == EVERYTHING
    others = {fd: one for fd, one in found.connections.items() if fd not in {want["fd"] for want in wanted}}
    assert {(one.role, one.protocol, one.activity) for one in others.values()} == {
        ("listener", "tcp", "accepting")
    }
    assert found.gaps == []


def test_idle_connections_know_since_when(truth: go_truth.Truth) -> None:
    found = _settled(truth)
    now = truth.look.mono_ns + 60 * 10**9
    idle = [one for one in found.connections.values() if one.activity in {"idle", "keep-alive", "first-byte"}]
    with_moment = [one for one in idle if one.protocol == "http/1.1"]
    assert len(with_moment) >= 8
    assert all(0 < (one.since_mono_ns or 0) < now for one in with_moment)


def test_servers_are_not_closing_and_the_goroutine_that_serves_is_the_owner(truth: go_truth.Truth) -> None:
    found = _settled(truth)
    servers = [
        one for one in found.connections.values() if one.role == "server" and one.protocol == "http/1.1"
    ]
    assert len(servers) >= 20
    for one in servers:
        assert one.server_closing is False
        assert one.owner_goid == one.goids[0]
    handled = [one for one in servers if one.activity == "handler"]
    assert all(len(one.goids) == 2 for one in handled)  # the background read of the server belongs to it too


def test_what_a_server_serves_is_told_by_method_and_path(truth: go_truth.Truth) -> None:
    found = _settled(truth)
    told = {want["case"]: found.connections[want["fd"]] for want in _wanted(truth)}
    plain = [one for one in told.values() if one.role == "server" and one.protocol == "http/1.1"]
    served = {one.request for one in plain if one.request is not None}
    assert {"POST /upload", "GET /flood"} <= served, served
    for one in plain:
        if one.activity in {"handler", "body", "writing"} and one.handler is not None:
            path = "/" + one.handler.function.removeprefix("main.")
            assert (one.request or "").endswith(path), one
        if one.activity in {"first-byte", "headers", "keep-alive", "tls-handshake"}:
            assert one.request is None
    taken = [
        one for one in told.values() if one.handler is not None and one.handler.function == "main.takeover"
    ]
    assert {one.request for one in taken} == {"GET /takeover"}


def test_each_transport_is_a_pool(truth: go_truth.Truth) -> None:
    found = _settled(truth)
    clients = [one for one in found.connections.values() if one.role == "client" and one.protocol != "tls"]
    pools = {pool.id: pool for pool in found.pools}
    assert len(clients) == len(pools) == 15  # the program makes a Transport for each
    for one in clients:
        assert one.pool is not None
        pool = pools[one.pool]
        assert (pool.kind, pool.name, pool.fds) == ("net/http.Transport", one.host, (one.fd,))
        assert (pool.open, pool.idle, pool.in_use) == (
            1,
            int(one.activity == "idle"),
            int(one.activity != "idle"),
        )


# -- readers that fail ------------------------------------------------------------------------------------------


def _failing(error: Exception) -> object:
    def read(process: GoProcess, look: Look, found: Found) -> None:
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (KeyError("http.conn.rwc"), GapReason.UNSUPPORTED, "'http.conn.rwc'"),
        (IndexError("out of range"), GapReason.MALFORMED, "IndexError: out of range"),
        (Malformed("stack", "torn"), GapReason.MALFORMED, "torn"),
        (Unsupported("no such thing"), GapReason.UNSUPPORTED, "no such thing"),
    ],
)
def test_a_reader_that_fails_leaves_a_gap_and_the_others_go_on(
    truth: go_truth.Truth, error: Exception, reason: GapReason, detail: str
) -> None:
    _settled(truth)
    found = Found()
    readers = (("what fails", _failing(error)), *READERS)
    read_all(LiveHost(), truth.process, _look(truth), found, readers=readers)  # type: ignore[arg-type]
    assert [(gap.what, gap.reason) for gap in found.gaps] == [("what fails", reason)]
    assert detail in found.gaps[0].detail
    assert len(found.connections) >= EVERYTHING


def test_a_target_that_is_gone_ends_the_reading(truth: go_truth.Truth) -> None:
    with pytest.raises(TargetGone):
        read_all(
            LiveHost(),
            truth.process,
            truth.look,
            Found(),
            readers=(("x", _failing(TargetGone("gone"))),),  # type: ignore[arg-type]
        )


class Torn:
    """Memory whose words are wrong now and then: zero, small, random, or the address of something else."""

    def __init__(self, memory: Memory, seed: int) -> None:
        self._memory = memory
        self._random = np.random.default_rng(seed)
        self._seen = np.zeros(1, np.uint64)

    def _spoil(self, raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
        words = np.ascontiguousarray(raw).copy()
        flat = words.reshape(-1)
        whole = flat[: len(flat) // 8 * 8].view(np.uint64)
        if len(whole):
            self._seen = np.concatenate([self._seen, whole[:64]])[-4096:]
            wrong = self._random.random(len(whole)) < WRONG
            kinds = self._random.integers(0, 4, len(whole))
            values = np.select(
                [kinds == 0, kinds == 1, kinds == 2],
                [
                    np.zeros(len(whole), np.uint64),
                    self._random.integers(0, 4096, len(whole), np.uint64),
                    self._random.integers(0, 1 << 64, len(whole), np.uint64),
                ],
                self._random.choice(self._seen, len(whole)),
            )
            whole[wrong] = values[wrong]
        return words

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._spoil(np.frombuffer(self._memory.read(address, size), np.uint8)))

    def words(self, address: int, count: int) -> Words:
        spoilt: Words = self._spoil(self._memory.words(address, count).view(np.uint8)).view(np.uint64)
        return spoilt

    def word(self, address: int) -> int:
        return int(
            self._spoil(np.array([self._memory.word(address)], np.uint64).view(np.uint8)).view(np.uint64)[0]
        )

    def gather(self, addresses: Words, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        rows, are_read = self._memory.gather(addresses, size)
        return self._spoil(rows), are_read

    def gather_words(self, addresses: Words) -> tuple[Words, NDArray[np.bool_]]:
        words, are_read = self._memory.gather_words(addresses)
        return self._spoil(words.view(np.uint8)).view(np.uint64), are_read

    def text(self, address: int, size: int) -> str | None:
        raw = self.read(address, min(size, 4096))
        return raw.decode(errors="replace")


class TornProcess:
    """A process with such memory."""

    def __init__(self, process: GoProcess, seed: int) -> None:
        self._process = process
        self.memory = Torn(process.memory, seed)

    def __getattr__(self, name: str) -> object:
        return getattr(self._process, name)


@pytest.mark.parametrize("seed", range(5))
def test_memory_that_is_wrong_here_and_there_makes_no_reader_fail(truth: go_truth.Truth, seed: int) -> None:
    """What is told then may be less or wrong, but each reader ends soon and says where it fails."""
    process = cast("GoProcess", TornProcess(truth.process, seed))
    look = _look(truth)
    found = Found(unix_minus_mono_ns=10**18)
    pollers.read(LiveHost(), process, look, found)
    assert found.uses
    for what, reader in CONNECTION_READERS:
        reader(process, look, found)
        assert all(one.fd in found.uses for one in found.connections.values()), what
