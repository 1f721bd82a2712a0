"""A close hit a descriptor that belonged to somebody else (FDL502, closing-somebody-elses-descriptor).

What it finds: a raw number was closed again after the kernel had given it to another goroutine or thread; the new
owner's own close then failed, or its descriptor vanished.

Why it matters: it is memory corruption in the world of descriptors. Reads and writes go to the wrong file or
connection, errors appear in innocent code ("bad file descriptor"), and data can reach the wrong client.

Needs: closes that failed, with stacks, joined with the births of the numbers. Helps: births (the kind of the victim).

How it decides: leadline saw the number closed by one, given to another by a later call, and closed by the first again
before the other closed it. One case is enough; critical.

When it is wrong: ownership that was handed over on purpose to a function that closes the raw number; then the owner
must not close it too.

What to do: find the culprit's stack: it closes a number it no longer owns. Do not use the number from Fd() after or
beside Close; use SyscallConn, or dup the number and own the duplicate.

References: close(2), multithreaded use; os.File.Fd ("unsafe to close").
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Birthplace, CloseFailure, Stack
from leadline.model import Because, Cleared, Finding, Layer, Severity, Site, SiteFrame, Verdict
from leadline.rules.table import kind_acquired_in, place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL502",
    "closing-somebody-elses-descriptor",
    since="0.1.0",
    stage=Stage.STABLE,
    severity=Severity.CRITICAL,
)
VERDICT = "somebody-elses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Failed closes; stacks and births for the wording."""

    failures: tuple[CloseFailure, ...]
    stacks: tuple[Stack, ...] | None = None
    birthplaces: tuple[Birthplace, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding per process and culprit, else Cleared."""
    groups: dict[tuple[int, str], list[CloseFailure]] = {}
    for failure in seen.failures:
        if failure.verdict == VERDICT and failure.count > 0:
            groups.setdefault((failure.pid, place(failure.culprit_site)), []).append(failure)
    if not groups:
        return [
            Cleared(
                code=INFO.code,
                name=INFO.name,
                subject="closes",
                reason="no close was seen to hit somebody else's descriptor",
                pattern="none",
                count=0,
            )
        ]
    return [_finding(seen, pid, found) for (pid, _), found in sorted(groups.items())]


RULE = Rule(INFO, Needs, judge)


def _finding(seen: Needs, pid: int, failures: list[CloseFailure]) -> Finding:
    failures = sorted(failures, key=lambda failure: (-failure.count, failure.id))
    count = sum(failure.count for failure in failures)
    first = failures[0]
    frames = {stack.id: stack.frames for stack in seen.stacks or ()}
    sites: list[Site] = []
    for site, stack, role in (
        (first.culprit_site, first.culprit_stack, "closed"),
        (first.victim_site, first.victim_stack, "acquired"),
        (first.site, first.stack, "closed" if first.culprit_site is None else "failed"),
    ):
        if site is not None:
            sites.append(_site(site, frames.get(stack, ()) if stack is not None else (), role))
    kind = (
        None if first.victim_site is None else kind_acquired_in(first.victim_site.function, seen.birthplaces)
    )
    by = f" by {place(first.culprit_site)}" if first.culprit_site is not None else ""
    owner = f" of {place(first.victim_site)}" if first.victim_site is not None else ""
    times = "descriptor" if count == 1 else "descriptors"
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.CRITICAL,
        confidence=0.95 if first.culprit_site is not None else 0.85,
        layer=Layer.SYSCALL,
        title=f"{count} {times}{owner} closed by mistake{by}",
        explanation=(
            "A number was closed that had been given to somebody else in the meantime. Until the new owner notices, its reads and"
            " writes fail or reach whatever is opened next under that number."
        ),
        remedy=(
            "Remove the second close: whoever called Fd() must neither close the number nor use it after the owner's Close."
            " Use SyscallConn, or dup the number and own the duplicate."
        ),
        verify="`leadline trace TARGET` again under the same load: no close may fail with EBADF.",
        kind=None if kind is None else kind.report_word,
        count=count,
        sites=tuple(sites),
        because=tuple(
            Because(
                evidence=f"close_failure:{failure.id}",
                layer=Layer.SYSCALL,
                says=(
                    f"{failure.count} times number {', '.join(str(fd) for fd in failure.fds[:6])}: acquired at"
                    f" {place(failure.victim_site)}, closed by {place(failure.culprit_site)}; the close at"
                    f" {place(failure.site)} then failed with {failure.error}."
                ),
            )
            for failure in failures[:8]
        ),
        related=("FDL501",),
        pid=pid,
    )


def _site(frame: SiteFrame, stack: tuple[SiteFrame, ...], role: str) -> Site:
    return Site(function=frame.function, file=frame.file, line=frame.line, role=role, stack=stack)
