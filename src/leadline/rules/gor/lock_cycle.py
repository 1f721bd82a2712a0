"""Goroutines wait for each other in a circle (GOR202, lock-cycle).

What it finds: a deadlock: goroutines of which each waits for a lock or channel that only the next one would release or serve,
and the last waits for the first. Also one that waits for a lock which it holds itself, and a reader that asks for the
same lock a second time behind a waiting writer.

Why it matters: none of them ever goes on, nor does anybody who needs one of their locks. Go reports a deadlock only when all
goroutines of the process are blocked; with a listener or a timer it says nothing.

Needs: the goroutines, and what they wait for with who holds it. Helps: stacks, a second look some seconds later.

How it decides: a goroutine is stuck when everything that it waits for has known holders and all of them are stuck
themselves; a goroutine that runs, sleeps or waits for a connection is not, nor is one that has run between two looks. Only where
stuck goroutines lead back to each other there is a circle, and only that is reported, with those who wait behind it as a
number. Who holds a lock is told from the code that the goroutines are in. Confidence is 0.95 where the code tells all holders
and none has run for 2 s or more, 0.8 when that is not known, and a third less where some holder is told from words
on its stack only, or the circle passes through a channel.

When it is wrong: a lock that is handed to another goroutine to unlock, a goroutine with an old copy of a pointer to a lock, and
`TryLock` with an answer of no.

What to do: take locks in one order everywhere; do not call methods that lock while you hold the lock (split them into a
locked and an unlocked part); never take a read lock twice; do not send or receive while you hold a lock that the other side
needs.

References: sync RWMutex ("prohibits recursive read locking"); sync/rwmutex.go; internal/sync/mutex.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Goroutine, GoRuntime, Stack, WaitObject
from leadline.model import Because, Cleared, Finding, Layer, Severity, Verdict
from leadline.rules.goroutines import Book, is_still, say_goroutines
from leadline.rules.table import place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("GOR202", "lock-cycle", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL)
MANY_BEHIND = 10
"""From so many on that wait behind a circle it is critical."""
MAX_SITES = 8
MAX_SHOWN = 6
_SURE, _ONE_LOOK = 0.95, 0.8
_DOUBTED = 2 / 3
_CONNECTIONS = frozenset({"IO wait", "syscall", "running", "runnable", "sleep"})
_LOCKS = frozenset({"mutex", "rwmutex"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Goroutines and what they wait for; stacks name the places."""

    runtimes: tuple[GoRuntime, ...]
    goroutines: tuple[Goroutine, ...]
    objects: tuple[WaitObject, ...]
    stacks: tuple[Stack, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Circle:
    """Goroutines that wait for each other, in order: each for the object at the same place, which the next one holds."""

    goroutines: tuple[Goroutine, ...]
    objects: tuple[WaitObject, ...]


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each circle; else Cleared."""
    book = Book.of(seen.runtimes, seen.goroutines, seen.stacks, seen.objects)
    waits = {key: book.waits(one) for key, one in book.goroutines.items()}
    stuck = _stuck(book, waits)
    circles = _circles(book, waits, stuck)
    if circles:
        return [_finding(book, circle, waits) for circle in circles]
    waiting = sum(bool(things) for things in waits.values())
    return [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="locks and channels",
            reason=f"{say_goroutines(waiting)} wait for a lock or channel; none waits for itself through others",
            pattern="none",
            count=waiting,
        )
    ]


RULE = Rule(INFO, Needs, judge)

_Key = tuple[int, int]


def _stuck(book: Book, waits: dict[_Key, tuple[WaitObject, ...]]) -> set[_Key]:
    """Return the largest set of goroutines that wait only for each other."""
    stuck = {
        key
        for key, one in book.goroutines.items()
        if one.moved is not True
        and one.state not in _CONNECTIONS
        and waits[key]
        and len(waits[key]) == len(one.waits_on)
        and all(_is_closed_system(thing) for thing in waits[key])
    }
    while True:
        free = {
            (pid, goid)
            for pid, goid in stuck
            if any((pid, holder) not in stuck for thing in waits[pid, goid] for holder in thing.holders)
        }
        if not free:
            return stuck
        stuck -= free


def _is_closed_system(thing: WaitObject) -> bool:
    """Return whether all who could release it are known."""
    if not thing.holders:
        return False
    if thing.kind in _LOCKS:
        return True
    return thing.kind == "chan" and not thing.name and thing.reachable != "global" and thing.stacks_searched


def _circles(book: Book, waits: dict[_Key, tuple[WaitObject, ...]], stuck: set[_Key]) -> list[_Circle]:
    """Return the circles among stuck goroutines, each once: follow the first holder of the first object until one comes again."""
    found: list[_Circle] = []
    done: set[_Key] = set()
    for start in sorted(stuck):
        way: list[_Key] = []
        here = start
        while here not in done and here not in way:
            way.append(here)
            here = here[0], waits[here][0].holders[0]
        if here in way:
            members = way[way.index(here) :]
            found.append(
                _Circle(
                    tuple(book.goroutines[key] for key in members), tuple(waits[key][0] for key in members)
                )
            )
        done.update(way)
    return found


def _finding(book: Book, circle: _Circle, waits: dict[_Key, tuple[WaitObject, ...]]) -> Finding:
    pid = circle.goroutines[0].pid
    inside = {one.goid for one in circle.goroutines}
    waiting = _behind(circle, waits, pid)
    behind = len(waiting)
    is_told = all(thing.held_by_code and thing.kind in _LOCKS for thing in circle.objects)
    confidence = _SURE if all(is_still(one) for one in circle.goroutines) else _ONE_LOOK
    if not is_told:
        confidence *= _DOUBTED
    queue = [book.goroutines[pid, goid] for goid in sorted(waiting)]
    shown = [*circle.goroutines[:MAX_SHOWN], *queue]
    sites = [site for one in shown if (site := book.site(one)) is not None]
    first = circle.goroutines[0]
    if len(inside) == 1:
        thing = circle.objects[0]
        title = f"goroutine {first.goid} waits for {_name(thing)} that it holds itself"
        if thing.kind == "rwmutex":
            title = (
                f"goroutine {first.goid} waits for {_name(thing)} that it has read-locked or locked itself"
            )
    else:
        title = f"{len(inside)} goroutines wait for each other's locks in a circle"
        if any(thing.kind not in _LOCKS for thing in circle.objects):
            title = f"{len(inside)} goroutines wait for each other in a circle"
    if behind:
        title += f"; {behind} more {'waits' if behind == 1 else 'wait'} behind"
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.CRITICAL if behind >= MANY_BEHIND else Severity.HIGH,
        confidence=round(confidence, 3),
        layer=Layer.RUNTIME,
        title=title,
        explanation=(
            "None of them can go on before another one has, so none ever will. Go itself reports a deadlock only when all"
            " goroutines of the process are blocked."
        ),
        remedy=(
            "Do not call what locks while you hold the same lock: split such methods into one that locks and one that needs the"
            " lock held. A read lock must not be taken twice by one goroutine either."
            if len(inside) == 1
            else "Take the locks in one order everywhere, and do not wait for another goroutine while you hold a lock that it"
            " needs. Until then only a restart helps."
        ),
        verify="`leadline goroutines TARGET --group` after the change: nobody may be parked at these places for long.",
        count=len(inside) + behind,
        sites=tuple(dict.fromkeys(sites))[:MAX_SITES],
        because=tuple(
            _says(book, one, thing)
            for one, thing in list(zip(circle.goroutines, circle.objects, strict=True))[:MAX_SHOWN]
        ),
        against=()
        if is_told
        else (
            Because(
                evidence=f"wait_object:{circle.objects[0].id}",
                layer=Layer.RUNTIME,
                says="Who holds what is told from words on stacks in part, which may be old.",
            ),
        ),
        related=("GOR201",),
        pid=pid,
    )


def _behind(circle: _Circle, waits: dict[_Key, tuple[WaitObject, ...]], pid: int) -> set[int]:
    """Return the others that wait for something that is held in the circle, or behind those, by number."""
    inside = {one.goid for one in circle.goroutines}
    caught = set(inside)
    while True:
        more = {
            goid
            for (owner, goid), things in waits.items()
            if owner == pid
            and goid not in caught
            and things
            and all(thing.kind in _LOCKS and set(thing.holders) & caught for thing in things)
        }
        if not more:
            return caught - inside
        caught |= more


def _says(book: Book, one: Goroutine, thing: WaitObject) -> Because:
    seems = "held" if thing.held_by_code else "possibly held"
    by = "itself" if thing.holders[0] == one.goid else f"goroutine {thing.holders[0]}"
    if thing.kind not in _LOCKS:
        seems = "which is at hand to"
        return Because(
            evidence=f"wait_object:{thing.id}",
            layer=Layer.RUNTIME,
            says=f"Goroutine {one.goid} waits at {place(book.site(one))} for {_name(thing)}, {seems} {by}.",
        )
    return Because(
        evidence=f"wait_object:{thing.id}",
        layer=Layer.RUNTIME,
        says=f"Goroutine {one.goid} waits at {place(book.site(one))} for {_name(thing)}, {seems} by {by}.",
    )


def _name(thing: WaitObject) -> str:
    return thing.name or {"chan": "a channel"}.get(thing.kind, f"a {thing.kind}")
