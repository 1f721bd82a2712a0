"""Duplicates that File made of connections are never closed (FDL402, descriptor-duplicated-by-file).

What it finds: sockets whose descriptor was made by the File method of a Go connection, and that stay open.

Why it matters: File returns a duplicate with a Close of its own. As long as it is open the connection lives on, also when the
connection itself was closed: the peer sees no end of file. And File().Fd() switches the connection to blocking mode.

Needs: births with stacks (which show File), the descriptor table, the Go runtime (whether a goroutine uses them). Helps: a
search of the heap (--retention, which shows what is an *os.File), socket states.

How it decides: per place: 5 or more open sockets whose birth shows File of the net package, not listening, which become more
all the time (the survival test of FDL101), or of which 5 or more belong to a connection that is open itself
(confidence 0.9). Without births: 5 or more sockets which an *os.File holds and no goroutine uses (0.7). Severity follows the
time until the soft limit.

When it is wrong: event loops that take a duplicate of each connection and close the original (they grow with the number of
clients only); programs that hand duplicates to children and keep theirs on purpose.

What to do: use SyscallConn().Control instead of File. Where a File is needed, `defer file.Close()` directly after the error
check.

References: net.TCPConn.File ("closing f does not affect c"); net/fd_unix.go (dup); os.File.Fd (SetBlocking).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Birthplace, Descriptor, GoRuntime
from leadline.evidence.owners import Hold, Owner
from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Site, Verdict
from leadline.rules.fdl import owned
from leadline.rules.fdl.leaks import Judged, LeakNeeds, assess_birthplace
from leadline.rules.limits import severity_of, time_left
from leadline.rules.survival import Shape
from leadline.rules.table import Table, place, sites_of

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL402", "descriptor-duplicated-by-file", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.CRITICAL
)
MIN_COUNT = 5
BIRTH_CONFIDENCE = 0.9
TYPE_CONFIDENCE = 0.7
_FILE_METHODS = frozenset(
    {
        "net.(*conn).File",
        "net.(*TCPConn).File",
        "net.(*UnixConn).File",
        "net.(*UDPConn).File",
        "net.(*IPConn).File",
        "net.(*netFD).dup",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(LeakNeeds):
    """The final table, births, and who uses what; what keeps them reachable helps."""

    runtimes: tuple[GoRuntime, ...]


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a verdict for each place that makes duplicates by File, at least one in all."""
    table = seen.table()
    open_inodes = Counter((one.pid, one.inode) for one in table.descriptors if one.kind.is_socket)
    verdicts: list[Verdict] = []
    for birthplace in table.birthplaces:
        if not _is_by_file(table, birthplace):
            continue
        judged = assess_birthplace(table, birthplace)
        living = table.living.get(birthplace.id, [])
        twins = sum(open_inodes[one.pid, one.inode] > 1 for one in living)
        if birthplace.alive < MIN_COUNT:
            continue
        if judged.assessment.shape is Shape.LEAKING or twins >= MIN_COUNT:
            verdicts.append(_by_birth(table, judged, twins))
        elif judged.assessment.shape is Shape.UNCLEAR:
            verdicts.append(_unclear(table, judged))
    verdicts += _by_type(table)
    files = sum(birthplace.births for birthplace in table.birthplaces if _is_by_file(table, birthplace))
    return verdicts or [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="duplicates made by File",
            reason=f"{files} were made in the window, and they do not pile up"
            if files
            else "none was made in the window",
            pattern="closed" if files else "none",
            count=files,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _is_by_file(table: Table, birthplace: Birthplace) -> bool:
    """Return whether a place duplicates connections (not listeners) by File."""
    if not birthplace.kind.is_socket or birthplace.role != "duplicated":
        return False
    living = table.living.get(birthplace.id, [])
    if any((socket := table.socket(one)) is not None and socket.state == "LISTEN" for one in living):
        return False
    functions = table.functions(birthplace)
    return "net.(*TCPListener).File" not in functions and not _FILE_METHODS.isdisjoint(functions)


def _unclear(table: Table, judged: Judged) -> NotJudged:
    birthplace = judged.birthplace
    return NotJudged(
        code=INFO.code,
        name=INFO.name,
        missing=judged.assessment.reason,
        remedy=judged.assessment.wanted,
        subject=f"duplicates made by File at {place(birthplace.site)}",
        sites=sites_of(table, birthplace),
        count=birthplace.alive,
        kind=birthplace.kind.report_word,
    )


def _by_birth(table: Table, judged: Judged, twins: int) -> Finding:
    birthplace, found = judged.birthplace, judged.assessment
    open_count, soft = table.open_count(birthplace.pid), table.soft_limit(birthplace.pid)
    left = time_left(open_count, soft, found.rate_per_s, found.rate_low, found.rate_high)
    share = open_count / soft if open_count and soft else None
    lone = birthplace.alive - twins
    sites = owned.with_parked(sites_of(table, birthplace), judged.living)
    original = (
        f"{lone} of the connections themselves {'is' if lone == 1 else 'are'} closed already and live on through the duplicates."
        if lone > twins
        else "The connections themselves are still open."
    )
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=severity_of(left, share, is_growing=found.rate_per_s is not None),
        confidence=BIRTH_CONFIDENCE,
        layer=Layer.RUNTIME,
        title=f"{birthplace.alive} duplicates that File made of connections at {place(birthplace.site)} were never closed",
        explanation=(
            "File returns a duplicate of the connection's descriptor, with a Close of its own; closing the connection does not"
            f" close it. {original}"
        ),
        remedy=(
            "Use SyscallConn().Control instead of File. Where a File is needed, put `defer file.Close()` directly after the error"
            " check."
        ),
        verify="`leadline trace TARGET` again: this place must be cleared or gone.",
        kind=birthplace.kind.report_word,
        count=birthplace.alive,
        rate_per_s=None if found.rate_per_s is None else round(found.rate_per_s, 3),
        sites=sites,
        because=(
            Because(
                evidence=f"birthplace:{birthplace.id}",
                layer=Layer.SYSCALL,
                says=(
                    f"{birthplace.births} births by {birthplace.syscall} below File, {birthplace.deaths} deaths,"
                    f" {birthplace.alive} alive at the end; {twins} of their connections are open themselves."
                ),
            ),
            *owned.because(judged.living),
        ),
        related=("FDL105", "FDL401", "FDL403"),
        pid=birthplace.pid,
    )


