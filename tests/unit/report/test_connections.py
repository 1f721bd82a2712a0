"""Connections as rows: joins of descriptor, socket, goroutine, birthplace and holder."""

from __future__ import annotations

import pytest

from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Connection,
    Descriptor,
    DescriptorKind,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Origin,
    Retention,
    RetentionRoot,
    SocketState,
    Stack,
    Window,
)
from leadline.model import SiteFrame
from leadline.report.connections import (
    SORTS,
    ConnectionRow,
    connection_rows,
    connection_table,
    reached_from,
    sorted_rows,
)

S = 10**9
END_NS = 1_000 * S
PID = 7
SERVE = SiteFrame(function="main.serve", file="/src/main.go", line=42, role="app")
READ = SiteFrame(function="net.(*conn).Read", file="net.go", line=9, role="std")


def scene(*records: object, state: str = "ESTABLISHED", looked: bool = True) -> Evidence:
    """Return evidence with one TCP socket, descriptor 5, and more."""
    evidence = Evidence()
    evidence.put(Window(begin_mono_ns=END_NS - 10 * S, end_mono_ns=END_NS, begin_unix_ns=0, mode="bpf"))
    evidence.put(
        Descriptor(
            pid=PID, fd=5, kind=DescriptorKind.TCP, origin=Origin.BEFORE, inode=50, seen_since_mono_ns=0
        )
    )
    evidence.put(
        SocketState(
            inode=50, protocol="tcp", family="inet", state=state, raddr="10.0.0.9", rport=80, rqueue_bytes=3
        )
    )
    if looked:
        evidence.put(GoRuntime(pid=PID, source="memory"))
    for record in records:
        evidence.put(record)  # type: ignore[arg-type]
    return evidence


def only(evidence: Evidence) -> ConnectionRow:
    (row,) = connection_rows(evidence)
    return row


def test_a_parked_reader_is_named_with_its_place_and_deadline() -> None:
    row = only(
        scene(
            DescriptorUse(
                pid=PID, fd=5, is_polled=True, reader_goid=34, read_deadline_mono_ns=END_NS + 12 * S
            ),
            Goroutine(pid=PID, goid=34, state="IO wait", stack=1),
            Stack(id=1, pid=PID, frames=(READ, SERVE)),
        )
    )
    assert (row.activity, row.doing) == ("reading", "parked until data comes")
    assert (row.goid, row.goroutine, row.site) == (34, "IO wait", "main.serve main.go:42")
    assert (row.deadline, row.peer, row.unread_bytes) == ("in 12 s", "10.0.0.9:80", 3)


@pytest.mark.parametrize(
    ("deadline_ns", "words"),
    [(0, "none"), (-1, "expired"), (END_NS, "expired"), (END_NS + S, "in 1 s"), (None, "")],
)
def test_deadlines_are_words(deadline_ns: int | None, words: str) -> None:
    use = DescriptorUse(pid=PID, fd=5, is_polled=True, writer_goid=3, write_deadline_mono_ns=deadline_ns)
    assert only(scene(use)).deadline == words


def test_a_listener_accepts_and_its_missing_deadline_is_not_spoken_of() -> None:
    use = DescriptorUse(pid=PID, fd=5, is_polled=True, reader_goid=3, read_deadline_mono_ns=0)
    row = only(scene(use, state="LISTEN"))
    assert (row.activity, row.deadline) == ("accepting", "")


def test_a_recognised_connection_says_host_pool_and_since_when() -> None:
    row = only(
        scene(
            Connection(
                pid=PID, fd=5, role="client", protocol="http/1.1", activity="body-held", tls=True, scheme="https", host="api:443",
                goids=(8, 9), site=SERVE, pool=2, since_mono_ns=END_NS - 3 * S, held_by="*http.Response",
            )
        )
    )  # fmt: skip
    assert (row.host, row.protocol, row.pool) == ("https://api:443", "http/1.1+tls", 2)
    assert (row.since_ns, row.goid, row.held_by) == (3 * S, 8, "*http.Response")
    assert row.doing == "answered; body neither read nor closed"


def frames_of(*functions: str) -> tuple[SiteFrame, ...]:
    roles = {"runtime": "runtime", "internal": "runtime", "main": "app", "example.com": "module"}
    return tuple(
        SiteFrame(
            function=one,
            role=roles.get(one.partition("/")[0].split("_")[0], roles.get(one.split(".")[0], "std")),
        )
        for one in functions
    )


