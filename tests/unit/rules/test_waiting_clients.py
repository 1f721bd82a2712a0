"""Clients that let a server wait: the limit is a fact of the descriptor, else of the server."""

from __future__ import annotations

import pytest

from connection_builders import Runtime
from evidence_builders import PID, Scene
from leadline.evidence.owners import OwnerBook
from leadline.rules.connections import ConnectionNeeds, Seen
from leadline.rules.waiting_clients import has_limit, waited_ns

S = 10**9


def client(
    activity: str, *, deadline_s: float | None = None, born_s: float = 1.0, **facts: int | None
) -> Runtime:
    scene = Scene(window_s=12.0)
    life = scene.place("tcp", "accepted").live(born_s, local_port=8080, sent=0, last_data_s=11.0)
    runtime = Runtime(scene)
    runtime.server(life, activity, moved=True, deadline_s=deadline_s, **facts)
    return runtime


def seen(runtime: Runtime) -> Seen:
    evidence = runtime.evidence()
    needs = {
        name: evidence.get(kind)
        for name, kind in (
            (field, next(one for one in evidence._records if one.__name__ == word))
            for field, word in (
                ("window", "Window"),
                ("runtimes", "GoRuntime"),
                ("connections", "Connection"),
                ("goroutines", "Goroutine"),
                ("uses", "DescriptorUse"),
                ("descriptors", "Descriptor"),
                ("sockets", "SocketState"),
            )
        )
    }
    return ConnectionNeeds(**needs).joined()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("activity", "deadline_s", "header_ns", "read_ns", "limit"),
    [
        ("headers", 0.0, None, None, False),
        ("headers", 30.0, 0, 0, True),
        ("headers", 0.0, 5 * S, 0, False),
        ("headers", None, 5 * S, 0, True),
        ("headers", None, 0, 5 * S, True),
        ("headers", None, 0, 0, False),
        ("headers", None, None, 0, None),
        ("body", None, 5 * S, 0, False),
        ("body", None, 0, 5 * S, True),
        ("body", None, 0, None, None),
    ],
)
def test_the_deadline_is_asked_first_then_the_servers_limits(
    activity: str, deadline_s: float | None, header_ns: int | None, read_ns: int | None, limit: bool | None
) -> None:
    runtime = client(activity, deadline_s=deadline_s, header_limit_ns=header_ns, read_limit_ns=read_ns)
    assert has_limit(OwnerBook.of_evidence(runtime.evidence()).get(PID, 3)) is limit


@pytest.mark.parametrize(("activity", "seconds"), [("first-byte", 11), ("headers", 11), ("body", 1)])
def test_a_dripping_header_counts_since_the_connection_came_and_a_body_since_it_stopped(
    activity: str, seconds: int
) -> None:
    joined = seen(client(activity))
    assert waited_ns(joined.book.get(PID, 3), joined) == seconds * S


def test_what_is_not_in_the_table_has_waited_for_an_unknown_time() -> None:
    joined = seen(client("headers"))
    assert waited_ns(joined.book.get(PID, 77), joined) is None
