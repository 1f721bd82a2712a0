"""Connections that were taken over from an HTTP server outlive it (HTP104, hijacked-after-shutdown).

What it finds: hijacked connections (websockets, tunnels) that are open although their HTTP server was told to shut down, or the
process does not listen on their port any more.

Why it matters: Server.Shutdown closes the listener and waits for requests, but it knows nothing of connections that were
taken over with Hijack: nobody tells their clients to go elsewhere, and a program that waits for their goroutines never ends.

Needs: the Go runtime (connections, goroutines). Helps: whether the server is closing, socket states, listeners, births.

How it decides: a connection was taken over when net/http noted so, and also when it came in on a port on which net/http
accepts, or did at an earlier look, and a goroutine that is none of net/http's is parked on it. 5 or more of one port whose
server is told to be closing: medium, confidence 0.9; low and 0.7 while the process listens on that port again, as after a
restart in place. Where the server was not found, 5 or more that came in on a port on which this process listened or accepted
before and does not any longer: medium, confidence 0.7. A websocket of a server that still serves is healthy, however
long it is quiet.

When it is wrong: a shutdown that has only just begun, and one that waits for its websockets on purpose, with a limit in time.

What to do: keep a list of hijacked connections, and close them (or send the websocket close frame) in a function given to
Server.RegisterOnShutdown; wait for them with a limit in time.

References: net/http Server.Shutdown, Server.RegisterOnShutdown, Hijacker.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.owners import Owner
from leadline.model import Because, Finding, Layer, NotJudged, Severity, Verdict
from leadline.rules.connections import (
    MIN_COUNT,
    ConnectionNeeds,
    Seen,
    connections,
    healthy,
    reference,
    silence_of,
)

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "HTP104", "hijacked-after-shutdown", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.MEDIUM
)
TOLD_CONFIDENCE = 0.9
GUESSED_CONFIDENCE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Connections and goroutines; sockets, listeners and births help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding per port whose hijacked connections outlive their server; else Cleared, or NotJudged."""
    joined = seen.joined()
    hijacked = [one for one in joined.owners() if _is_hijacked(one)]
    left: defaultdict[tuple[int, int, bool], list[Owner]] = defaultdict(list)
    untold = 0
    for one in hijacked:
        told = None if one.connection is None else one.connection.server_closing
        orphaned = _has_lost_its_listener(one, joined) if told is None else None
        if told or orphaned:
            left[one.pid, _port(one), told is True].append(one)
        elif told is None and orphaned is None:
            untold += 1
    findings: list[Verdict] = [
        _finding(joined, members, port, is_told=is_told)
        for (_, port, is_told), members in sorted(left.items(), key=lambda item: (-len(item[1]), item[0]))
        if len(members) >= MIN_COUNT
    ]
    if findings:
        return findings
    if untold >= MIN_COUNT:
        return [
            NotJudged(
                code=INFO.code,
                name=INFO.name,
                missing=f"whether the server of {untold} hijacked connections still serves",
                remedy="run where sockets can be listed (sock_diag in the target's network namespace), and trace births",
                count=untold,
                kind="tcp",
            )
        ]
    few = sum(len(members) for members in left.values())
    return [
        healthy(
            INFO,
            "hijacked connections",
            f"{connections(len(hijacked))} taken over from HTTP servers, such as websockets; {few} of a server that has"
            " been shut down",
            pattern="served" if len(hijacked) > few else "none",
            count=len(hijacked),
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _is_hijacked(owner: Owner) -> bool:
    found = owner.connection
    if found is None or found.role == "client":
        return False
    return found.activity == "hijacked" or (found.role == "server" and found.protocol == "websocket")


def _port(owner: Owner) -> int:
    return 0 if owner.socket is None or owner.socket.lport is None else owner.socket.lport


def _has_lost_its_listener(owner: Owner, seen: Seen) -> bool | None:
    """Return whether this process accepted a connection on a port on which it no longer listens; None when unknown."""
    port = _port(owner)
    if not port or not seen.table.has_sockets:
        return None
    if port in seen.table.listening.get(owner.pid, ()):
        return False
    accepted = owner.birthplace is not None and owner.birthplace.role == "accepted"
    listened = any(
        socket.state == "LISTEN" and socket.lport == port for socket in seen.table.earlier.values()
    )
    return True if accepted or listened else None


def _finding(seen: Seen, members: list[Owner], port: int, *, is_told: bool) -> Finding:
    group = seen.groups(members, lambda _: "")[0]
    pid, sample = group.pid, members[0]
    listens = bool(port) and port in seen.table.listening.get(pid, ())
    count = len(members)
    where = f" of port {port}" if port else ""
    shut = "was told to shut down" if is_told else "no longer listens"
    against = ["A shutdown that has only just begun looks the same."]
    if listens:
        against.append(f"The process listens on port {port} again: the older server may be draining.")
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.LOW if listens else Severity.MEDIUM,
        confidence=GUESSED_CONFIDENCE if listens or not is_told else TOLD_CONFIDENCE,
        layer=Layer.PROTOCOL,
        title=f"{count} hijacked connections{where} are open although their server {shut}",
        explanation=(
            "Server.Shutdown does not know of connections that were taken over with Hijack: it neither closes them nor waits for"
            " them. Their goroutines go on, and their clients have no reason to leave."
        ),
        remedy=(
            "Keep a list of hijacked connections and close them in a function given to Server.RegisterOnShutdown; wait for"
            " their goroutines with a limit in time."
        ),
        verify="Shut the service down again under load: `leadline conns PID` must show no hijacked connection after the limit.",
        kind="tcp",
        count=count,
        sites=seen.sites(group),
        because=(
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME,
                says=f"Descriptor {sample.fd}: {sample.describe()}{silence_of(sample)}.",
            ),
            Because(
                evidence=reference(sample),
                layer=Layer.RUNTIME if is_told else Layer.KERNEL,
                says=f"The HTTP server{where} {shut}.",
            ),
        ),
        against=tuple(
            Because(evidence=reference(sample), layer=Layer.RUNTIME, says=says) for says in against
        ),
        related=("FDL102",),
        pid=pid,
    )
