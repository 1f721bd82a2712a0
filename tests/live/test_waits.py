"""What goroutines wait for, and who holds the locks, against what the program itself noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

import go_truth
from leadline.probes.snapshot_runtime import waits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadline.evidence.kinds import WaitObject

SHARED = 41


class Seen:
    """The wait objects of the program, by the roles of the goroutines that wait."""

    def __init__(self, truth: go_truth.Truth) -> None:
        waits.read(truth.process, truth.look, truth.found)
        self.found = truth.found
        self.roles: dict[str, list[int]] = truth.said
        self.of = {goid: role for role, goids in self.roles.items() for goid in goids}
        self.look = truth.look

    def objects(self, role: str) -> list[WaitObject]:
        """Return what the goroutines of a role wait for, each object once."""
        numbers = {number for goid in self.roles[role] for number in self.found.waits_on.get(goid, ())}
        return [self.found.objects[number - 1] for number in sorted(numbers)]

    def object(self, role: str) -> WaitObject:
        """Return the only object that all goroutines of a role wait for."""
        [one] = self.objects(role)
        return one

    def who(self, goids: tuple[int, ...]) -> set[str]:
        """Return the roles of goroutines."""
        return {self.of.get(goid, "main" if goid == 1 else "?") for goid in goids}


@pytest.fixture(scope="module", params=go_truth.builds())
def build(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Seen, bool]]:
    go, stripped = request.param
    program = go_truth.build("locks", go, tmp_path_factory.mktemp("locks"), stripped=stripped)
    with go_truth.running(program, SHARED) as truth:
        yield Seen(truth), stripped


@pytest.fixture
def seen(build: tuple[Seen, bool]) -> Seen:
    return build[0]


def test_private_channels_have_one_waiter_each(seen: Seen) -> None:
    for role, capacity in (("private-receive", 3), ("private-send", 0)):
        objects = seen.objects(role)
        assert len(objects) == 5
        assert all(
            (one.kind, one.capacity, one.length, one.is_closed) == ("chan", capacity, 0, False)
            for one in objects
        )
        waiting = [one.receivers if role == "private-receive" else one.senders for one in objects]
        assert sorted(goid for goids in waiting for goid in goids) == sorted(seen.roles[role])
        assert all(not one.holders and one.stacks_searched and one.reachable is None for one in objects)
        assert all(not (one.senders if role == "private-receive" else one.receivers) for one in objects)


def test_a_global_channel_is_named(build: tuple[Seen, bool]) -> None:
    seen, stripped = build
    one = seen.object("global-receive")
    assert one.receivers == tuple(sorted(seen.roles["global-receive"]))
    assert one.name == ("" if stripped else "main.globalChan")
    assert one.reachable == "global"


def test_a_select_waits_for_all_its_cases(seen: Seen) -> None:
    """One to receive, one to send, one of a timer."""
    [goid] = seen.roles["select"]
    objects = seen.objects("select")
    assert len(objects) == 3
    assert [goid in one.senders for one in objects].count(True) == 1
    assert [goid in one.receivers for one in objects].count(True) == 2


def test_who_has_a_channel_at_hand_could_serve_it(seen: Seen) -> None:
    one = seen.object("job")
    assert one.senders == tuple(sorted(seen.roles["job"]))
    assert {"server"} <= seen.who(one.holders) <= {"server", "main"}
    assert one.reachable == "goroutine"


def test_many_waiters_are_one_object(seen: Seen) -> None:
    largest = max(seen.found.objects, key=lambda one: len(one.receivers))
    assert len(largest.receivers) == SHARED


def test_groups_and_conditions_are_told(seen: Seen) -> None:
    for role, kind in (("group", "waitgroup"), ("cond", "cond")):
        one = seen.object(role)
        assert (one.kind, one.waiters) == (kind, tuple(sorted(seen.roles[role])))


def test_what_waits_for_nothing_has_no_object(seen: Seen) -> None:
    """Nil channels have no object; sleepers and a goroutine that has left its lock wait for none."""
    for role in ("nil", "server", "free", "cabinet-holder", "rw-reader", "table-writer"):
        assert not seen.objects(role), role


LOCKS = {
    "first-then-second": ("mutex", {"second-then-first"}),
    "second-then-first": ("mutex", {"first-then-second"}),
    "a-then-b": ("mutex", {"b-then-a"}),
    "b-then-a": ("mutex", {"a-then-b"}),
    "cabinet-waiter": ("mutex", {"cabinet-holder"}),
    "rw-writer": ("rwmutex", {"rw-reader"}),
    "rw-late-reader": ("rwmutex", {"rw-reader"}),
    "table-reader": ("rwmutex", {"table-writer"}),
    "table-writer-too": ("rwmutex", {"table-writer"}),
    "self": ("mutex", {"self"}),
    "upgrade": ("rwmutex", {"upgrade"}),
}


@pytest.mark.parametrize("role", LOCKS)
def test_locks_have_the_holder_that_the_program_noted(seen: Seen, role: str) -> None:
    kind, holders = LOCKS[role]
    one = seen.object(role)
    assert one.kind == kind
    assert set(seen.roles[role]) <= set(one.waiters)
    assert seen.who(one.holders) == holders
    assert one.held_by_code


def test_a_lock_says_all_who_wait(build: tuple[Seen, bool]) -> None:
    seen, stripped = build
    table = seen.object("table-reader")
    assert set(table.waiters) == {*seen.roles["table-reader"], *seen.roles["table-writer-too"]}
    assert table.name == ("" if stripped else "main.tableLock")
    cabinet = seen.object("cabinet-waiter")
    assert set(cabinet.waiters) == set(seen.roles["cabinet-waiter"])
    assert cabinet.name == ""
    assert seen.object("rw-writer") == seen.object("rw-late-reader")
    assert not cast("list[object]", seen.found.gaps)
