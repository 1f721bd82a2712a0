"""Libraries that speak a protocol over a connection, recognised by their functions on a stack."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Library", "protocol_of"]


class Library(NamedTuple):
    """What a function of a library tells: protocol and role, each empty when it does not tell; which module it is."""

    protocol: str = ""
    role: str = ""
    module: str = ""


# Import path prefix of a function, then protocol and role. The first that fits the function nearest to the leaf counts.
_LIBRARIES: tuple[tuple[str, str, str], ...] = (
    (r"github\.com/gorilla/websocket\.", "websocket", ""),
    (r"(?:nhooyr\.io|github\.com/coder)/websocket\.", "websocket", ""),
    (r"golang\.org/x/net/websocket\.", "websocket", ""),
    (r"github\.com/gobwas/ws[./]", "websocket", ""),
    (r"github\.com/lesismal/nbio/nbhttp/websocket\.", "websocket", ""),
    (r"github\.com/(?:redis/go-redis|go-redis/redis)/", "redis", "client"),
    (r"github\.com/(?:gomodule/redigo|redis/rueidis|mediocregopher/radix)[./]", "redis", "client"),
    (r"github\.com/jackc/(?:pgx|pgconn|pgproto3)[./]", "sql", "client"),
    (r"github\.com/lib/pq\.", "sql", "client"),
    (r"github\.com/go-sql-driver/mysql\.", "sql", "client"),
    (r"github\.com/(?:denisenkom/go-mssqldb|microsoft/go-mssqldb)[./]", "sql", "client"),
    (r"github\.com/ClickHouse/(?:clickhouse-go|ch-go)/", "sql", "client"),
    (r"google\.golang\.org/grpc/internal/transport\.\(\*http2Client\)", "grpc", "client"),
    (r"google\.golang\.org/grpc/internal/transport\.\(\*http2Server\)", "grpc", "server"),
    (r"google\.golang\.org/grpc/internal/transport\.NewServerTransport", "grpc", "server"),
    (r"google\.golang\.org/grpc/internal/transport\.", "grpc", ""),
    (r"github\.com/valyala/fasthttp\.\(\*Server\)", "http/1.1", "server"),
    (r"github\.com/valyala/fasthttp\.\(\*(?:Host|Pipeline)?Client\)", "http/1.1", "client"),
    (r"go\.mongodb\.org/mongo-driver/", "mongodb", "client"),
    (r"github\.com/(?:segmentio/kafka-go|IBM/sarama|Shopify/sarama|twmb/franz-go)[./]", "kafka", "client"),
    (r"github\.com/nats-io/nats\.go\.", "nats", "client"),
    (r"github\.com/nats-io/nats-server/", "nats", "server"),
    (r"github\.com/(?:rabbitmq/amqp091-go|streadway/amqp)\.", "amqp", "client"),
    (r"github\.com/eclipse/paho[./]", "mqtt", "client"),
    (r"github\.com/miekg/dns\.\(\*Server\)", "dns", "server"),
    (r"github\.com/miekg/dns\.\(\*(?:Client|Conn)\)", "dns", "client"),
    (r"github\.com/gocql/gocql\.", "cassandra", "client"),
    (r"golang\.org/x/crypto/ssh\.", "ssh", ""),
    (r"golang\.org/x/net/http2\.\(\*ClientConn\)", "http/2", "client"),
    (r"golang\.org/x/net/http2\.\(\*serverConn\)", "http/2", "server"),
    (r"net/http\.\(\*readWriteCloserBody\)\.", "tcp", "client"),
    (r"net/rpc\.\(\*Client\)", "rpc", "client"),
    (r"net/rpc\.\(\*Server\)", "rpc", "server"),
    (r"net/smtp\.\(\*Client\)", "smtp", "client"),
    (r"net\.\(\*Resolver\)\.(?:exchange|tryOneName|goLookup)", "dns", "client"),
)
_PATTERNS = tuple((re.compile(pattern), protocol, role) for pattern, protocol, role in _LIBRARIES)
_NOTHING = Library()


def protocol_of(functions: Sequence[str]) -> Library:
    """Return what the functions of a stack tell about the protocol and role of the connection that it waits on.

    Args:
        functions: full names, leaf first. The library nearest to the leaf decides; one further out that speaks the same
            protocol may add the role.

    >>> protocol_of(["net.(*conn).Read", "github.com/gorilla/websocket.(*Conn).advanceFrame", "main.serve"]).protocol
    'websocket'
    """
    best = _NOTHING
    for function in functions:
        one = _library_of(function)
        if not one.protocol:
            continue
        if not best.protocol:
            best = one
        elif not best.role and one.protocol == best.protocol and one.role:
            return Library(best.protocol, one.role, best.module)
        if best.role:
            break
    return best


@lru_cache(maxsize=4096)
def _library_of(function: str) -> Library:
    for pattern, protocol, role in _PATTERNS:
        if pattern.match(function):
            return Library(protocol, role, function.split("(", 1)[0].rpartition(".")[0])
    return _NOTHING
