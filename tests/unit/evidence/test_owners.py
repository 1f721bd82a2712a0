"""Who owns a descriptor, in one word and in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from connection_builders import RAW_READ, Runtime, frames
from evidence_builders import PID, Life, Scene
from leadline.evidence.kinds import DescriptorUse, Goroutine, RetentionRoot
from leadline.evidence.owners import Hold, Owner, OwnerBook, reading_frame, waiting_frame


def one(passes: int = 2) -> tuple[Runtime, Life]:
    scene = Scene(window_s=12.0)
    life = scene.place("tcp", "accepted").live(1.0, local_port=8080)
    return Runtime(scene, passes), life


def owner(runtime: Runtime) -> Owner:
    return OwnerBook.of_evidence(runtime.evidence()).get(PID, 3)


def test_a_parked_reader_is_named_with_its_place_and_its_deadline() -> None:
    runtime, life = one()
    runtime.reader(life, *RAW_READ, "main.serve:42", goid=34)
    found = owner(runtime)
    assert (
        found.describe() == "goroutine 34 has been parked in net.(*conn).Read at main.go:42, no read deadline"
    )
    assert (found.hold, found.moved) == (Hold.PARKED, False)
    assert found.has_no_read_deadline is True
    assert found.parked is not None
    assert (found.parked.function, found.parked.line, found.parked.role) == ("main.serve", 42, "parked")


@pytest.mark.parametrize(
    ("deadline_s", "words"),
    [
        (None, ""),
        (0.0, ", no read deadline"),
        (42.0, ", read deadline in 30 s"),
    ],
)
def test_deadlines_are_told_relative_to_the_last_look(deadline_s: float | None, words: str) -> None:
    runtime, life = one()
    runtime.reader(life, deadline_s=deadline_s)
    assert owner(runtime).describe().endswith("at main.go:42" + words)


@pytest.mark.parametrize(("moved", "verb"), [(True, "waits again and again"), (None, "is parked")])
def test_moving_goroutines_are_not_said_to_have_been_parked(moved: bool | None, verb: str) -> None:
    runtime, life = one()
    runtime.reader(life, goid=34, moved=moved)
    found = owner(runtime)
    assert found.describe().startswith(f"goroutine 34 {verb} in net.(*conn).Read")


def test_one_look_never_says_stuck() -> None:
    runtime, life = one(passes=1)
    runtime.reader(life)
    assert owner(runtime).moved is None


@pytest.mark.parametrize(
    ("activity", "facts", "hold", "words"),
    [
        ("idle", {}, Hold.POOLED, "idle in the pool for http://api.test:80; goroutine 100 has been parked"),
        (
            "body-held",
            {},
            Hold.HELD,
            "answered for http://api.test:80, and the body is neither read to its end nor",
        ),
        (
            "awaiting-response",
            {},
            Hold.WORKING,
            "a request was sent for http://api.test:80, and its answer has not",
        ),
    ],
)
def test_client_connections_say_what_they_do(
    activity: str, facts: dict[str, Any], hold: Hold, words: str
) -> None:
    runtime, life = one()
    runtime.client(life, activity, **facts)
    assert owner(runtime).hold is hold
    assert owner(runtime).describe().startswith(words)


@pytest.mark.parametrize(
    ("activity", "hold"),
    [
        ("first-byte", Hold.STARTING),
        ("keep-alive", Hold.POOLED),
        ("handler", Hold.WORKING),
        ("hijacked", Hold.HIJACKED),
        ("accepting", Hold.LISTENING),
    ],
)
def test_server_connections_say_what_they_do(activity: str, hold: Hold) -> None:
    runtime, life = one()
    runtime.server(life, activity)
    assert owner(runtime).hold is hold
    assert owner(runtime).describe()


def test_nobody_is_said_only_where_the_runtime_was_read() -> None:
    runtime, life = one()
    assert owner(runtime).hold is Hold.UNKNOWN
    assert owner(runtime).describe() == "nothing is known of its owner"
    runtime.use(life)
    assert owner(runtime).hold is Hold.NOBODY
    assert owner(runtime).describe() == "no goroutine waits on it"


@pytest.mark.parametrize(
    ("verdict", "root", "words"),
    [
        (
            "reachable",
            RetentionRoot(kind="global", name="main.registry", path=("map", "*main.session", "net.Conn")),
            "reachable from global main.registry (map → *main.session → net.Conn)",
        ),
        (
            "reachable",
            RetentionRoot(kind="global", users=("main.register", "main.main")),
            "reachable from a global used by main.register, main.main",
        ),
        (
            "reachable",
            RetentionRoot(kind="goroutine", goid=9, function="main.loop"),
            "reachable from goroutine 9 in main.loop",
        ),
        ("reachable", None, "something still reaches it"),
        (
            "unreachable",
            None,
            "nothing was found that reaches it: the next garbage collection closes it",
        ),
    ],
)
def test_what_keeps_an_abandoned_one_is_told(verdict: str, root: RetentionRoot | None, words: str) -> None:
    runtime, life = one()
    runtime.use(life)
    runtime.retain(life, verdict, *([root] if root else []))
    assert owner(runtime).describe() == f"no goroutine waits on it; {words}"


def test_it_joins_socket_birthplace_and_pool() -> None:
    runtime, life = one()
    life.state = "CLOSE_WAIT"
    number = runtime.pool("net/http.Transport", [life], name="api.test:80")
    runtime.client(life, "idle", pool=number)
    found = owner(runtime)
    assert found.peer_has_gone
    assert found.birthplace is not None
    assert found.birthplace.site is not None
    assert found.birthplace.site.function == "main.work"
    assert found.pool is not None
    assert found.silent_ns == 10_995_000_000
    assert "idle in the pool of net/http.Transport" in found.describe()


def test_a_goroutine_in_a_system_call_and_one_on_a_cpu_are_told_as_such() -> None:
    runtime, life = one()
    goid = runtime.go(
        "syscall.read", "os.(*File).Read", "main.tail:9", state="syscall", syscall="read", goid=7
    )
    runtime.use(life, is_polled=False, syscall_goids=(goid,))
    found = owner(runtime)
    assert found.describe() == "goroutine 7 is in the system call read in os.(*File).Read at main.go:9"
    assert (found.hold, found.moved) == (Hold.WORKING, False)
    runtime, life = one()
    goid = runtime.go(state="running", goid=8, moved=True)
    runtime.connection(life, "server", "http/1.1", "handler", owner_goid=goid)
    assert owner(runtime).describe() == "a request is with its handler; goroutine 8 is in state running"


def test_a_goroutine_whose_stack_refers_to_it_stands_in_for_one_that_waits_on_it() -> None:
    runtime, life = one()
    goid = runtime.go("runtime.gopark", "runtime.chanrecv1", "main.pay:36", state="chan receive", goid=11)
    runtime.use(life)
    runtime.connection(life, "other", "tcp", "no-goroutine")
    runtime.retain(life, "reachable", RetentionRoot(kind="goroutine", goid=goid, function="main.pay"))
    found = owner(runtime)
    assert (found.hold, found.goroutine) == (Hold.NOBODY, None)
    kept = found.with_keeper
    assert (kept.hold, kept.moved) == (Hold.WORKING, False)
    assert kept.describe() == "goroutine 11 has been parked in main.pay at main.go:36 (chan receive)"
    assert kept.parked is not None
    assert kept.parked.function == "main.pay"
    assert kept.with_keeper is kept


def test_a_global_or_an_unknown_goroutine_stands_in_for_nobody() -> None:
    for root in (RetentionRoot(kind="global", name="main.all"), RetentionRoot(kind="goroutine", goid=99)):
        runtime, life = one()
        runtime.use(life)
        runtime.retain(life, "reachable", root)
        assert owner(runtime).with_keeper.goroutine is None


@pytest.mark.parametrize(
    ("state", "moved", "is_handed_on"),
    [
        ("IO wait", False, True),
        ("runnable", None, True),
        ("select", True, True),
        ("chan receive", False, False),
    ],
)
def test_an_answer_is_handed_on_by_a_goroutine_that_works(
    state: str, moved: bool | None, is_handed_on: bool
) -> None:
    runtime, life = one()
    goid = runtime.go("main.copy:5", state=state, moved=moved)
    runtime.client(life, "body-held", known_to_goids=(goid,))
    assert owner(runtime).is_handed_on is is_handed_on
    runtime, life = one()
    goid = runtime.go("main.copy:5", state=state, moved=moved)
    runtime.client(life, "body-held", owner_goid=goid)
    assert owner(runtime).is_handed_on is is_handed_on


def test_a_book_lists_all_descriptors_in_order_and_knows_whose_goroutines_were_read() -> None:
    scene = Scene(window_s=12.0)
    place = scene.place("file", "opened")
    place.all([1.0, 2.0, 3.0])
    book = OwnerBook.of_evidence(Runtime(scene).evidence())
    assert [found.fd for found in book] == [3, 4, 5]
    assert (len(book), book.was_read(PID), book.was_read(PID + 1)) == (3, True, False)
    assert book.describe(PID, 99) == "nothing is known of its owner"
    assert not OwnerBook.of_evidence(scene.evidence()).was_read(PID)


def test_the_same_records_are_joined_once_and_others_anew() -> None:
    runtime, life = one()
    runtime.reader(life)
    evidence = runtime.evidence()
    goroutines, uses = evidence.all(Goroutine), evidence.all(DescriptorUse)
    book = OwnerBook.of(goroutines=goroutines, uses=uses)
    assert OwnerBook.of(goroutines=goroutines, uses=uses) is book
    assert OwnerBook.of(goroutines=goroutines) is not book
    assert OwnerBook.of(goroutines=evidence.all(Goroutine), uses=uses) is not book
    assert len(OwnerBook.of()) == 0


def test_frames_to_read_are_the_programs_own_then_a_modules() -> None:
    stack = frames(
        "runtime.gopark", "internal/poll.(*FD).Read", "net.(*conn).Read", "example.com/x/y.F", "main.f:3"
    )
    waits, reads = waiting_frame(stack), reading_frame(stack)
    assert waits is not None
    assert reads is not None
    assert (waits.function, reads.function) == ("net.(*conn).Read", "main.f")
    assert reading_frame(stack[:4]) == stack[3]
    assert reading_frame(stack[:3]) is None
    assert waiting_frame(()) is None
    assert waiting_frame(stack[:1]) == stack[0]
