"""All connections of a database pool are out, and goroutines wait for one (GOR301, starved-database-pool).

What it finds: a `sql.DB` that has as many connections in use as it may open, with goroutines that wait for a connection and do
not get one; and what holds the connections: Rows, Tx or Conn, in which goroutine, or in none.

Why it matters: without a context with a deadline those who wait do so for ever. The database is idle meanwhile, and its own
monitoring shows nothing.

Needs: the pools and the goroutines. Helps: stacks, a second look some seconds later.

How it decides: a limit (SetMaxOpenConns), as many in use, and at least one goroutine that waits in (*DB).conn and has not run
for 2 s or more, by looks in between. High, critical from 10 such goroutines. Confidence 0.95; less, 0.8, when a part of those
that hold a connection has run in between: then it may be only slow. After one look it is not judged. A pool whose waiters all
have run or are new is busy, not starved.

When it is wrong: queries that take longer than the window, all at the same time.

What to do: close what holds the connections: `defer rows.Close()` after the error check, Scan every QueryRow, end every Tx with
`defer tx.Rollback()`, close every Conn; do not query inside a loop over Rows of the same pool; do not wait for anything else
inside a transaction. Give queries a context with a deadline, so that waiting ends.

References: database/sql DB.SetMaxOpenConns, Rows.Close, DB.Stats (WaitCount); go.dev/doc/database/manage-connections.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Goroutine, GoRuntime, Pool, PoolHolder, Stack
from leadline.model import (
    Because,
    Cleared,
    Finding,
    Layer,
    NotJudged,
    Severity,
    Site,
    Verdict,
    format_duration,
)
from leadline.rules.goroutines import Book, is_still, say_goroutines
from leadline.rules.table import place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "GOR301", "starved-database-pool", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
KIND = "database/sql.DB"
MANY_WAITING = 10
MAX_PLACES = 4
_SURE, _MAY_BE_SLOW = 0.95, 0.8
_REMEDIES = {
    "*sql.Rows": "`defer rows.Close()` directly after the error check of Query, and no other query inside the loop over them",
    "*sql.Tx": "`defer tx.Rollback()` directly after Begin, and no waiting for anything else inside a transaction",
    "*sql.Conn": "`defer conn.Close()` directly after Conn",
    "*sql.DB": "a context with a deadline for each query",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Pools and goroutines; stacks name the places."""

    runtimes: tuple[GoRuntime, ...]
    goroutines: tuple[Goroutine, ...]
    pools: tuple[Pool, ...]
    stacks: tuple[Stack, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each starved pool; NotJudged for those that may be one; else Cleared."""
    book = Book.of(seen.runtimes, seen.goroutines, seen.stacks)
    pools = [pool for pool in seen.pools if pool.kind == KIND]
    verdicts: list[Verdict] = []
    for pool in pools:
        if not _is_full(pool) or not pool.waiting_goids:
            continue
        if book.apart_ns(pool.pid) is None:
            verdicts.append(_untold(pool))
            continue
        waiting = [
            one
            for goid in pool.waiting_goids
            if (one := book.goroutines.get((pool.pid, goid))) is not None and is_still(one)
        ]
        if waiting:
            verdicts.append(_finding(book, pool, waiting))
    waiting_count = sum(len(pool.waiting_goids) for pool in pools)
    return verdicts or [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="database pools",
            reason=f"{len(pools)} database pools; {say_goroutines(waiting_count)} wait for a connection, none for long",
            pattern="busy" if waiting_count else "none",
            count=len(pools),
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _is_full(pool: Pool) -> bool:
    return bool(pool.max_open) and pool.in_use is not None and pool.in_use >= (pool.max_open or 0)


def _untold(pool: Pool) -> NotJudged:
    return NotJudged(
        code=INFO.code,
        name=INFO.name,
        missing=f"whether the {len(pool.waiting_goids)} goroutines that wait for a connection get one: there was one look only",
        remedy="trace for some seconds, for example `leadline trace TARGET -d 15s`",
        subject=_name(pool),
        count=len(pool.waiting_goids),
    )


def _finding(book: Book, pool: Pool, waiting: list[Goroutine]) -> Finding:
    count = len(waiting)
    longest_ns = max(one.still_ns or 0 for one in waiting)
    reference = f"pool:{pool.id}"
    held = Counter(holder.how for holder in pool.holders)
    goroutines = [_holder(book, pool, holder) for holder in pool.holders]
    has_run = any(one is not None and not is_still(one) for one in goroutines)
    because = [
        Because(
            evidence=reference,
            layer=Layer.RUNTIME,
            says=(
                f"All {pool.in_use} connections that {_name(pool)} may open are in use; {say_goroutines(len(pool.waiting_goids))}"
                f" wait for one, {count} of them for 2 s or more, up to {format_duration(longest_ns)} that were seen."
            ),
        )
    ]
    because += [
        Because(evidence=reference, layer=Layer.RUNTIME, says=says) for says in _told_holders(book, pool)
    ]
    nested = {holder.goid for holder in pool.holders if holder.goid is not None} & set(pool.waiting_goids)
    if nested:
        says = (
            f"{say_goroutines(len(nested))} of those that wait hold a connection already: they wait for each other"
            " inside a loop over Rows or a transaction."
        )
        because.append(Because(evidence=reference, layer=Layer.RUNTIME, says=says))
    known = [how for how, _ in held.most_common() if how in _REMEDIES]
    remedies = "; ".join(f"{how}: {_REMEDIES[how]}" for how in known)
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.CRITICAL if count >= MANY_WAITING else Severity.HIGH,
        confidence=_MAY_BE_SLOW if has_run else _SURE,
        layer=Layer.RUNTIME,
        title=(
            f"{say_goroutines(count)} {'waits' if count == 1 else 'wait'} for a database connection: all {pool.in_use} are held"
            f"{_held_by(held)}"
        ),
        explanation=(
            "A connection goes back to the pool only when what holds it is closed or ended. The pool may not open more, so"
            " everybody else waits, without a limit in time unless their context has one."
        ),
        remedy=(
            f"Free the connections. {remedies}."
            if remedies
            else "Free the connections: close Rows, end every Tx, close every Conn."
        ),
        verify="`leadline trace TARGET` again: nobody may wait for a connection all the time.",
        kind="tcp",
        count=count,
        sites=_sites(book, pool, waiting),
        because=tuple(because),
        against=(
            Because(
                evidence=reference,
                layer=Layer.RUNTIME,
                says="Some that hold a connection have run in between: they may be only slow.",
            ),
        )
        if has_run
        else (),
        related=("FDL101",),
        pid=pool.pid,
    )


def _name(pool: Pool) -> str:
    return f"the pool of {pool.name}" if pool.name else "the pool"


def _held_by(held: Counter[str]) -> str:
    told = [f"{count} by {how}" for how, count in held.most_common() if how != "unknown"]
    return f" ({', '.join(told)})" if told else ""


def _holder(book: Book, pool: Pool, holder: PoolHolder) -> Goroutine | None:
    return None if holder.goid is None else book.goroutines.get((pool.pid, holder.goid))


def _told_holders(book: Book, pool: Pool) -> list[str]:
    """Return a sentence for each way and place that connections are held at, the most frequent first."""
    places: Counter[tuple[str, str]] = Counter()
    for holder in pool.holders:
        one = _holder(book, pool, holder)
        if one is None:
            where = (
                "no goroutine has it: it was forgotten"
                if holder.how != "unknown"
                else "by what, no goroutine tells"
            )
        else:
            where = f"by a goroutine at {place(holder.site or book.site(one))}, in state {one.state}"
        places[holder.how, where] += 1
    told = []
    for (how, where), count in places.most_common(MAX_PLACES):
        what = "connection" if count == 1 else "connections"
        verb = "is" if count == 1 else "are"
        if how == "unknown":
            told.append(f"{count} {what} {verb} held {where}; rows that were forgotten leave no other trace.")
        else:
            told.append(f"{count} {what} {verb} held in {how}, {where}.")
    return told


def _sites(book: Book, pool: Pool, waiting: list[Goroutine]) -> tuple[Site, ...]:
    """Return where the goroutines are that hold connections, most frequent first, then where others wait."""
    found: Counter[Site] = Counter()
    for holder in pool.holders:
        one = _holder(book, pool, holder)
        if one is None or holder.goid in pool.waiting_goids:
            continue
        site = book.site(one)
        if site is not None:
            found[site] += 1
    waits = Counter(site for one in waiting if (site := book.site(one)) is not None)
    return tuple(dict.fromkeys([site for site, _ in (*found.most_common(MAX_PLACES), *waits.most_common(1))]))
