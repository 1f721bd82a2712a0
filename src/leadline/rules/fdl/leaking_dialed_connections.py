"""TCP connections that this process dialed are never closed (FDL101, leaking-dialed-connections).

What it finds: a place that dials TCP connections of which more and more stay open that nobody uses or can reuse.

Why it matters: each one holds a descriptor here, one at the peer, and memory and goroutines on both sides; in the end
every open, dial and accept fails with "too many open files".

Needs: births and deaths with stacks, the final descriptor table. Helps: socket states (which connections are silent,
unread or closed by the peer), limits (time left), the table over time, the Go runtime (what each is used for).

How it decides: survival of the birthplace's descriptors. At least 5 survivors must have outlived 1.5 times the age
beyond which the others of that birthplace die (deaths beyond it: at most 5 % of the survivors), be spread in at least 3
groups over at least 3 s, and their births must be compatible with a steady rate up to the end (Laplace z >= -3.3,
chance of the final silence >= 0.0001). Before that, connections in use are taken out by their sockets. A pool
(net/http, database/sql) never dials while it holds an idle connection to that peer; so only those count that fell
silent 0.25 s or more before a later dial, hold unread data for 1 s, or were closed by the peer; without socket states a
pool needs 12 survivors. Without a pool, a connection on which data moved 1 s or more after the dial and in the younger
half of its life is in use. Five whose peer closed and that are 5 s old are enough even when no new ones come.
Where the Go runtime was read it has the last word: connections idle in a pool that they share, and those that a
goroutine works with, do not count; answers that nobody reads, and connections without a goroutine, do. Confidence is
1 - exp(-n/4) for n such survivors, times 0.9 without any deaths, at most 0.99; half of the doubt goes when 80 % have no
goroutine or an answer that nobody reads, a tenth of the confidence where goroutines are parked on most. Severity follows
the time until the soft limit: critical below 10 min, high below a week, else medium.

When it is wrong: long-lived connections made one by one during the whole window by design (a new outbound websocket or
broker session per user) and silent. A pool under many host names behind one address and port: it cannot reuse one for
the other. Lifetimes longer than the window when the load began in the window. Then trace longer than one lifetime.

What to do: close the response body of each request, also when it is not read; use one http.Client and Transport; end
rows and transactions; `defer conn.Close()` directly after a raw dial, also when the TLS handshake fails.

References: net/http Response.Body; net/http/transport.go (queueForIdleConn, dialConn); Maller and Zhou, Survival
Analysis with Long-Term Survivors (1996); Cox and Lewis, The Statistical Analysis of Series of Events (1966).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.model import Severity, Verdict
from leadline.rules.fdl.leaks import LeakNeeds
from leadline.rules.fdl.verdicts import judge_birthplaces

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL101", "leaking-dialed-connections", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(LeakNeeds):
    """Births, deaths, the final table; sockets and limits help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a verdict for each place that dials TCP connections."""
    return judge_birthplaces(INFO, seen)


RULE = Rule(INFO, Needs, judge)
