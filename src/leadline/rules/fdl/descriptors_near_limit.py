"""The process is close to its limit of open descriptors (FDL301, descriptors-near-limit).

What it finds: a process that uses most of its soft RLIMIT_NOFILE, or that will reach it within the hour as it grows
now.

Why it matters: at the limit every open, dial and accept fails with "too many open files" (EMFILE), DNS lookups look
like unknown hosts, and clients wait unheard in the accept queue.

Needs: the process with its limits, the descriptor table. Helps: the number of descriptors over time (growth, time
left).

How it decides: 80 % of the soft limit is medium, 90 % high, 97 % critical. Below that, high when the limit will be
reached within an hour and at least half is in use: the slope is Theil and Sen's median over the second half of the
window, taken only when the Mann-Kendall test finds a trend (z > 2.58) and the lower end of its 95 % interval is above
zero.

When it is wrong: a process made to work close under its limit. The limit is on descriptor numbers, not on their count;
the two differ only when numbers were chosen by hand (dup2).

What to do: if a leak is found, close it; a higher limit only buys time. Else raise the hard limit (LimitNOFILE= in
systemd, --ulimit in containers): Go raises its soft limit to the hard limit at start (1.19 and later), so only the hard
limit counts.

References: getrlimit(2); os/rlimit.go; Sen 1968; Mann 1945.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Descriptor, ProcessInfo, TimelineSample, Window
from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Verdict, format_duration
from leadline.rules.limits import TimeLeft, time_left
from leadline.rules.stats import mann_kendall_z, theil_sen
from leadline.rules.table import Table

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL301", "descriptors-near-limit", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL
)
LEVELS = ((0.97, Severity.CRITICAL), (0.90, Severity.HIGH), (0.80, Severity.MEDIUM))
"""Shares of the soft limit; the first is what a small burst of traffic or one DNS lookup in flight takes."""
SOON_S = 3600.0
SOON_SHARE = 0.5
TREND_Z = 2.576
"""Two-sided 1 %."""
MAX_POINTS = 120
S = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The limits and the table; the number over time helps."""

    window: tuple[Window, ...]
    processes: tuple[ProcessInfo, ...]
    descriptors: tuple[Descriptor, ...]
    timeline: tuple[TimelineSample, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return one verdict for each process that is alive."""
    table = Table.of(
        window=seen.window, descriptors=seen.descriptors, processes=seen.processes, timeline=seen.timeline
    )
    verdicts = [
        _judge(table, process) for process in table.processes.values() if process.ended_mono_ns is None
    ]
    return verdicts or [
        Cleared(code=INFO.code, name=INFO.name, subject="the process", reason="it has ended", pattern="none")
    ]


RULE = Rule(INFO, Needs, judge)


def _judge(table: Table, process: ProcessInfo) -> Verdict:
    count, soft = table.open_count(process.pid), process.nofile_soft
    subject = f"descriptors of process {process.pid}"
    if not soft or count is None:
        return NotJudged(
            code=INFO.code,
            name=INFO.name,
            missing="the soft limit (proc/PID/limits)",
            remedy="run as the target's user or as root",
            subject=subject,
        )
    share = count / soft
    left = _growth(table, process.pid, count, soft)
    severity = next((severity for floor, severity in LEVELS if share >= floor), None)
    if severity is None and left is not None and left.expected_s <= SOON_S and share >= SOON_SHARE:
        severity = Severity.HIGH
    if severity is not None:
        return _finding(process, count, soft, left, severity)
    reason = f"{count} of {soft} are open ({100 * share:.1f} %)"
    if left is not None:
        reason += f"; at the growth of this window the limit is {format_duration(left.expected_s * S)} away"
    return Cleared(
        code=INFO.code, name=INFO.name, subject=subject, reason=reason, pattern="below-limit", count=count
    )


def _growth(table: Table, pid: int, count: int, soft: int) -> TimeLeft | None:
    """Return the time left by the trend of the second half of the window; None without a trend upward."""
    samples = table.timeline.get(pid, [])
    late = samples[len(samples) // 2 :]
    late = late[:: max(1, len(late) // MAX_POINTS)]
    if mann_kendall_z([float(sample.alive) for sample in late]) <= TREND_Z:
        return None
    slope = theil_sen([(sample.mono_ns / S, float(sample.alive)) for sample in late])
    if slope is None or slope.low <= 0:
        return None
    return time_left(count, soft, slope.value, slope.low, slope.high)


def _finding(
    process: ProcessInfo, count: int, soft: int, left: TimeLeft | None, severity: Severity
) -> Finding:
    share = f"{100 * count / soft:.0f} %"
    title = f"{count} of {soft} descriptors are open ({share} of the soft limit)"
    if left is not None and left.expected_s > 0:
        title += f"; the rest is used up in {format_duration(left.expected_s * S)}"
    hard = process.nofile_hard
    raise_it = f" The hard limit is {hard}." if hard is not None else ""
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=severity,
        confidence=0.99 if count >= LEVELS[-1][0] * soft else 0.8,
        layer=Layer.KERNEL,
        title=title,
        explanation=(
            "At the soft limit every open, dial and accept fails with EMFILE, and name lookups as if the host did not exist. "
            + (left.says() if left is not None else "The number does not grow at the moment.")
        ),
        remedy=(
            "Stop the leak if one is found here; a higher limit only buys time. If the need is real, raise the hard limit"
            f" (LimitNOFILE= in systemd, --ulimit nofile= in containers).{raise_it}"
        ),
        verify="`leadline census TARGET` shows the number and the limit.",
        count=count,
        because=(
            Because(
                evidence=f"process_info:{process.pid}",
                layer=Layer.KERNEL,
                says=f"RLIMIT_NOFILE soft {soft}, hard {hard if hard is not None else 'unknown'}; {count} open.",
            ),
        ),
        pid=process.pid,
    )
