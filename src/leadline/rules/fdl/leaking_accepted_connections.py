"""TCP connections that this server accepted are never closed (FDL102, leaking-accepted-connections).

What it finds: a place that accepts TCP connections and keeps more and more of those whose clients have already left.

Why it matters: the port stays open and looks healthy while descriptors run out; then accept fails with "too many open
files" and new clients wait in the kernel's queue.

Needs: births and deaths with stacks, the final descriptor table, socket states. Helps: limits, the table over time, the
Go runtime (whether a goroutine is still there, and what keeps them reachable).

How it decides: only connections count whose peer has closed (CLOSE_WAIT or CLOSE, with no segment for 1 s): the process
was told and did not close. A connection whose peer is still there is what a server should have, however idle. On those
that count, the survival test of FDL101 decides (5 or more, spread over 3 s or more, steady to the end); five that are
at least 5 s old are enough also when no new ones come. Where the Go runtime was read, one whose goroutine runs at the end
does not count, and one that nothing reaches and no goroutine waits on does, whether its peer is there or not.

When it is wrong: handlers that work on for many seconds after their client has gone away, under a load that began in
the window.

What to do: `defer conn.Close()` first in the goroutine that serves the connection, before a defer that recovers; read
until the end or set a read deadline, so that the peer's close is noticed; after Hijack the connection is yours to
close.

References: tcp(7), CLOSE_WAIT; net/http Hijacker; net/http/server.go (conn.serve closes on panic, so handlers that
panic do not leak).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import SocketState
from leadline.model import Severity, Verdict
from leadline.rules.fdl.leaks import LeakNeeds
from leadline.rules.fdl.verdicts import judge_birthplaces

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL102", "leaking-accepted-connections", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(LeakNeeds):
    """Births, deaths, the final table, and socket states: without these nobody can tell a leak from a patient client."""

    sockets: tuple[SocketState, ...]


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a verdict for each place that accepts TCP connections."""
    return judge_birthplaces(INFO, seen)


RULE = Rule(INFO, Needs, judge)
