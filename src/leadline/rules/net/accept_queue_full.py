"""Clients wait in the accept queue because descriptors are exhausted (NET101, accept-queue-full).

What it finds: a listening socket with connections that wait to be accepted, in a process that can accept none because
its descriptors are used up.

Why it matters: to clients the port looks open: the kernel completes the handshake, then nobody answers. When the queue
is full too, the kernel drops new connections and clients time out.

Needs: the process with its listeners and limits, the descriptor table. Helps: refused calls, counters of the network
namespace (ListenOverflows, ListenDrops).

How it decides: exhausted means accept calls refused with EMFILE or ENFILE in the window, or at most 2 descriptors left
below the soft limit. With at least one connection waiting it is high; with a full queue (more waiting than its backlog)
or rising ListenOverflows critical. A full queue with descriptors left is reported as information: the accept loop is
too slow, which is not about descriptors.

When it is wrong: overflow counters belong to the whole network namespace, so another process's listener may have moved
them.

What to do: free descriptors (see the leak findings); the backlog is not the cause and raising it does not help.

References: listen(2); tcp(7); Linux net/ipv4/tcp_ipv4.c (LINUX_MIB_LISTENOVERFLOWS).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Descriptor, Listener, NetCounter, ProcessInfo, Refusal
from leadline.model import Because, Cleared, Finding, Layer, Severity, Verdict

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("NET101", "accept-queue-full", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL)
LEFT_COUNT = 2
"""Descriptors left that count as none: the runtime and the resolver take that many at any time."""
OVERFLOWS = frozenset({"TcpExt.ListenOverflows", "TcpExt.ListenDrops"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Listeners, limits and the table; refusals and counters help."""

    processes: tuple[ProcessInfo, ...]
    descriptors: tuple[Descriptor, ...]
    refusals: tuple[Refusal, ...] | None = None
    counters: tuple[NetCounter, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each process whose clients wait, else Cleared."""
    overflows = max(
        (counter.end - counter.begin for counter in seen.counters or () if counter.name in OVERFLOWS),
        default=0,
    )
    findings: list[Verdict] = []
    waiting_total = 0
    for process in seen.processes:
        waiting = [listener for listener in process.listeners if (listener.accept_queue or 0) > 0]
        waiting_total += sum(listener.accept_queue or 0 for listener in waiting)
        full = [listener for listener in waiting if _is_full(listener)]
        exhausted = _exhausted(seen, process)
        if exhausted and (waiting or (overflows > 0 and process.listeners)):
            findings.append(
                _finding(process, waiting, exhausted, overflows, is_full=bool(full) or overflows > 0)
            )
        elif full:
            findings.append(_slow(process, full))
    return findings or [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="listening sockets",
            reason=f"{waiting_total} connections wait to be accepted, and descriptors are not exhausted",
            pattern="none",
            count=waiting_total,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _is_full(listener: Listener) -> bool:
    """Return whether the kernel would drop the next connection: it allows one more than the backlog."""
    return listener.backlog is not None and (listener.accept_queue or 0) > listener.backlog


def _exhausted(seen: Needs, process: ProcessInfo) -> str:
    """Return why descriptors count as exhausted, "" when they do not."""
    refused = sum(
        refusal.count
        for refusal in seen.refusals or ()
        if refusal.pid == process.pid and refusal.syscall.startswith("accept")
    )
    if refused:
        return f"{refused} accept calls were refused a descriptor"
    count = sum(descriptor.pid == process.pid for descriptor in seen.descriptors)
    soft = process.nofile_soft
    if soft and count >= soft - LEFT_COUNT:
        return f"{count} of {soft} descriptors are open"
    return ""


def _finding(
    process: ProcessInfo, waiting: list[Listener], exhausted: str, overflows: int, *, is_full: bool
) -> Finding:
    count = sum(listener.accept_queue or 0 for listener in waiting)
    ports = ", ".join(
        str(port) for port in sorted({listener.port for listener in waiting or process.listeners})
    )
    because = [
        Because(
            evidence=f"process_info:{process.pid}",
            layer=Layer.KERNEL,
            says=f"{listener.accept_queue} connections wait on port {listener.port} (backlog {listener.backlog}).",
        )
        for listener in waiting
    ]
    because.append(
        Because(
            evidence=f"process_info:{process.pid}",
            layer=Layer.SYSCALL,
            says=f"{exhausted[:1].upper()}{exhausted[1:]}.",
        )
    )
    if overflows:
        says = f"ListenOverflows and ListenDrops of the namespace rose by up to {overflows}."
        because.append(Because(evidence="net_counter:TcpExt.ListenOverflows", layer=Layer.KERNEL, says=says))
    waits = f"{count} clients wait" if count != 1 else "1 client waits"
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.CRITICAL if is_full else Severity.HIGH,
        confidence=0.95 if count else 0.7,
        layer=Layer.KERNEL,
        title=f"{waits} in the accept queue of port {ports}: there is no descriptor to accept with",
        explanation=(
            "The kernel has accepted these connections on behalf of the process, which cannot take them: accept needs a free"
            " descriptor. Clients see an open port and no answer."
        ),
        remedy="Free descriptors: close what leaks, or restart. A larger backlog only lets more clients wait.",
        verify="`leadline trace TARGET` again: no connection may wait in the accept queue.",
        kind="tcp",
        count=count,
        because=tuple(because),
        related=("FDL302", "FDL301"),
        pid=process.pid,
    )


def _slow(process: ProcessInfo, full: list[Listener]) -> Finding:
    count = sum(listener.accept_queue or 0 for listener in full)
    ports = ", ".join(str(port) for port in sorted({listener.port for listener in full}))
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.INFO,
        confidence=0.9,
        layer=Layer.KERNEL,
        title=f"the accept queue of port {ports} is full ({count} waiting), with descriptors left",
        explanation="The accept loop does not keep up, or is stopped. This is not about descriptors.",
        remedy="See what the accept loop waits for (CPU quota, a lock, a limit on connections); then the backlog (somaxconn).",
        verify="`leadline trace TARGET` again: the queue must be empty most of the time.",
        kind="tcp",
        count=count,
        because=tuple(
            Because(
                evidence=f"process_info:{process.pid}",
                layer=Layer.KERNEL,
                says=f"{listener.accept_queue} connections wait on port {listener.port} (backlog {listener.backlog}).",
            )
            for listener in full
        ),
        pid=process.pid,
    )
