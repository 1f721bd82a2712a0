"""Panics are recovered, and the connections of their goroutines are not closed (FDL604, recovered-panic-without-close).

What it finds: a server whose goroutines panic and recover, and connections, accepted where those goroutines are started,
that stay open after their peers have left, about as many as there were panics.

Why it matters: a deferred recover keeps the process alive and hides the fault; but what stood after the panic, such as the
Close at the end of the handler, never runs. Each bad request costs a descriptor.

Needs: panics by place (entry probe on runtime.gopanic), births with stacks, the descriptor table, socket states. Helps: the Go
runtime (that no goroutine uses those connections).

How it decides: per place that accepts: 5 or more of its connections are left by their peers for 2 s or longer and have no
goroutine, or no goroutine waits on them and they are silent for 5 s; 5 or more panics were survived by goroutines that were
started in a function on that accepting stack; and neither number is more than 1.5 times the other (confidence 0.9), or
there are up to four times as many panics (0.6, not all of them leave a connection). net/http closes the connection when a
handler panics, so it never fits. Severity follows the time until the soft limit.

When it is wrong: a server that has two faults of the same frequency in the same goroutines.

What to do: `defer conn.Close()` first in the goroutine, before the defer that recovers: deferred calls run in reverse order, and
also in a panic. Then mend the panic: the finding names its line.

References: The Go Programming Language Specification, "Handling panics"; Go runtime/panic.go; net/http/server.go (conn.serve).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    PanicSite,
    ProcessInfo,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.evidence.owners import Hold, Owner, OwnerBook
from leadline.model import Because, Cleared, Finding, Layer, Severity, Site, Verdict
from leadline.rules.connections import MIN_COUNT, Group, Seen, at, connections
from leadline.rules.fdl import forgotten
from leadline.rules.table import Table, place, sites_of

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL604",
    "recovered-panic-without-close",
    since="0.1.0",
    stage=Stage.PREVIEW,
    severity=Severity.CRITICAL,
)
COMPARABLE = 1.5
"""Connections that were open before the window, and panics whose connection is not settled yet, make them differ."""
LOOSE = 4.0
COMPARABLE_CONFIDENCE = 0.9
LOOSE_CONFIDENCE = 0.6
SILENT_NS = 5 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Panics, births, sockets and the final table; the Go runtime helps."""

    window: tuple[Window, ...]
    panics: tuple[PanicSite, ...]
    birthplaces: tuple[Birthplace, ...]
    descriptors: tuple[Descriptor, ...]
    sockets: tuple[SocketState, ...]
    stacks: tuple[Stack, ...] | None = None
    processes: tuple[ProcessInfo, ...] | None = None
    timeline: tuple[TimelineSample, ...] | None = None
    runtimes: tuple[GoRuntime, ...] | None = None
    goroutines: tuple[Goroutine, ...] | None = None
    uses: tuple[DescriptorUse, ...] | None = None
    connections: tuple[Connection, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each accepting place whose goroutines panic and leave connections, else Cleared."""
    joined = _joined(seen)
    left: dict[int, list[Owner]] = {}
    for one in joined.book:
        if one.birthplace is not None and _is_left(one, joined):
            left.setdefault(one.birthplace.id, []).append(one)
    verdicts: list[Verdict] = []
    for birthplace in seen.birthplaces:
        members = left.get(birthplace.id, [])
        panics = _panics_of(joined.table, birthplace, seen.panics)
        count = sum(one.count for one in panics)
        if (
            birthplace.role == "accepted"
            and min(len(members), count) >= MIN_COUNT
            and _fits(len(members), count)
        ):
            verdicts.append(_finding(joined, Group(birthplace.pid, tuple(members), birthplace), panics))
    survived = sum(one.count for one in seen.panics)
    return verdicts or [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="panics that were recovered",
            reason="none in the window"
            if not survived
            else f"{survived} in the window; no connections were left in the same number where their goroutines are started",
            pattern="none" if not survived else "closed-after-panics",
            count=survived,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _joined(seen: Needs) -> Seen:
    book = OwnerBook.of(
        runtimes=seen.runtimes,
        goroutines=seen.goroutines,
        uses=seen.uses,
        connections=seen.connections,
        stacks=seen.stacks,
        descriptors=seen.descriptors,
        sockets=seen.sockets,
        birthplaces=seen.birthplaces,
    )
    table = Table.of(
        window=seen.window,
        birthplaces=seen.birthplaces,
        descriptors=seen.descriptors,
        sockets=seen.sockets,
        stacks=seen.stacks,
        processes=seen.processes,
        timeline=seen.timeline,
    )
    return Seen(table, book, {one.pid: one for one in seen.runtimes or ()})


def _is_left(owner: Owner, seen: Seen) -> bool:
    if forgotten.is_left(owner):
        return owner.goroutine is None
    is_silent = owner.silent_ns is not None and owner.silent_ns >= SILENT_NS
    return is_silent and owner.hold is Hold.NOBODY and forgotten.is_forgotten(owner, seen)


def _panics_of(table: Table, birthplace: Birthplace, panics: tuple[PanicSite, ...]) -> list[PanicSite]:
    """Return the panics of goroutines that were started in a function on the stack that accepts, most first."""
    functions = set(table.functions(birthplace))
    if birthplace.site is not None:
        functions.add(birthplace.site.function)
    found = [
        one
        for one in panics
        if one.pid == birthplace.pid and one.created_by is not None and one.created_by.function in functions
    ]
    return sorted(found, key=lambda one: (-one.count, one.id))


def _fits(left: int, panics: int) -> bool:
    return left <= panics * COMPARABLE and panics <= left * LOOSE


def _finding(seen: Seen, group: Group, panics: list[PanicSite]) -> Finding:
    growth = seen.growth(group)
    count = sum(one.count for one in panics)
    first = panics[0]
    where = f" at {place(first.site)}" if first.site is not None else ""
    stack = seen.table.frames(first.stack)
    panicked = (
        ()
        if first.site is None
        else (
            Site(
                function=first.site.function,
                file=first.site.file,
                line=first.site.line,
                role="panicked",
                stack=stack,
            ),
        )
    )
    acquired = () if group.birthplace is None else sites_of(seen.table, group.birthplace)
    is_close = count <= group.count * COMPARABLE
    sample = group.members[0]
    left = seen.says_left(group.pid, growth)
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=seen.severity(group.pid, growth),
        confidence=COMPARABLE_CONFIDENCE if is_close else LOOSE_CONFIDENCE,
        layer=Layer.RUNTIME,
        title=(
            f"{connections(group.count)}{at(acquired)} stayed open after {count} recovered panics{where} in their goroutines"
        ),
        explanation=(
            "The goroutine that serves a connection panics, a deferred function recovers, and the Close that stands after"
            f" the panic never runs.{' ' + left if left else ''}"
        ),
        remedy=(
            "Put `defer conn.Close()` first in that goroutine, before the defer that recovers; it runs in a panic too. Then"
            f" mend the panic{where}."
        ),
        verify="`leadline trace TARGET` with the same requests: panics may still be counted, but no connection may stay.",
        kind="tcp",
        count=group.count,
        rate_per_s=None if growth.rate_per_s is None else round(growth.rate_per_s, 3),
        sites=(*acquired[:1], *panicked, *acquired[1:]),
        because=(
            Because(
                evidence=f"panic_site:{first.id}",
                layer=Layer.RUNTIME,
                says=f"{count} panics were recovered in goroutines that {place(first.created_by)} started"
                + (f", {first.count} of them{where}." if len(panics) > 1 else "."),
            ),
            Because(
                evidence=f"descriptor:{sample.fd}",
                layer=Layer.KERNEL,
                says=f"{group.count} connections that were accepted there are left: {forgotten.states(group.members)}.",
            ),
            *seen.births(group, growth),
        ),
        against=()
        if is_close
        else (
            Because(
                evidence=f"panic_site:{first.id}",
                layer=Layer.RUNTIME,
                says=f"There were {count} panics for {group.count} connections: not each of them leaves one.",
            ),
        ),
        related=("FDL102", "FDL201", "FDL602"),
        pid=group.pid,
    )
