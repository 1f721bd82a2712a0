"""Calls were refused a descriptor: the limit has been hit (FDL302, descriptor-limit-hit).

What it finds: system calls that failed with EMFILE (the process's limit) or ENFILE (the host's) while they were
watched.

Why it matters: this is the outage itself. Accepts are retried by Go with a back-off of up to a second, for ever, while
clients wait; dials and opens fail; a name lookup fails as "no such host", because the resolver cannot open its files.

Needs: refused calls. Helps: the process with its limits.

How it decides: one refusal is enough; critical. All refusals of one error and process are one finding, places by their
count.

When it is wrong: programs that set a low limit on purpose around a probe of their own.

What to do: find what holds the descriptors (the leak findings of the same report); to recover now, restart; for ENFILE
raise fs.file-max.

References: accept(2), open(2), errors EMFILE and ENFILE; net/http Server.Serve (temporary accept errors).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import HostInfo, ProcessInfo, Refusal, Stack
from leadline.model import Because, Cleared, Finding, Layer, Severity, Site, Verdict
from leadline.rules.table import place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL302", "descriptor-limit-hit", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL
)
MAX_SITES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Refused calls; stacks and limits for the wording."""

    refusals: tuple[Refusal, ...]
    processes: tuple[ProcessInfo, ...] | None = None
    host: tuple[HostInfo, ...] | None = None
    stacks: tuple[Stack, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding per process and error, else Cleared."""
    groups: dict[tuple[int, str], list[Refusal]] = {}
    for refusal in seen.refusals:
        if refusal.count > 0:
            groups.setdefault((refusal.pid, refusal.error), []).append(refusal)
    if not groups:
        return [
            Cleared(
                code=INFO.code,
                name=INFO.name,
                subject="calls that return a descriptor",
                reason="none was refused with EMFILE or ENFILE in the window",
                pattern="none",
                count=0,
            )
        ]
    return [_finding(seen, pid, error, found) for (pid, error), found in sorted(groups.items())]


RULE = Rule(INFO, Needs, judge)


def _finding(seen: Needs, pid: int, error: str, refusals: list[Refusal]) -> Finding:
    refusals = sorted(refusals, key=lambda refusal: (-refusal.count, refusal.id))
    count = sum(refusal.count for refusal in refusals)
    limit = _limit(seen, pid, error)
    frames = {stack.id: stack.frames for stack in seen.stacks or ()}
    sites = tuple(
        Site(
            function=refusal.site.function,
            file=refusal.site.file,
            line=refusal.site.line,
            role="refused",
            stack=frames.get(refusal.stack, ()) if refusal.stack is not None else (),
        )
        for refusal in refusals[:MAX_SITES]
        if refusal.site is not None
    )
    where = f", most at {place(sites[0])}" if sites else ""
    calls = "call was" if count == 1 else "calls were"
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.CRITICAL,
        confidence=0.99,
        layer=Layer.SYSCALL,
        title=f"{count} {calls} refused a descriptor with {error}{where}{limit}",
        explanation=(
            "The process is at its limit: accepts are put off while clients wait, dials and opens fail, and name lookups fail as"
            ' "no such host".'
            if error == "EMFILE"
            else "The whole host is at its limit of open files (fs.file-max): every process is refused."
        ),
        remedy=(
            "Close what leaks (see the other findings); restart to recover; raise the hard limit if the need is real."
            if error == "EMFILE"
            else "Find the process with most descriptors (`leadline census --all`) and raise fs.file-max."
        ),
        verify="`leadline trace TARGET` again under the same load: no call may be refused.",
        count=count,
        sites=sites,
        because=tuple(
            Because(
                evidence=f"refusal:{refusal.id}",
                layer=Layer.SYSCALL,
                says=f"{refusal.syscall} failed with {refusal.error} {refusal.count} times at {place(refusal.site)}.",
            )
            for refusal in refusals[:MAX_SITES]
        ),
        pid=pid,
    )


def _limit(seen: Needs, pid: int, error: str) -> str:
    if error == "EMFILE":
        soft = next((process.nofile_soft for process in seen.processes or () if process.pid == pid), None)
        return "" if soft is None else f"; the soft limit is {soft}"
    file_max = next((host.file_max for host in seen.host or ()), None)
    return "" if file_max is None else f"; fs.file-max is {file_max}"
