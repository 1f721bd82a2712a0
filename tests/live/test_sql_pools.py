"""Pools of database/sql: who holds each connection and who waits, against what the program itself noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import go_truth
from leadline.evidence.kinds import PoolHolder
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime import pollers, sql_pools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leadline.evidence.kinds import Connection, Pool

HOLDERS = {
    "rows-slow": ("*sql.Rows", "main.readSlowly"),
    "rows-forgotten": ("*sql.Rows", None),
    "rows-forgotten-context": ("*sql.Rows", None),
    "tx-slow": ("*sql.Tx", "main.changeSlowly"),
    "tx-forgotten": ("*sql.Tx", None),
    "conn": ("*sql.Conn", "main.keepConn"),
    "block": ("*sql.DB", "main.(*fakeConn).ask"),
    "nested": ("*sql.Rows", "main.nest"),
}


class Seen:
    """Pools and connections of the program, and what it says of itself by role."""

    def __init__(self, truth: go_truth.Truth) -> None:
        pollers.read(LiveHost(), truth.process, truth.look, truth.found)
        sql_pools.read(truth.process, truth.look, truth.found)
        self.pools: list[Pool] = truth.found.pools
        self.connections: dict[int, Connection] = truth.found.connections
        self.said: dict[str, dict[str, Any]] = truth.said

    def pool(self, name: str) -> Pool:
        """Return a pool by the type of its driver."""
        [one] = [pool for pool in self.pools if pool.name == name]
        return one

    def fd(self, role: str) -> int:
        """Return the descriptor that a role uses."""
        return int(self.said[role]["fd"])


@pytest.fixture(scope="module", params=go_truth.builds())
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    go, stripped = request.param
    program = go_truth.build("sqlpool", go, tmp_path_factory.mktemp("sqlpool"), stripped=stripped)
    with go_truth.running(program) as truth:
        yield Seen(truth)


def test_both_pools_are_found_with_their_counts(seen: Seen) -> None:
    assert len(seen.pools) == 2
    full, free = seen.pool("main.fakeDriver"), seen.pool("*main.connector")
    assert (full.kind, full.open, full.in_use, full.idle, full.max_open) == ("database/sql.DB", 8, 8, 0, 8)
    assert (free.open, free.in_use, free.idle, free.max_open) == (4, 1, 3, 0)


def test_all_who_wait_are_told_and_nobody_else(seen: Seen) -> None:
    waiting = {seen.said[role]["goid"] for role in ("waiter-0", "waiter-1", "waiter-2", "nested")}
    assert set(seen.pool("main.fakeDriver").waiting_goids) == waiting
    assert seen.pool("*main.connector").waiting_goids == ()


def test_each_connection_in_use_has_the_holder_that_the_program_noted(seen: Seen) -> None:
    """Forgotten Rows of a context that cannot end leave no trace on any stack: they are found on the heap."""
    holders = {holder.fd: holder for holder in seen.pool("main.fakeDriver").holders}
    told = {role: holders[seen.fd(role)] for role in HOLDERS}
    for role, (how, function) in HOLDERS.items():
        holder = told[role]
        assert isinstance(holder, PoolHolder)
        assert (role, holder.how) == (role, how)
        assert (role, holder.goid) == (role, seen.said[role]["goid"] or None)
        assert (role, holder.site.function if holder.site else None) == (role, function)
    assert len(holders) == len(HOLDERS)


def test_rows_inside_a_struct_of_the_program_are_found(seen: Seen) -> None:
    [holder] = seen.pool("*main.connector").holders
    assert (holder.how, holder.fd, holder.goid) == (
        "*sql.Rows", seen.fd("iterator"), seen.said["iterator"]["goid"],
    )  # fmt: skip


def test_descriptors_say_what_their_pool_does_with_them(seen: Seen) -> None:
    full, free = seen.pool("main.fakeDriver"), seen.pool("*main.connector")
    assert full.fds == tuple(sorted(seen.fd(role) for role in HOLDERS))
    assert len(free.fds) == 4
    for role, (how, _) in HOLDERS.items():
        one = seen.connections[seen.fd(role)]
        assert (one.role, one.protocol, one.activity, one.pool) == ("client", "sql", "in-use", full.id)
        assert one.held_by == ("" if how == "unknown" else how)
        assert one.owner_goid == (seen.said[role]["goid"] or None)
    idle = {fd for fd in free.fds if seen.connections[fd].activity == "idle"}
    assert idle == set(free.fds) - {seen.fd("iterator")}
    assert all(seen.connections[fd].held_by == "" and seen.connections[fd].owner_goid is None for fd in idle)
