"""What a goroutine that serves an HTTP/1 connection does, by its stack and what Go noted of the connection."""

from __future__ import annotations

import pytest

from leadline.probes.snapshot_runtime.http_server import ServerConn, activity_of

SERVE = "net/http.(*conn).serve"
WAIT = ("internal/poll.(*FD).Read", "net.(*conn).Read", "net/http.(*connReader).Read")
REQUEST = ("net/http.readRequest", "net/http.(*conn).readRequest", SERVE)
HANDLER = ("main.users", "net/http.HandlerFunc.ServeHTTP", "net/http.serverHandler.ServeHTTP", SERVE)
NEW, ACTIVE, IDLE, HIJACKED = range(4)


def conn(**facts: object) -> ServerConn:
    return ServerConn(i=0, fd=7, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("functions", "parked", "facts", "activity"),
    [
        ((*WAIT, *REQUEST), "read", {"state": NEW, "buffered": 0}, "first-byte"),
        ((*WAIT, *REQUEST), "read", {"state": NEW, "buffered": 2}, "headers"),
        ((*WAIT, "net/textproto.(*Reader).ReadMIMEHeader", *REQUEST), "read", {"state": NEW, "buffered": 0}, "headers"),
        ((*WAIT, *REQUEST), "read", {"state": IDLE, "buffered": 0}, "headers"),
        ((*WAIT, *REQUEST), "read", {"state": NEW, "buffered": None}, None),
        ((*WAIT, "bufio.(*Reader).Peek", SERVE), "read", {"state": IDLE}, "keep-alive"),
        ((*WAIT, "net/http.(*body).readLocked", "net/http.(*body).Read", *HANDLER), "read", {"state": ACTIVE}, "body"),
        (("runtime.chanrecv", *HANDLER), "", {"state": ACTIVE}, "handler"),
        (("net.(*conn).Write", "net/http.checkConnErrorWriter.Write", *HANDLER), "write", {"state": ACTIVE}, "writing"),
        (("net.(*conn).Read", *HANDLER), "read", {"state": ACTIVE, "hijacked": True}, "hijacked"),
        (("net.(*conn).Read", *HANDLER), "read", {"state": HIJACKED}, "hijacked"),
        (("net.(*conn).Read", "crypto/tls.(*Conn).HandshakeContext", SERVE), "read", {"state": NEW}, "tls-handshake"),
        ((SERVE,), "", {"state": ACTIVE}, None),
        (("sync.(*Mutex).Lock", "net/http.(*conn).setState", SERVE), "", {"state": NEW}, None),
    ],
)  # fmt: skip
def test_activities(
    functions: tuple[str, ...], parked: str, facts: dict[str, object], activity: str | None
) -> None:
    assert activity_of(functions, conn(**facts), parked=parked) == activity
