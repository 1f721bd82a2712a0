"""Goroutines wait for something that nobody will do, and become more (GOR201, goroutine-leak).

What it finds: a place where goroutines are blocked for ever: on a channel on which nobody sends or from which nobody
receives, on a nil channel, or on a lock that is not released.

Why it matters: each keeps its stack, at least 2 KiB, and everything that it refers to; the garbage collector never frees a
goroutine. The process grows until it is killed, and whatever the goroutine still had to do is never done.

Needs: the goroutines. Helps: their stacks, what they wait for, a second look some seconds later.

How it decides: a number alone is no fault; 10,000 idle workers are healthy.
Proved, at any number: the garbage collector says that nothing can wake them (Go 1.26+), or a search of the heap found nobody
else who reaches what they wait for.
Otherwise at least 10 on one stack, at least 5 of them new since the first look and at least 5 that have not run for 2 s or more;
none has run between the first and the last look, and new ones came early and late in that time: what came all at once
is the size of something. Senders then count always, as a receiver should have come. Receivers and `select` count only where
the channel is not a global, no other goroutine has it on its stack, they are not a server's handler, and not as many
goroutines with a connection came meanwhile: a websocket brings two. Those that wait for a lock count when its holder has not
run either. On a nil channel no growth is asked for.
A dump of one moment shows no growth: senders count there, low, when 20 have waited for a minute or more.

When it is wrong: long jobs that are started one by one by design, and whose channel is only in a struct on the heap. Look again
later: what is leaked never becomes less.

What to do: give every wait an end. Give a result channel room for the one answer, so that a late sender can leave it; let the
sender close the channel of jobs; select on `ctx.Done()` too and cancel every context, best with `defer cancel()`.

References: Go blog "Go Concurrency Patterns: Pipelines and cancellation"; runtime/pprof profile goroutineleak; runtime/chan.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Goroutine, GoRuntime, Stack, WaitObject
from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Verdict, format_duration
from leadline.rules.goroutines import Book, Group, is_still, say_goroutines
from leadline.rules.table import place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("GOR201", "goroutine-leak", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.HIGH)
MIN_COUNT = 10
"""Fewer may be any small set of helpers."""
MIN_NEW = 5
"""Fewer new ones may come by chance within a window, as in FDL101."""
MIN_APART_NS = 2 * 10**9
"""Looks closer together show no growth."""
MANY = 1000
"""From so many on, which is 2 MiB of stacks at least, it is high."""
MIN_DUMPED = 20
MIN_DUMPED_WAIT_NS = 60 * 10**9
"""Go counts waits in a dump in minutes."""
LATE_SHARE = 0.4
MIN_EACH = 2
"""Of the new ones so many came in the last two fifths of the time, and so many before."""
MIN_STILL = 5
IO_SHARE = 0.5
"""New goroutines with a connection, per new one of the group, from which on they are taken for theirs."""
PRIVATE_SHARE = 0.9
_SERVERS = (
    "net/http.(*conn).serve",
    "net/http.(*http2serverConn)",
    "net/http/internal/http2.(*serverConn)",
    "golang.org/x/net/http2.(*serverConn)",
    "google.golang.org/grpc.(*Server)",
    "github.com/valyala/fasthttp.(*Server)",
)
_JUDGED_ELSEWHERE = "database/sql.(*DB).conn"
_LOCKS = frozenset({"sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock"})
_RECEIVES = frozenset({"chan receive", "select", "semacquire", "sync.WaitGroup.Wait", "sync.Cond.Wait"})
_NIL = frozenset({"chan receive (nil chan)", "chan send (nil chan)"})
_SEND = "chan send"


class _Proof(Enum):
    """Why a group counts as leaked."""

    COLLECTOR = 1  # Go's own garbage collector says so
    UNREACHABLE = 2  # nobody else reaches what they wait for
    NIL = 3  # a nil channel never becomes ready
    SENDERS = 4
    RECEIVERS = 5
    LOCKED = 6
    DUMPED = 7


_CONFIDENCE = {
    _Proof.COLLECTOR: 0.99,
    _Proof.UNREACHABLE: 0.97,
    _Proof.NIL: 0.95,
    _Proof.SENDERS: 0.85,
    _Proof.RECEIVERS: 0.7,
    _Proof.LOCKED: 0.7,
    _Proof.DUMPED: 0.5,
}
_SURE = frozenset({_Proof.COLLECTOR, _Proof.UNREACHABLE})
_WHY = {
    _Proof.COLLECTOR: "The garbage collector found that nothing can ever wake them.",
    _Proof.UNREACHABLE: "A search of the heap found nobody else who reaches what they wait for.",
    _Proof.NIL: "A nil channel never becomes ready.",
    _Proof.SENDERS: "They wait to send, and nobody comes to receive.",
    _Proof.RECEIVERS: "Each waits for something that no other goroutine has at hand.",
    _Proof.LOCKED: "The lock is not released.",
    _Proof.DUMPED: "They wait to send, and nobody came to receive.",
}
_REMEDY = {
    _Proof.SENDERS: (
        "Make the channel with room for the answer (`make(chan T, 1)`), or send in a `select` with `ctx.Done()`, so that a sender"
        " whose receiver has given up can end."
    ),
    _Proof.RECEIVERS: (
        "Close the channel when no more will be sent, or wait in a `select` with `ctx.Done()`, and cancel every context:"
        " `defer cancel()`."
    ),
    _Proof.LOCKED: "Unlock on every path (`defer mu.Unlock()`), and do not wait for others while you hold the lock.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Goroutines; stacks and what they wait for sharpen the verdict."""

    runtimes: tuple[GoRuntime, ...]
    goroutines: tuple[Goroutine, ...]
    stacks: tuple[Stack, ...] | None = None
    objects: tuple[WaitObject, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place where goroutines leak; else Cleared, or NotJudged after one look at many."""
    book = Book.of(seen.runtimes, seen.goroutines, seen.stacks, seen.objects)
    dumps = {runtime.pid for runtime in book.runtimes if runtime.source != "memory"}
    findings: list[Verdict] = []
    blocked, untold = 0, 0
    for group in book.groups():
        if group.state not in _LOCKS | _RECEIVES | _NIL | {_SEND}:
            continue
        blocked += group.count
        sure = _sure(book, group)
        rest = _without(group, sure)
        findings += [_finding(book, part, proof) for proof, part in sure.items()]
        if rest is None or rest.frame is None or _JUDGED_ELSEWHERE in rest.functions:
            continue
        proof = _dumped(rest) if rest.pid in dumps else _grown(book, rest)
        if proof is not None:
            findings.append(_finding(book, rest, proof))
        elif rest.pid not in dumps and book.apart_ns(rest.pid) is None and rest.count >= MIN_DUMPED:
            untold += rest.count
    if findings:
        return findings
    if untold:
        return [
            NotJudged(
                code=INFO.code,
                name=INFO.name,
                missing=f"whether {untold} blocked goroutines stay, and whether they become more: there was one look only",
                remedy="trace for some seconds, for example `leadline trace TARGET -d 15s`",
                count=untold,
            )
        ]
    return [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="goroutines that wait for a channel or lock",
            reason=f"{say_goroutines(blocked)} {'waits' if blocked == 1 else 'wait'} for a channel or lock; "
            "none is known to wait for ever",
            pattern="parked" if blocked else "none",
            count=blocked,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _sure(book: Book, group: Group) -> dict[_Proof, Group]:
    """Return the members of which it is proved, by how."""
    found: dict[_Proof, list[Goroutine]] = {}
    for one in group.members:
        objects = book.waits(one)
        whole = objects and len(objects) == len(one.waits_on)
        if one.is_leaked:
            found.setdefault(_Proof.COLLECTOR, []).append(one)
        elif whole and all(thing.reachable == "nobody" for thing in objects):
            found.setdefault(_Proof.UNREACHABLE, []).append(one)
    return {
        proof: Group(group.pid, group.state, group.frames, tuple(members)) for proof, members in found.items()
    }


def _without(group: Group, parts: dict[_Proof, Group]) -> Group | None:
    """Return the group without what is judged already; None when nothing is left."""
    gone = {one.goid for part in parts.values() for one in part.members}
    left = tuple(one for one in group.members if one.goid not in gone)
    return Group(group.pid, group.state, group.frames, left) if left else None


def _dumped(group: Group) -> _Proof | None:
    waited = sum((one.waited_ns or 0) >= MIN_DUMPED_WAIT_NS for one in group.members)
    if group.state in _NIL:
        return _Proof.NIL if group.count >= MIN_COUNT else None
    return _Proof.DUMPED if group.state == _SEND and waited >= MIN_DUMPED else None


def _grown(book: Book, group: Group) -> _Proof | None:
    """Return why a group of a live process counts as leaked; None when it does not, or was seen once only."""
    apart_ns = book.apart_ns(group.pid) or 0
    if group.count < MIN_COUNT or apart_ns < MIN_APART_NS:
        return None
    if group.state in _NIL:
        return _Proof.NIL if not group.moved else None
    if (
        group.new < MIN_NEW
        or group.moved
        or group.still < MIN_STILL
        or not _came_all_the_time(group, apart_ns)
    ):
        return None
    if group.state == _SEND:
        return _Proof.SENDERS
    if group.state in _LOCKS:
        return _Proof.LOCKED if _is_held_still(book, group) else None
    if _is_served(group) or _new_with_connection(book, group.pid) >= IO_SHARE * group.new:
        return None
    private = sum(_is_private(book, one, group) for one in group.members)
    return _Proof.RECEIVERS if private >= PRIVATE_SHARE * group.count else None


def _came_all_the_time(group: Group, apart_ns: int) -> bool:
    """Return whether they became more early and late between the first and the last look."""
    ages = [one.still_ns or 0 for one in group.members if one.is_new]
    late = sum(age <= LATE_SHARE * apart_ns for age in ages)
    early = group.parked + len(ages) - late
    return early >= MIN_EACH and late >= MIN_EACH


def _is_held_still(book: Book, group: Group) -> bool:
    """Return whether those who hold the locks have not run either; with nobody who is known to hold one, too."""
    objects = {thing.id: thing for one in group.members for thing in book.waits(one)}
    holders = [book.goroutines.get((group.pid, goid)) for thing in objects.values() for goid in thing.holders]
    return all(holder is not None and is_still(holder) for holder in holders)


def _is_served(group: Group) -> bool:
    by = group.created_by
    names = (*group.functions, "" if by is None else by.function)
    return any(name.startswith(_SERVERS) for name in names)


def _new_with_connection(book: Book, pid: int) -> int:
    return sum(one.is_new and one.state == "IO wait" for one in book.goroutines.values() if one.pid == pid)


def _is_private(book: Book, one: Goroutine, group: Group) -> bool:
    """Return whether nobody outside the group is known to have anything that a goroutine waits for."""
    objects = book.waits(one)
    own = {member.goid for member in group.members}
    return bool(objects) and all(
        thing.stacks_searched
        and not thing.name
        and thing.reachable not in {"global", "goroutine"}
        and not thing.holders
        and {*thing.receivers, *thing.senders, *thing.waiters} <= own
        for thing in objects
    )


def _finding(book: Book, group: Group, proof: _Proof) -> Finding:
    sites = group.sites
    apart_ns = book.apart_ns(group.pid)
    rate = group.new / (apart_ns / 1e9) if apart_ns and group.new else None
    if group.count >= MANY or (proof in _SURE and rate):
        severity = Severity.HIGH
    elif proof is _Proof.DUMPED or (proof in _SURE and group.count < MIN_COUNT):
        severity = Severity.LOW
    else:
        severity = Severity.MEDIUM
    where = f" at {place(sites[0])}" if sites else ""
    growth = ""
    if apart_ns and group.new:
        growth = (
            f" {group.new} of them came in the {format_duration(apart_ns)} between two looks, and none has gone on since:"
            f" {group.still} have not run for at least 2 s."
        )
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=severity,
        confidence=_CONFIDENCE[proof],
        layer=Layer.RUNTIME,
        title=f"{say_goroutines(group.count)} blocked for ever in {group.state}{where}",
        explanation=(
            f"{_WHY[proof]} A blocked goroutine is never freed: its stack and all that it refers to stay in memory."
        ),
        remedy=_REMEDY.get(proof)
        or _REMEDY[_Proof.SENDERS if group.state.startswith(_SEND) else _Proof.RECEIVERS],
        verify="`leadline goroutines TARGET --group` twice, some minutes apart: the number at this place must not grow.",
        count=group.count,
        rate_per_s=None if rate is None else round(rate, 3),
        sites=sites,
        because=(
            Because(
                evidence=group.evidence,
                layer=Layer.RUNTIME,
                says=f"{say_goroutines(group.count)} in state {group.state}{where}.{growth}",
            ),
            *_about_objects(book, group, proof),
        ),
        against=_doubts(group, proof),
        related=("GOR202",) if proof is _Proof.LOCKED else (),
        pid=group.pid,
    )


def _about_objects(book: Book, group: Group, proof: _Proof) -> tuple[Because, ...]:
    things = {thing.id: thing for one in group.members for thing in book.waits(one)}
    if not things or proof is _Proof.COLLECTOR:
        return ()
    first = next(iter(things.values()))
    kind = "channel" if first.kind == "chan" else first.kind
    what = first.name or (f"a {kind}" if len(things) == 1 else f"{len(things):,} {kind}s")
    says = f"They wait for {what}"
    if first.capacity is not None:
        says += (
            " without a buffer"
            if not first.capacity
            else f" with {first.length} of {first.capacity} places taken"
        )
    holders = sorted({goid for thing in things.values() for goid in thing.holders})
    if holders:
        word = "possibly held by" if proof is _Proof.LOCKED else "which is at hand to"
        says += f", {word} goroutine {', '.join(map(str, holders[:3]))}"
        site = None
        holder = book.goroutines.get((group.pid, holders[0]))
        if holder is not None:
            site = book.site(holder)
        says += f" ({holder.state} at {place(site)})" if holder is not None and site is not None else ""
    return (Because(evidence=f"wait_object:{first.id}", layer=Layer.RUNTIME, says=f"{says}."),)


def _doubts(group: Group, proof: _Proof) -> tuple[Because, ...]:
    if proof in _SURE or proof is _Proof.NIL:
        return ()
    says = "What is reached through a struct on the heap was not followed: somebody there may serve them yet."
    if proof is _Proof.LOCKED:
        says = "A holder that is only slow looks the same; look again later."
    return (Because(evidence=group.evidence, layer=Layer.RUNTIME, says=says),)