@pytest.mark.parametrize(
    ("functions", "created", "site"),
    [
        (("internal/poll.runtime_pollWait", "net.(*conn).Read", "main.serve"), "main.main", "main.serve"),
        (
            ("internal/poll.runtime_pollWait", "net.(*TCPListener).Accept", "net/http.(*Server).Serve"),
            "main.main",
            "main.main",
        ),
        (
            ("internal/poll.runtime_pollWait", "net.(*TCPListener).Accept", "net/http.(*Server).Serve"),
            "net/http/httptest.(*Server).goServe",
            "net/http.(*Server).Serve",
        ),
        (
            ("internal/poll.runtime_pollWait", "bufio.(*Reader).Peek", "net/http.(*persistConn).readLoop"),
            "net/http.(*Transport).dialConn",
            "net/http.(*persistConn).readLoop",
        ),
        (("runtime.gopark", "net.(*conn).Read"), "", "net.(*conn).Read"),
        (("runtime.gopark", "internal/poll.(*FD).Read"), "", ""),
        ((), "net/http.(*Transport).dialConn", "net/http.(*Transport).dialConn"),
    ],
)
def test_the_place_is_the_programs_else_what_the_library_is_about(
    functions: tuple[str, ...], created: str, site: str
) -> None:
    row = only(
        scene(
            DescriptorUse(pid=PID, fd=5, is_polled=True, reader_goid=34),
            Goroutine(
                pid=PID,
                goid=34,
                state="IO wait",
                stack=1,
                created_by=next(iter(frames_of(created)), None) if created else None,
            ),
            Stack(id=1, pid=PID, frames=frames_of(*functions)),
        )
    )
    assert row.site == site


def test_a_request_is_shown_in_its_row() -> None:
    one = Connection(
        pid=PID, fd=5, role="client", protocol="http/1.1", activity="body-held", request="GET /v1/prices"
    )
    evidence = scene(one)
    assert only(evidence).request == "GET /v1/prices"
    table = connection_table(evidence)
    place = [column.title for column in table.columns].index("request")
    assert table.rows[0][place].text == "GET /v1/prices"


def test_without_a_goroutine_that_is_said_but_only_when_the_runtime_was_read() -> None:
    assert only(scene()).activity == "no-goroutine"
    assert only(scene(looked=False)).activity == ""


def test_a_blocking_descriptor_is_in_a_system_call() -> None:
    row = only(scene(DescriptorUse(pid=PID, fd=5, is_polled=False, syscall_goids=(12,))))
    assert (row.activity, row.goid) == ("in a system call", 12)


@pytest.mark.parametrize(
    ("roots", "words"),
    [
        (
            (RetentionRoot(kind="global", name="main.registry", path=("map", "*main.session")),),
            "global main.registry -> map -> *main.session",
        ),
        (
            (RetentionRoot(kind="global", users=("main.add", "main.main")),),
            "a global used by main.add, main.main",
        ),
        ((RetentionRoot(kind="global"),), "a global"),
        ((RetentionRoot(kind="goroutine", goid=9, function="main.hold"),), "goroutine 9 (main.hold)"),
        ((), ""),
    ],
)
def test_holders_are_told_from_the_root_on(roots: tuple[RetentionRoot, ...], words: str) -> None:
    assert reached_from(Retention(pid=PID, fd=5, verdict="reachable", roots=roots)) == words


def test_the_unreachable_is_said_and_the_unfound_is_not() -> None:
    assert "next garbage collection" in reached_from(Retention(pid=PID, fd=5, verdict="unreachable"))
    assert reached_from(Retention(pid=PID, fd=5, verdict="not-found")) == ""
    assert reached_from(None) == ""


def test_names_from_the_target_are_made_printable() -> None:
    row = only(
        scene(Connection(pid=PID, fd=5, role="client", protocol="x\x1b[2J", activity="in\x07use", host="h\n"))
    )
    assert not any(
        character in text for text in (row.protocol, row.doing, row.host) for character in "\x1b\x07\n"
    )


def test_every_order_is_total_and_keeps_all_rows() -> None:
    evidence = scene(DescriptorUse(pid=PID, fd=5, is_polled=True, reader_goid=34))
    evidence.put(
        Descriptor(
            pid=PID, fd=4, kind=DescriptorKind.UNIX, origin=Origin.TRACED, inode=51, seen_since_mono_ns=0,
            born_mono_ns=END_NS - S,
        )
    )  # fmt: skip
    rows = connection_rows(evidence)
    for order in SORTS:
        assert {row.fd for row in sorted_rows(rows, order)} == {4, 5}
    assert [row.fd for row in sorted_rows(rows, "fd")] == [4, 5]
    assert [row.fd for row in sorted_rows(rows, "age")] == [5, 4], "older than the watch comes first"
    assert [row.fd for row in sorted_rows(rows, "goroutine")] == [5, 4], "unknown comes last"
    assert [row.fd for row in sorted_rows(rows, "unread")] == [5, 4]


def test_the_table_is_empty_when_the_runtime_was_not_read() -> None:
    assert connection_table(scene(looked=False)).rows == ()
    table = connection_table(scene())
    assert len(table.rows) == 1
    assert len(table.rows[0]) == len(table.columns)