def _by_type(table: Table) -> list[Verdict]:
    """Return a finding per process for sockets from before the window which an *os.File holds and nobody uses."""
    held: dict[int, list[tuple[Descriptor, Owner]]] = {}
    for descriptor in table.descriptors:
        owner = table.owners.get(descriptor.pid, descriptor.fd)
        if descriptor.birthplace is None and _is_file_of_socket(table, descriptor, owner):
            held.setdefault(descriptor.pid, []).append((descriptor, owner))
    return [_typed(pid, found) for pid, found in sorted(held.items()) if len(found) >= MIN_COUNT]


def _is_file_of_socket(table: Table, descriptor: Descriptor, owner: Owner) -> bool:
    socket = table.socket(descriptor)
    return (
        descriptor.kind.is_socket
        and owner.retention is not None
        and owner.retention.go_type == "*os.File"
        and owner.hold in {Hold.NOBODY, Hold.UNKNOWN}
        and (socket is None or socket.state != "LISTEN")
    )


def _typed(pid: int, found: list[tuple[Descriptor, Owner]]) -> Finding:
    descriptor, owner = found[0]
    sites: tuple[Site, ...] = ()
    kept = f", {owner.kept}" if owner.kept else ""
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.MEDIUM,
        confidence=TYPE_CONFIDENCE,
        layer=Layer.RUNTIME,
        title=f"{len(found)} sockets are held by an *os.File, as File of a connection returns it, and no goroutine uses them",
        explanation=(
            "File returns a duplicate of the connection's descriptor, with a Close of its own; closing the connection does not"
            " close it. Where these were made was before tracing began."
        ),
        remedy="Use SyscallConn().Control instead of File; where a File is needed, close it.",
        verify="`leadline trace TARGET --retention` again: no socket may be held by an *os.File that nobody uses.",
        kind=descriptor.kind.report_word,
        count=len(found),
        sites=sites,
        because=(
            Because(
                evidence=f"retention:{descriptor.fd}",
                layer=Layer.RUNTIME,
                says=f"Descriptor {descriptor.fd} is a socket in an *os.File{kept}.",
            ),
        ),
        related=("FDL105", "FDL401", "FDL403"),
        pid=pid,
    )
