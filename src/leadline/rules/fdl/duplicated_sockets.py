"""Several descriptors refer to one connection (FDL401, duplicated-sockets).

What it finds: connected sockets that are open under more than one number in the same process.

Why it matters: the connection ends only when the last duplicate is closed. In Go, File() of a connection returns such a
duplicate, and File().Fd() besides switches the connection to blocking mode: its deadlines stop working and Close can
hang.

Needs: the descriptor table. Helps: socket states (which connection), births (who duplicates).

How it decides: descriptors of one process with the same open file (or the same socket inode) are one connection; all
but one of each are duplicates. 5 or more duplicates at numbers above 2 are a finding, medium; listening sockets are
left out, since a restart hands those over by design.

When it is wrong: programs that split reading and writing of a connection over two descriptors.

What to do: use SyscallConn().Control instead of File(); where File() is needed, close what it returned.

References: net.TCPConn.File ("closing f does not affect c"); dup(2).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Birthplace, Descriptor, SocketState, Window
from leadline.model import Because, Cleared, Finding, Layer, Severity, Verdict
from leadline.rules.table import Table, place, sites_of

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("FDL401", "duplicated-sockets", since="0.1.0", stage=Stage.STABLE, severity=Severity.MEDIUM)
MIN_DUPLICATES = 5
STANDARD_FDS = 2
"""Standard input, output and error are often one socket (inetd, systemd)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The table; sockets and births for the wording."""

    window: tuple[Window, ...]
    descriptors: tuple[Descriptor, ...]
    sockets: tuple[SocketState, ...] | None = None
    birthplaces: tuple[Birthplace, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding per process with many duplicates, else Cleared."""
    table = Table.of(
        window=seen.window, descriptors=seen.descriptors, sockets=seen.sockets, birthplaces=seen.birthplaces
    )
    same: dict[tuple[int, int | None], list[Descriptor]] = {}
    for descriptor in seen.descriptors:
        socket = table.socket(descriptor)
        is_listener = socket is not None and socket.state == "LISTEN"
        if (
            descriptor.kind.is_socket
            and descriptor.inode is not None
            and descriptor.fd > STANDARD_FDS
            and not is_listener
        ):
            same.setdefault((descriptor.pid, descriptor.inode), []).append(descriptor)
    by_pid: dict[int, list[list[Descriptor]]] = {}
    for (pid, _), group in same.items():
        if len(group) > 1:
            by_pid.setdefault(pid, []).append(group)
    total = sum(len(group) - 1 for groups in by_pid.values() for group in groups)
    findings: list[Verdict] = [
        _finding(table, pid, groups)
        for pid, groups in sorted(by_pid.items())
        if sum(len(group) - 1 for group in groups) >= MIN_DUPLICATES
    ]
    reason = (
        "no connection is open twice"
        if not total
        else f"only {total} duplicates, fewer than {MIN_DUPLICATES}"
    )
    return findings or [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="connections under several descriptors",
            reason=reason,
            pattern="none",
            count=total,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _finding(table: Table, pid: int, groups: list[list[Descriptor]]) -> Finding:
    count = sum(len(group) - 1 for group in groups)
    groups = sorted(groups, key=lambda group: (-len(group), group[0].fd))
    largest = groups[0]
    makers = Counter(
        descriptor.birthplace
        for group in groups
        for descriptor in group
        if descriptor.birthplace is not None and _role(table, descriptor.birthplace) == "duplicated"
    )
    maker = min(makers, key=lambda number: (-makers[number], number), default=None)
    birthplace = next((found for found in table.birthplaces if found.id == maker), None)
    sites = () if birthplace is None else sites_of(table, birthplace)
    where = f" at {place(sites[0])}" if sites else ""
    numbers = ", ".join(str(descriptor.fd) for descriptor in largest[:6]) + (
        " ..." if len(largest) > 6 else ""
    )
    connections = "connection" if len(groups) == 1 else "connections"
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.MEDIUM,
        confidence=0.9,
        layer=Layer.SYSCALL,
        title=f"{len(groups)} {connections} open under {count + len(groups)} descriptors: {count} duplicates made{where}",
        explanation=(
            "A duplicate keeps the connection open after the original was closed, and shares its blocking mode: after"
            " File().Fd() in Go, deadlines of the connection no longer work."
        ),
        remedy="Use SyscallConn().Control instead of File(); where a File is needed, close it.",
        verify="`leadline trace TARGET` again: each connection must have one descriptor.",
        kind=largest[0].kind.report_word,
        count=count,
        sites=sites,
        because=(
            Because(
                evidence=f"descriptor:{largest[0].fd}",
                layer=Layer.SYSCALL,
                says=f"Socket {largest[0].inode} is open as {len(largest)} descriptors: {numbers}.",
            ),
        ),
        related=("FDL105",),
        pid=pid,
    )


def _role(table: Table, number: int) -> str:
    return next((found.role for found in table.birthplaces if found.id == number), "")
