"""Which protocol the functions of a stack tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.probes.snapshot_runtime.libraries import protocol_of


@pytest.mark.parametrize(
    ("function", "protocol", "role"),
    [
        ("github.com/gorilla/websocket.(*Conn).advanceFrame", "websocket", ""),
        ("github.com/coder/websocket.(*Conn).readLoop", "websocket", ""),
        ("nhooyr.io/websocket.(*Conn).Reader", "websocket", ""),
        ("github.com/redis/go-redis/v9/internal/proto.(*Reader).ReadLine", "redis", "client"),
        ("github.com/jackc/pgx/v5/pgproto3.(*Frontend).Receive", "sql", "client"),
        ("github.com/lib/pq.(*conn).recv1Buf", "sql", "client"),
        ("github.com/go-sql-driver/mysql.(*mysqlConn).readPacket", "sql", "client"),
        ("google.golang.org/grpc/internal/transport.(*http2Client).reader", "grpc", "client"),
        ("google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams", "grpc", "server"),
        ("github.com/valyala/fasthttp.(*Server).serveConn", "http/1.1", "server"),
        ("net/rpc.(*Client).input", "rpc", "client"),
        ("main.websocket.(*Conn).Read", "", ""),
        ("github.com/me/gorilla/websocket2.Read", "", ""),
        ("", "", ""),
    ],
)
def test_libraries_are_known_by_their_import_path(function: str, protocol: str, role: str) -> None:
    found = protocol_of(["internal/poll.(*FD).Read", "net.(*conn).Read", function, "main.main"])
    assert (found.protocol, found.role) == (protocol, role)


def test_the_library_nearest_to_the_wait_decides() -> None:
    functions = [
        "net.(*conn).Read",
        "github.com/redis/go-redis/v9.(*Client).Process",
        "github.com/gorilla/websocket.(*Conn).ReadMessage",
    ]
    assert protocol_of(functions).protocol == "redis"


def test_a_frame_further_out_may_add_the_role() -> None:
    functions = [
        "google.golang.org/grpc/internal/transport.(*framer).readFrame",
        "google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams",
    ]
    assert protocol_of(functions)[:2] == ("grpc", "server")


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_functions_have_an_answer(functions: list[str]) -> None:
    assert isinstance(protocol_of(functions).protocol, str)
