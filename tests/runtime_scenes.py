"""Healthy programs as a trace with looks at their Go runtime would record them; nothing may be found in any of them.

Each function returns a Runtime: the patterns of the lab's healthy twins that have connections, and more that look alarming
by their number alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from connection_builders import RAW_READ, Runtime
from evidence_builders import HTTP_DIAL, Life, Place, Scene, poisson, steady
from leadline.evidence.kinds import Listener, RetentionRoot

__all__ = ["HEALTHY"]

S = 10**9
WINDOW_S = 15.0
LISTENERS = (Listener(inode=1, address="10.0.0.1", port=8080),)
TRANSPORT = "net/http.Transport"
WEBSOCKET = (*RAW_READ, "bufio.(*Reader).Read", "main.(*hub).read:30")

Healthy = Callable[[], Runtime]


def _client() -> tuple[Scene, Place, Runtime]:
    scene = Scene(window_s=WINDOW_S, nofile_soft=20_000)
    return scene, scene.place("tcp", "dialed", function="main.fetch", below=HTTP_DIAL), Runtime(scene)


def _raw() -> tuple[Place, Runtime]:
    """Return a process that dials connections of its own, without a pool."""
    scene = Scene(window_s=WINDOW_S, nofile_soft=20_000)
    return scene.place("tcp", "dialed", function="main.connect"), Runtime(scene)


def _server() -> tuple[Scene, Place, Runtime]:
    scene = Scene(window_s=WINDOW_S, nofile_soft=20_000, listeners=LISTENERS)
    listener = scene.place("tcp", "opened", syscall="socket", function="main.main")
    listener.live(-100.0, state="LISTEN", local_port=8080)
    runtime = Runtime(scene)
    runtime.reader(listener.lives[0], *RAW_READ[:2], "net.(*TCPListener).Accept", "main.main:12")
    runtime.connection(listener.lives[0], "listener", "tcp", "accepting")
    return scene, scene.place("tcp", "accepted", function="main.serve"), runtime


def _is_open(life: Life) -> bool:
    return life.died_s > WINDOW_S >= life.born_s


def _pool(runtime: Runtime, lives: list[Life]) -> None:
    """Put idle connections into one pool."""
    number = runtime.pool(TRANSPORT, lives, name="api.test:80", open=len(lives), idle=len(lives))
    for life in lives:
        runtime.client(life, "idle", moved=None if life.born_s >= 0 else True, pool=number)


def keepalive_pool() -> Runtime:
    _, place, runtime = _client()
    for born_s in steady(60, 0.0, 6.0):
        place.live(born_s, last_data_s=6.0 + born_s)
    _pool(runtime, place.lives)
    return runtime


def idle_timeout_pool() -> Runtime:
    """Bursts of thirty requests whose idle connections are given up after two seconds."""
    _, place, runtime = _client()
    for burst_s in (0.5, 5.5, 10.5, 14.0):
        for index in range(30):
            place.live(burst_s + index / 100, burst_s + 2.0)
    _pool(runtime, [life for life in place.lives if _is_open(life)])
    return runtime


def conn_per_request() -> Runtime:
    """Makes and closes a hundred connections a second."""
    _, place, runtime = _client()
    for born_s in steady(1500, 0.0, WINDOW_S):
        place.live(born_s, born_s + 0.03)
    for life in place.lives:
        if _is_open(life):
            runtime.client(life, "awaiting-response", moved=None)
    return runtime


def body_read_to_eof() -> Runtime:
    _, place, runtime = _client()
    place.live(-30.0, last_data_s=14.9)
    _pool(runtime, place.lives)
    return runtime


def answers_in_hand() -> Runtime:
    """Forty workers each have a response for some hundred milliseconds before they read it."""
    _, place, runtime = _client()
    place.all([-30.0] * 40, last_data_s=14.8)
    for life in place.lives:
        worker = runtime.go("main.parse:61", "main.worker:55", state="runnable", moved=True)
        runtime.client(life, "body-held", moved=True, owner_goid=worker)
    return runtime


def event_streams() -> Runtime:
    """Subscribes to five thousand streams of events that are quiet."""
    _, place, runtime = _client()
    place.all([-600.0] * 5000, last_data_s=1.0)
    for life in place.lives:
        runtime.client(life, "body-reading")
    return runtime


def stalled_proxy() -> Runtime:
    """A reverse proxy waits for slow receivers; the answers of its upstream wait meanwhile."""
    _, place, runtime = _client()
    receivers = runtime.scene.place("tcp", "accepted")
    runtime.scene.listeners = LISTENERS
    for _ in range(20):
        upstream = place.live(-60.0, rqueue=60_000)
        receiver = receivers.live(-60.0, local_port=8080)
        goid = runtime.go("net.(*conn).Write", "io.CopyBuffer", "main.proxy:20")
        runtime.use(receiver, writer_goid=goid, write_deadline_mono_ns=0)
        runtime.connection(receiver, "server", "http/1.1", "writing", owner_goid=goid)
        runtime.client(upstream, "body-held", owner_goid=goid)
    return runtime


def a_client_per_host() -> Runtime:
    """A crawler with a transport for each of two hundred hosts, more all the time."""
    _, place, runtime = _client()
    place.all(steady(200, 0.0, WINDOW_S))
    for index, life in enumerate(place.lives):
        host = f"site{index}.test:80"
        runtime.client(life, "idle", moved=None, host=host, pool=runtime.pool(TRANSPORT, [life], name=host))
    return runtime


def a_client_per_tenant() -> Runtime:
    """Thirty transports to one host, made at the start, each used now and then."""
    _, place, runtime = _client()
    place.all([-600.0] * 30)
    for life in place.lives:
        runtime.client(life, "idle", moved=True, pool=runtime.pool(TRANSPORT, [life], name="api.test:80"))
    return runtime


def sql_pool() -> Runtime:
    """Twenty connections that live three seconds each, and idle ones from before."""
    _, place, runtime = _client()
    for born_s in steady(100, -3.0, WINDOW_S):
        place.live(born_s, born_s + 3.0, last_data_s=min(born_s + 2.9, 14.9))
    lives = [life for life in place.lives if _is_open(life)]
    number = runtime.pool("database/sql.DB", lives, open=len(lives), idle=len(lives), max_open=20)
    for life in lives:
        runtime.use(life)
        runtime.connection(life, "client", "sql", "idle", pool=number)
    return runtime


def idle_websockets() -> Runtime:
    """Five thousand parked websockets, two hundred of which came in the window."""
    _, place, runtime = _server()
    place.all([-300.0] * 4800, local_port=8080)
    place.all(steady(200, 0.0, 14.0), local_port=8080)
    for life in place.lives:
        goid = runtime.reader(life, *WEBSOCKET, moved=None if life.born_s >= 0 else False)
        runtime.connection(
            life, "server", "websocket", "hijacked", owner_goid=goid, goids=(goid,), server_closing=False
        )
    return runtime


def raw_sessions() -> Runtime:
    """A protocol of its own: five hundred quiet sessions, more all the time, whose clients are there."""
    _, place, runtime = _server()
    place.all([*([-300.0] * 300), *steady(200, 0.0, 14.0)], local_port=8080)
    for life in place.lives:
        goid = runtime.reader(life, *RAW_READ, "main.session:40", moved=None if life.born_s >= 0 else False)
        runtime.connection(life, "other", "tcp", "reading", owner_goid=goid, goids=(goid,))
    return runtime


def sessions_that_wait_for_work() -> Runtime:
    """Their goroutines wait for a channel with something to say; the clients are there."""
    _, place, runtime = _server()
    place.all(steady(200, 0.0, 14.0), local_port=8080)
    for life in place.lives:
        goid = runtime.go("runtime.gopark", "main.push:33", state="select", moved=None)
        runtime.use(life)
        runtime.connection(life, "other", "tcp", "blocked", owner_goid=goid, goids=(goid,))
    return runtime


def long_polling() -> Runtime:
    _, place, runtime = _server()
    for born_s in steady(150, -4.0, WINDOW_S):
        place.live(born_s, born_s + 4.0, local_port=8080)
    for life in place.lives:
        if _is_open(life):
            runtime.server(life, "handler", moved=None)
    return runtime


def server_sent_events() -> Runtime:
    """Five thousand streams whose handlers wait for an event."""
    _, place, runtime = _server()
    place.all([-600.0] * 5000, local_port=8080)
    for life in place.lives:
        runtime.server(life, "handler")
    return runtime


def http_keepalive() -> Runtime:
    """Clients that keep their connection between requests, on a server without limits."""
    _, place, runtime = _server()
    place.all([-300.0] * 1000, local_port=8080)
    for life in place.lives:
        runtime.server(life, "keep-alive", header_limit_ns=0, read_limit_ns=0, idle_limit_ns=0)
    return runtime


def grpc_streams() -> Runtime:
    """A gRPC server and its client: thousands of open streams on a few connections."""
    _, place, runtime = _server()
    place.all([-300.0] * 50, local_port=8080)
    dialed = runtime.scene.place("tcp", "dialed")
    dialed.all([-300.0] * 50)
    for life, role in [*((one, "server") for one in place.lives), *((one, "client") for one in dialed.lives)]:
        goid = runtime.reader(
            life, *RAW_READ, "google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams"
        )
        runtime.connection(life, role, "grpc", "in-use", goids=(goid,), streams=100)
    return runtime


def silent_clients_fixed() -> Runtime:
    """Clients that say nothing, on a server that shows them out after five seconds."""
    _, place, runtime = _server()
    for born_s in steady(60, -5.0, WINDOW_S):
        place.live(born_s, born_s + 5.0, local_port=8080, sent=0, received=0)
    for life in place.lives:
        if _is_open(life):
            runtime.server(life, "first-byte", moved=None, deadline_s=life.born_s + 5.0)
    return runtime


def spare_connections() -> Runtime:
    """A browser keeps six connections ready, on a server without limits."""
    _, place, runtime = _server()
    place.all([-60.0] * 6, local_port=8080, sent=0, received=0)
    for life in place.lives:
        runtime.server(life, "first-byte")
    return runtime


def slow_uploads() -> Runtime:
    """Forty uploads that take minutes, on a server without limits; data moves on each."""
    _, place, runtime = _server()
    place.all([-120.0] * 40, local_port=8080, last_data_s=14.5)
    for life in place.lives:
        runtime.server(life, "body", moved=True)
    return runtime


def tls_errors_handled() -> Runtime:
    """Called in plain text on a TLS port; net/http closes the connections."""
    _, place, runtime = _server()
    for born_s in steady(300, 0.0, WINDOW_S):
        place.live(born_s, born_s + 0.02, local_port=8080)
    return runtime


def graceful_restart() -> Runtime:
    """The old server drains its last requests beside the new one on the same port."""
    _, place, runtime = _server()
    place.all([-1.0] * 8, local_port=8080, last_data_s=14.9)
    for life in place.lives:
        runtime.server(life, "handler", moved=True, server_closing=True)
    return runtime


def cancelled_dials() -> Runtime:
    """Dials that are given up after 30 ms, while they are under way."""
    place, runtime = _raw()
    for born_s in steady(200, 0.0, WINDOW_S):
        place.live(born_s, born_s + 0.03, state="SYN_SENT")
    for life in place.lives:
        if _is_open(life):
            goid = runtime.go("net.(*netFD).connect", "net.(*Dialer).DialContext", "main.dial:9", moved=None)
            runtime.use(life, writer_goid=goid)
    return runtime


def worker_pool() -> Runtime:
    """A thousand workers wait for work; twenty of them have a connection to a queue that they dialed at the start."""
    place, runtime = _raw()
    place.all([-600.0] * 20)
    for _ in range(1000):
        runtime.go("runtime.gopark", "runtime.chanrecv1", "main.worker:17", state="chan receive")
    for life in place.lives:
        goid = runtime.go("runtime.gopark", "runtime.chanrecv1", "main.publisher:29", state="chan receive")
        runtime.use(life)
        runtime.connection(life, "other", "tcp", "blocked", owner_goid=goid, goids=(goid,))
    return runtime


def subscriptions() -> Runtime:
    """Two hundred connections to a broker, parked in reads without a deadline since the start."""
    place, runtime = _raw()
    place.all([-600.0] * 200)
    for life in place.lives:
        goid = runtime.reader(life, *RAW_READ, "main.subscribe:70")
        runtime.connection(life, "other", "tcp", "reading", owner_goid=goid, goids=(goid,))
    return runtime


def subscriptions_in_use() -> Runtime:
    """Subscriptions are added all the time, and messages come on each."""
    place, runtime = _raw()
    for born_s in steady(60, 0.0, 13.0):
        place.live(born_s, last_data_s=14.0)
    for life in place.lives:
        goid = runtime.reader(life, *RAW_READ, "main.subscribe:70", moved=None)
        runtime.connection(life, "other", "tcp", "reading", owner_goid=goid, goids=(goid,))
    return runtime


def sessions_at_random() -> Runtime:
    """Raw outgoing sessions that come and go at random, each parked in a read while it lasts."""
    rng = random.Random(7)
    place, runtime = _raw()
    for born_s in poisson(rng, 8, -12.0, WINDOW_S):
        place.live(born_s, born_s + rng.expovariate(1 / 1.5))
    place.lives = [life for life in place.lives if life.died_s > 0]
    for life in place.lives:
        if _is_open(life):
            runtime.reader(life, *RAW_READ, "main.session:70", moved=None)
    return runtime


def spare_tls_connections() -> Runtime:
    """Completed TLS connections in a list of spares, with which no goroutine works yet."""
    place, runtime = _raw()
    place.all([-100.0] * 10, received=4000)
    root = RetentionRoot(kind="global", name="main.spares", path=("[]*tls.Conn",))
    for life in place.lives:
        runtime.use(life)
        runtime.connection(life, "other", "tls", "no-goroutine", tls=True)
        runtime.retain(life, "reachable", root, go_type="*tls.Conn", handshake_complete=True)
    return runtime


HEALTHY: dict[str, Healthy] = {
    make.__name__: make
    for make in (
        keepalive_pool,
        idle_timeout_pool,
        conn_per_request,
        body_read_to_eof,
        answers_in_hand,
        event_streams,
        stalled_proxy,
        a_client_per_host,
        a_client_per_tenant,
        sql_pool,
        idle_websockets,
        raw_sessions,
        sessions_that_wait_for_work,
        long_polling,
        server_sent_events,
        http_keepalive,
        grpc_streams,
        silent_clients_fixed,
        spare_connections,
        slow_uploads,
        tls_errors_handled,
        graceful_restart,
        cancelled_dials,
        worker_pool,
        subscriptions,
        subscriptions_in_use,
        sessions_at_random,
        spare_tls_connections,
    )
}
