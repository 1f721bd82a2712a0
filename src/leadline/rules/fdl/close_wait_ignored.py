"""A goroutine keeps a connection that its peer has closed and waits for something else (FDL603, close-wait-ignored).

What it finds: connections in CLOSE_WAIT whose goroutine lives, does not read them, and is parked on something else: a channel,
a lock, another connection, a timer.

Why it matters: the end of file has arrived, or would be seen by the next read; but the goroutine that would close the connection
waits for another event first. While that does not come, descriptor and goroutine stay, and the kernel never times this out.

Needs: the Go runtime (connections, goroutines), socket states, the descriptor table. Helps: a search of the heap (whose stack
refers to the connection, where the runtime's layers do not tell), births.

How it decides: per place that made them: 5 or more sockets in CLOSE_WAIT for at least 2 s, each with a goroutine of its own
that waits, and not for this connection, and did not run between two looks. Confidence is 0.9 where the connection's layers
name the goroutine, 0.75 where only its stack refers to it, 0.1 less after one look. Severity follows the time until the soft
limit, medium at least.

When it is wrong: handlers that finish work for a client that has left, for longer than the window, and then do close.

What to do: let the wait end when the connection does: `select` on a context that is cancelled when a reading goroutine sees
io.EOF, or give the wait a time limit; close in a defer.

References: RFC 9293 section 3.6; net/http Request.Context (cancelled when the client leaves).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Descriptor, Goroutine, SocketState
from leadline.evidence.owners import Owner
from leadline.model import Because, Finding, Layer, Severity, Verdict
from leadline.rules.connections import MIN_COUNT, ConnectionNeeds, Group, Seen, at, connections, healthy
from leadline.rules.fdl import forgotten
from leadline.rules.table import place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL603", "close-wait-ignored", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
NAMED_CONFIDENCE = 0.9
STACK_CONFIDENCE = 0.75
ONE_LOOK_DOUBT = 0.1
MAX_SHARED = 1
"""Connections per goroutine: one whose stack refers to many is their registry, not the one that ignores an end of file."""
_ON_CPU = frozenset({"running", "runnable", "syscall"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Connections, goroutines and sockets; what keeps connections reachable, and births, help."""

    goroutines: tuple[Goroutine, ...]
    sockets: tuple[SocketState, ...]
    descriptors: tuple[Descriptor, ...]


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place whose connections are kept by goroutines that wait elsewhere, else Cleared."""
    joined = seen.joined()
    left = [one for one in joined.book if forgotten.is_left(one) and joined.book.was_read(one.pid)]
    members = [one for one in _with_keepers(left) if _ignores(one)]
    verdicts: list[Verdict] = [
        _finding(joined, group) for group in joined.groups(members, _where) if group.count >= MIN_COUNT
    ]
    return verdicts or [
        healthy(
            INFO,
            "connections that their peers have closed",
            f"{len(left)} wait in CLOSE_WAIT; {len(members)} of them with a goroutine that waits for something else",
            count=len(left),
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _with_keepers(left: list[Owner]) -> list[Owner]:
    """Return the owners, those without a goroutine with the one whose stack alone refers to the connection."""
    shared = Counter((one.pid, one.keeper.goid) for one in left if one.keeper is not None)
    return [
        one.with_keeper if one.keeper is not None and shared[one.pid, one.keeper.goid] <= MAX_SHARED else one
        for one in left
    ]


def _ignores(owner: Owner) -> bool:
    """Return whether the goroutine of a connection is parked on something else than the connection."""
    found = owner.goroutine
    if found is None or found.state in _ON_CPU or found.moved is True:
        return False
    use = owner.use
    return use is None or found.goid not in {use.reader_goid, use.writer_goid, *use.syscall_goids}


def _where(owner: Owner) -> str:
    return "" if owner.parked is None else place(owner.parked)


def _finding(seen: Seen, group: Group) -> Finding:
    growth = seen.growth(group)
    sites = seen.sites(group)
    parked = group.parked
    sample = next((one for one in group.members if one.parked in parked), group.members[0])
    named = sum(one.connection is not None and one.connection.owner_goid is not None for one in group.members)
    confidence = NAMED_CONFIDENCE if 2 * named > group.count else STACK_CONFIDENCE
    one_look = seen.apart_ns(group.pid) is None
    left = seen.says_left(group.pid, growth)
    state = forgotten.most_frequent(one.goroutine.state for one in group.members if one.goroutine is not None)
    where = f" at {place(parked[0])}" if parked else ""
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=seen.severity(group.pid, growth),
        confidence=round(confidence - (ONE_LOOK_DOUBT if one_look else 0), 3),
        layer=Layer.RUNTIME,
        title=(
            f"{connections(group.count)}{at(sites)} {'was' if group.count == 1 else 'were'} closed by the peer, while"
            f" {'its goroutine waits' if group.count == 1 else 'their goroutines wait'}{where} ({state})"
        ),
        explanation=(
            "The end of file has arrived, and the goroutine that would close the connection does not read: it waits for"
            f" something that has nothing to do with the connection{where}. Until that comes, nobody closes."
            f"{' ' + left if left else ''}"
        ),
        remedy=(
            "Let that wait end when the connection does: `select` on a context that is cancelled at io.EOF, or a time limit; and"
            " `defer conn.Close()`."
        ),
        verify="`leadline conns TARGET` after the peers have left: no CLOSE_WAIT may have a goroutine that is parked elsewhere.",
        kind="tcp",
        count=group.count,
        rate_per_s=None if growth.rate_per_s is None else round(growth.rate_per_s, 3),
        sites=sites,
        because=(
            Because(
                evidence=f"goroutine:{0 if sample.goroutine is None else sample.goroutine.goid}",
                layer=Layer.RUNTIME,
                says=f"Descriptor {sample.fd}: {sample.describe()}.",
            ),
            Because(
                evidence=f"socket:{0 if sample.socket is None else sample.socket.inode}",
                layer=Layer.KERNEL,
                says=f"Their sockets: {forgotten.states(group.members)}.",
            ),
            *seen.births(group, growth),
        ),
        against=(
            Because(
                evidence=f"descriptor:{sample.fd}",
                layer=Layer.RUNTIME,
                says="There was one look only: the goroutines may be about to go on.",
            ),
        )
        if one_look
        else (),
        related=("FDL201", "FDL102"),
        pid=group.pid,
    )
