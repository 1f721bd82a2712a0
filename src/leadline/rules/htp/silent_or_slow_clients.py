"""Clients let an HTTP server wait that has no limit in time (HTP103, silent-or-slow-clients).

What it finds: connections of an HTTP server on which a client has sent nothing, or only a part of a request, for 10 s or longer,
while the read that waits for the rest has no deadline.

Why it matters: a Go server without ReadTimeout or ReadHeaderTimeout keeps a descriptor and a goroutine for each of them for
ever; TCP keepalive ends only connections of peers that vanished. It takes no fault in the service to be exhausted this
way, only slow or hostile clients.

Needs: the Go runtime (connections, goroutines). Helps: who is parked on which descriptor (deadlines), socket states, births.

How it decides: 10 or more connections of one port whose server waits for the first byte, in the header or in the body of a
request. Each has let it wait for 10 s: since it was accepted where nothing was ever answered, else since anything moved on it.
A slow body counts only when it has stopped, since a long one takes its time. The read has no deadline, as the runtime
tells of the descriptor; where that is not known, the server has neither ReadTimeout nor ReadHeaderTimeout. Medium; high
from 100 or from a tenth of the soft limit. Confidence 0.9, or 0.8 where only the server's limits are known.
Connections between two requests, in a handler (long polls), and taken over (websockets) are not looked at.

When it is wrong: load balancers and browsers that keep spare connections ready, in such numbers. The missing limit is
true even then.

What to do: set http.Server.ReadHeaderTimeout (it covers the TLS handshake) and IdleTimeout; for bodies ReadTimeout, or
http.ResponseController.SetReadDeadline in handlers that take long uploads.

References: net/http Server.ReadHeaderTimeout, Server.ReadTimeout; net/http/server.go (conn.readRequest).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.model import Severity, Verdict
from leadline.rules.connections import ConnectionNeeds
from leadline.rules.waiting_clients import Words, judge_waiting

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "HTP103", "silent-or-slow-clients", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.HIGH
)
WORDS = Words(
    activities=("first-byte", "headers", "body"),
    lets_wait="have not sent a whole request",
    explanation=(
        "The goroutine that serves each is parked in a read without a deadline, so connection, descriptor and goroutine stay"
        " until the client leaves."
    ),
    remedy=(
        "Set http.Server.ReadHeaderTimeout and IdleTimeout; for bodies ReadTimeout, or ResponseController.SetReadDeadline in"
        " handlers that take long uploads."
    ),
    verify="`leadline conns TARGET` again: connections without a whole request must be gone after the time limit.",
    related=("FDL202", "FDL301", "TLS101"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Connections and goroutines; deadlines, sockets and births help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding per port with many clients that let the server wait; else Cleared, or NotJudged."""
    return judge_waiting(INFO, seen, WORDS)


RULE = Rule(INFO, Needs, judge)
