"""Many goroutines are ready to run and wait for a CPU (SCH101, runnable-pile-up).

What it finds: at every look far more goroutines that could run than may run at once.

Why it matters: each of them waits for its turn, so that every request gets slower by the same factor, timeouts included. To
those who measure from outside it looks like a slow network or database.

Needs: the Go runtime, at two looks or more. Helps: goroutines with stacks (whose they are).

How it decides: at the last three looks or more in a row, or at both when there were two, at least 4 times as many runnable
goroutines as GOMAXPROCS, and at least 20. The smallest of them counts: a burst that is over at the next look is no
fault. Medium, high from 20 times as many. Confidence 0.8; 0.9 with three looks.

When it is wrong: batch jobs that are meant to use up the CPU, where waiting harms nobody; bursts that fall on each of few looks.

What to do: see whether the CPU is short: the quota of the container (`cpu.max`, throttling) and GOMAXPROCS. Bound the number of
goroutines that compute at the same time (a worker pool, a semaphore of GOMAXPROCS places) instead of starting one per item.
Profile what they compute.

References: runtime/metrics /sched/latencies; runtime GOMAXPROCS; runtime/proc.go (schedule).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Goroutine, GoRuntime, Stack
from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Site, Verdict
from leadline.rules.goroutines import Book
from leadline.rules.table import place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("SCH101", "runnable-pile-up", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.HIGH)
MIN_LOOKS = 2
MIN_IN_A_ROW = 3
MIN_RUNNABLE = 20
MIN_FACTOR = 4
"""Times GOMAXPROCS; with so many each waits four turns of up to 10 ms (runtime forcePreemptNS) for one."""
HIGH_FACTOR = 20
_CONFIDENCE, _CONFIDENCE_OF_MANY = 0.8, 0.9
_MAX_SITES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The runtime; goroutines and stacks say whose they are."""

    runtimes: tuple[GoRuntime, ...]
    goroutines: tuple[Goroutine, ...] | None = None
    stacks: tuple[Stack, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each process whose goroutines wait for a CPU; else Cleared, or NotJudged after one look."""
    verdicts: list[Verdict] = []
    most, judged = 0, 0
    for runtime in seen.runtimes:
        if runtime.gomaxprocs is None or not runtime.runnable:
            continue
        most = max(most, *runtime.runnable)
        crowded = _crowded(runtime.runnable, max(MIN_RUNNABLE, MIN_FACTOR * runtime.gomaxprocs))
        if len(crowded) < min(len(runtime.runnable), MIN_IN_A_ROW):
            judged += 1
        elif len(crowded) < MIN_LOOKS:
            verdicts.append(_untold(min(crowded)))
        else:
            book = Book.of(seen.runtimes, seen.goroutines or (), seen.stacks)
            verdicts.append(_finding(book, runtime, runtime.gomaxprocs, crowded))
    if verdicts:
        return verdicts
    if seen.runtimes and not judged:
        return [
            NotJudged(
                code=INFO.code,
                name=INFO.name,
                missing="how many goroutines wait for a CPU, and how many may run at once",
                remedy="look at the live process: a dump does not tell GOMAXPROCS",
            )
        ]
    return [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="the scheduler",
            reason=f"at most {most} goroutines waited for a CPU at any look",
            pattern="none",
            count=most,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _crowded(runnable: tuple[int, ...], least: int) -> tuple[int, ...]:
    """Return the counts of the last looks in a row at which there were so many."""
    begin = len(runnable)
    while begin and runnable[begin - 1] >= least:
        begin -= 1
    return runnable[begin:]


def _untold(count: int) -> NotJudged:
    return NotJudged(
        code=INFO.code,
        name=INFO.name,
        missing=f"whether {count} goroutines that wait for a CPU are a burst: there was one look only",
        remedy="trace for some seconds, for example `leadline trace TARGET -d 15s`",
        count=count,
    )


def _finding(book: Book, runtime: GoRuntime, gomaxprocs: int, crowded: tuple[int, ...]) -> Finding:
    least = min(crowded)
    sites: Counter[Site] = Counter()
    for one in book.goroutines.values():
        if one.pid == runtime.pid and one.state == "runnable":
            site = book.site(one)
            if site is not None:
                sites[site] += 1
    looks = len(crowded)
    reference = f"go_runtime:{runtime.pid}"
    counts = ", ".join(str(count) for count in crowded)
    because = [
        Because(
            evidence=reference,
            layer=Layer.RUNTIME,
            says=f"Ready to run at the last {looks} looks: {counts} goroutines; {gomaxprocs} may run at once (GOMAXPROCS).",
        )
    ]
    because += [
        Because(
            evidence=reference,
            layer=Layer.RUNTIME,
            says=f"{count} of them at the last look are in {place(site)}.",
        )
        for site, count in sites.most_common(_MAX_SITES)
    ]
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.HIGH if least >= HIGH_FACTOR * gomaxprocs else Severity.MEDIUM,
        confidence=_CONFIDENCE_OF_MANY if looks >= MIN_IN_A_ROW else _CONFIDENCE,
        layer=Layer.RUNTIME,
        title=f"{least} or more goroutines are ready to run and wait for {'one of ' if gomaxprocs > 1 else ''}{gomaxprocs} CPU"
        f"{'s' if gomaxprocs > 1 else ''}",
        explanation=(
            "They take turns, so that each gets only a fraction of a CPU: everything that the process does, and every timeout"
            " that it watches, is late by that much."
        ),
        remedy=(
            "See whether the container's CPU quota throttles it and whether GOMAXPROCS fits. Let a bounded number of workers"
            " compute instead of one goroutine per item, and profile what they compute."
        ),
        verify="`leadline trace TARGET` again: at most a few goroutines per CPU may be ready to run at each look.",
        count=least,
        sites=tuple(site for site, _ in sites.most_common(_MAX_SITES)),
        because=tuple(because),
        pid=runtime.pid,
    )
