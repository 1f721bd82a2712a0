"""Clients connect to a TLS server and never finish the handshake (TLS101, silent-tls-handshakes).

What it finds: connections of a server in the TLS handshake for 10 s or longer, while the read that waits for the client has no
deadline.

Why it matters: a TLS server waits for the client's hello before it knows anything of a request. Without ReadHeaderTimeout,
ReadTimeout or WriteTimeout net/http sets no limit to it, and a raw tls.Listener never does: each such client keeps a
descriptor and a goroutine for ever.

Needs: the Go runtime (connections, goroutines). Helps: who is parked on which descriptor (deadlines), socket states, births.

How it decides: 10 or more connections of one port in the TLS handshake, accepted 10 s ago or earlier (a handshake takes a
few round trips), whose read has no deadline, as the runtime tells of the descriptor; where that is not known, whose HTTP
server has no limits. Medium; high from 100 or from a tenth of the soft limit. Confidence 0.9, or 0.8 where only the
server's limits are known.

When it is wrong: port checks of load balancers that connect and keep the connection without a word. The missing limit is true
even then.

What to do: set http.Server.ReadHeaderTimeout, which covers the handshake; on a raw listener call
tls.Conn.HandshakeContext with a deadline, or SetDeadline before the first read.

References: net/http Server.ReadHeaderTimeout (tlsHandshakeTimeout in net/http/server.go); crypto/tls Conn.HandshakeContext.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.model import Severity, Verdict
from leadline.rules.connections import ConnectionNeeds
from leadline.rules.waiting_clients import Words, judge_waiting

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("TLS101", "silent-tls-handshakes", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.HIGH)
WORDS = Words(
    activities=("tls-handshake",),
    lets_wait="have not finished the TLS handshake",
    explanation=(
        "A goroutine is parked in each handshake in a read without a deadline, so connection, descriptor and goroutine stay"
        " until the client leaves."
    ),
    remedy=(
        "Set http.Server.ReadHeaderTimeout, which covers the handshake; on a raw tls.Listener use HandshakeContext with a"
        " deadline before the first read."
    ),
    verify="`leadline conns TARGET` again: connections in the handshake must be gone after the time limit.",
    related=("FDL202", "FDL301", "HTP103"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Connections and goroutines; deadlines, sockets and births help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding per port with many clients that stay in the handshake; else Cleared, or NotJudged."""
    return judge_waiting(INFO, seen, WORDS)


RULE = Rule(INFO, Needs, judge)
