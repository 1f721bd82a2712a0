"""Closes fail (FDL501, failing-close).

What it finds: close calls that returned an error while they were watched: a second close of the same number (EBADF,
nobody was hit), a close of a number that was never open, or a real error such as EIO.

Why it matters: a second close of a raw number is harmless only as long as nobody else has been given that number in
between; next time it closes somebody else's descriptor (FDL502). A real error may mean lost data: the kernel reports
failed writes of network file systems at close.

Needs: closes that failed, with stacks. Helps: births (what the function that closes had acquired).

How it decides: one failing close is enough. A second close (verdict double) is medium; a real error is medium, and low
when it was an interruption (EINTR: Linux has closed the descriptor all the same); a number that was never open is
information only, because many programs close all numbers before exec.

When it is wrong: programs in C that close a range of numbers blindly appear as information.

What to do: close each descriptor in one place; never keep the number from Fd() beyond the owner's Close; do not retry a
close.

References: close(2), "Dealing with error returns from close()"; os.File.Fd.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Birthplace, CloseFailure, Stack
from leadline.model import Because, Cleared, Finding, Layer, Severity, Site, Verdict
from leadline.rules.table import kind_acquired_in, place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("FDL501", "failing-close", since="0.1.0", stage=Stage.STABLE, severity=Severity.MEDIUM)
OTHER_RULES = "somebody-elses"
MAX_SITES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Failed closes; stacks and births for the wording."""

    failures: tuple[CloseFailure, ...]
    stacks: tuple[Stack, ...] | None = None
    birthplaces: tuple[Birthplace, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding per process, kind of failure and error; else Cleared."""
    groups: dict[tuple[int, str, str], list[CloseFailure]] = {}
    for failure in seen.failures:
        if failure.verdict != OTHER_RULES and failure.count > 0:
            groups.setdefault((failure.pid, failure.verdict, failure.error), []).append(failure)
    if not groups:
        return [
            Cleared(
                code=INFO.code,
                name=INFO.name,
                subject="closes",
                reason="none failed in the window, but for those of FDL502"
                if seen.failures
                else "none failed in the window",
                pattern="none",
                count=0,
            )
        ]
    return [_finding(seen, key, found) for key, found in sorted(groups.items())]


RULE = Rule(INFO, Needs, judge)


def _finding(seen: Needs, key: tuple[int, str, str], failures: list[CloseFailure]) -> Finding:
    pid, verdict, error = key
    failures = sorted(failures, key=lambda failure: (-failure.count, failure.id))
    count = sum(failure.count for failure in failures)
    frames = {stack.id: stack.frames for stack in seen.stacks or ()}
    places = (
        Site(
            function=failure.site.function,
            file=failure.site.file,
            line=failure.site.line,
            role="closed",
            stack=frames.get(failure.stack, ()) if failure.stack is not None else (),
        )
        for failure in failures[:MAX_SITES]
        if failure.site is not None
    )
    sites = tuple({(site.function, site.file, site.line): site for site in places}.values())
    severity, what, explanation, remedy = _words(verdict, error)
    kind = kind_acquired_in(sites[0].function, seen.birthplaces) if sites else None
    closes = "close" if count == 1 else "closes"
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=severity,
        confidence=0.95 if verdict != "never-open" else 0.7,
        layer=Layer.SYSCALL,
        title=f"{count} {closes} failed with {error}{f' at {place(sites[0])}' if sites else ''}: {what}",
        explanation=explanation,
        remedy=remedy,
        verify="`leadline trace TARGET` again under the same load: no close may fail.",
        kind=None if kind is None else kind.report_word,
        count=count,
        sites=sites,
        because=tuple(
            Because(
                evidence=f"close_failure:{failure.id}",
                layer=Layer.SYSCALL,
                says=(
                    f"close failed with {failure.error} {failure.count} times at {place(failure.site)}, numbers"
                    f" {', '.join(str(fd) for fd in failure.fds[:6])}."
                ),
            )
            for failure in failures[:MAX_SITES]
        ),
        related=("FDL502",) if error == "EBADF" else (),
        pid=pid,
    )


def _words(verdict: str, error: str) -> tuple[Severity, str, str, str]:
    """Return severity, observation, mechanism and remedy."""
    if verdict == "double":
        return (
            Severity.MEDIUM,
            "the number had been closed before, and nobody was hit",
            (
                "The same owner closed a raw number twice. Had another goroutine or thread opened something in between, its"
                " descriptor would have been closed under its hands."
            ),
            (
                "Close in one place only, and forget the number with the owner: os.File and net.Conn refuse a second Close,"
                " raw syscall.Close does not. Never retry a close."
            ),
        )
    if verdict == "never-open":
        return (
            Severity.INFO,
            "the number was not open",
            "Many programs close all numbers blindly, before exec for example; elsewhere it is a stale number.",
            "If this is not such a loop, find where the number comes from and who closed it.",
        )
    if error == "EINTR":
        return (
            Severity.LOW,
            "interrupted by a signal; the descriptor is closed all the same",
            "On Linux the descriptor is free even when close returns EINTR; a retry would close somebody else's.",
            "Do not retry.",
        )
    return (
        Severity.MEDIUM,
        "the kernel could not finish what was written",
        (
            "Network file systems and quotas report failed writes at close: data may be lost. The descriptor is closed all the"
            " same."
        ),
        "Check the error of Close (and of Sync) on files that were written; do not retry.",
    )
