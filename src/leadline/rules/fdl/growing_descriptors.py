"""Descriptors of one sort grow in number, seen without births (FDL110, growing-descriptors).

What it finds: descriptors that lead to the same kind of place (a peer port, a port of this server, a path) and of which
more and more stay open, where leadline could only compare tables, or where descriptors appeared by a way that tracing
does not see (io_uring, descriptors sent over a unix socket in bulk).

Why it matters: it is the leak of FDL101 to FDL105, only the line that acquires them is not known.

Needs: groups of descriptors over time, the final table. Helps: socket states, limits (time left).

How it decides: as FDL101 to FDL105, on ages since first seen; dialed connections need 12 survivors, since without
stacks a pool cannot be told. Accepted connections count only when their peer has closed. Confidence is that of the
survival test times 0.8: what lived shorter than the interval between two looks was not seen, and several places in the
source may be one group.

When it is wrong: as FDL101 to FDL105; also, idle pool connections that were dialed one by one during the whole window.

What to do: trace again with BPF (as root, or with CAP_BPF and CAP_PERFMON) to learn the line; then as for FDL101 to
FDL105.

References: proc_pid_fd(5); sock_diag(7).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Birthplace, Descriptor, DescriptorKind, Origin
from leadline.model import Severity, Verdict
from leadline.rules.fdl.leaks import LeakNeeds
from leadline.rules.fdl.verdicts import judge_birthplaces
from leadline.rules.table import Table

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL110", "growing-descriptors", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(LeakNeeds):
    """Groups of descriptors over time and the final table; sockets and limits help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a verdict for each group of descriptors whose births were not traced."""
    table = seen.table()
    groups: dict[tuple[int, DescriptorKind, str], list[Descriptor]] = {}
    for descriptor in table.descriptors:
        if descriptor.origin is Origin.UNKNOWN and descriptor.birthplace is None:
            groups.setdefault((descriptor.pid, descriptor.kind, table.key(descriptor)), []).append(descriptor)
    found = [_group(table, -number, members) for number, members in enumerate(groups.values(), 1)]
    table.birthplaces = (*table.birthplaces, *found)
    return judge_birthplaces(INFO, replace(seen, birthplaces=table.birthplaces), table)


RULE = Rule(INFO, Needs, judge)


def _group(table: Table, number: int, members: list[Descriptor]) -> Birthplace:
    """Return a birthplace for descriptors of unknown origin, and enter them in the table as its living."""
    first = members[0]
    end_ns = table.end_ns(first.pid)
    socket = table.socket(first)
    role = "created"
    if socket is not None and socket.rport:
        role = "accepted" if table.is_accepted(first, socket) else "dialed"
    table.living[number] = members
    return Birthplace(
        id=number,
        pid=first.pid,
        kind=first.kind,
        syscall="unknown",
        role=role,
        stack=None,
        births=len(members),
        deaths=0,
        alive=len(members),
        ages_ns=tuple(sorted(max(end_ns - member.seen_since_mono_ns, 0) for member in members)),
        peers=((table.key(first), len(members)),),
    )
