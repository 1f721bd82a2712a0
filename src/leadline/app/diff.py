"""Did the change stop the leak? Two cases compared, birthplace by birthplace.

A birthplace is known again by kind, role, system call, function and file name; its line may move. Verdicts are those of
the leak rules (FDL1xx) on each case by itself. Silence proves nothing: a place that leaked and is not seen in the second
case counts as fixed only when the service was under a comparable load.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.evidence.kinds import Birthplace, ProcessInfo, Window
from leadline.evidence.queries import open_counts, stacks, target
from leadline.model import Severity, printable
from leadline.report.diff_view import CaseView, CodeRow, DiffView, Outcome, PlaceRow, Side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadline.contracts import Verdicts
    from leadline.evidence import Evidence
    from leadline.evidence.kinds import Stack
    from leadline.model import Finding

__all__ = ["compare"]

LOAD_PART = 5
"""The second case needs a fifth of the first one's births per second, all places together, for absence to mean something."""
LENGTH_PART = 2
"""A second window of less than half the first one's length is noted."""
_LEAK_RULES = "FDL1"
"""FDL101 to FDL110 judge growth. FDL120 judges what a command left open at its exit; it clears only what they do not judge."""


@dataclass(frozen=True, slots=True)
class _Key:
    kind: str
    role: str
    syscall: str
    function: str
    file: str


def compare(
    before: Evidence, before_verdicts: Verdicts, after: Evidence, after_verdicts: Verdicts
) -> DiffView:
    """Return what became of each birthplace."""
    old, new = _sides(before, before_verdicts), _sides(after, after_verdicts)
    heads = _case(before), _case(after)
    rows = [
        _row(key, one, two, heads)
        for key in sorted(
            old.keys() | new.keys(), key=lambda key: (key.kind, key.role, key.function, key.file, key.syscall)
        )
        for one, two in _pairs(old.get(key, ()), new.get(key, ()))
    ]
    rows.sort(key=lambda row: (row.outcome.rank, -(_alive(row.after) + _alive(row.before))))
    return DiffView(
        *heads, tuple(rows), _others(before_verdicts, after_verdicts), _notes(before, after, heads)
    )


def _sides(evidence: Evidence, verdicts: Verdicts) -> dict[_Key, tuple[Side, ...]]:
    """Return the birthplaces of a case by key, those of several processes at the same line added up, by line."""
    known = stacks(evidence)
    window = evidence.first(Window)
    seconds = max(window.duration_ns / 1e9, 1e-9) if window is not None else 1e-9
    judged = _judged(verdicts)
    groups: defaultdict[_Key, dict[int | None, Side]] = defaultdict(dict)
    for place in evidence.all(Birthplace):
        key, line = _key(place, known)
        verdict, why, leak_per_s = judged.get(place.id) or ("unclear", _unclear(place, verdicts), None)
        side = Side(
            births=place.births,
            deaths=place.deaths,
            alive=place.alive,
            births_per_s=place.births / seconds,
            verdict=verdict,
            why=printable(why),
            line=line,
            leak_per_s=leak_per_s,
        )
        earlier = groups[key].get(line)
        groups[key][line] = side if earlier is None else _added(earlier, side)
    return {
        key: tuple(lines[line] for line in sorted(lines, key=lambda line: line or 0))
        for key, lines in groups.items()
    }


def _key(place: Birthplace, known: dict[int, Stack]) -> tuple[_Key, int | None]:
    site = place.site
    stack = known.get(place.stack) if place.stack is not None else None
    if site is None and stack is not None and stack.frames:
        site = next((frame for frame in stack.frames if frame.role in ("app", "module")), stack.frames[0])
    # Without stacks a group is known by what its descriptors lead to.
    peer = place.peers[0][0] if place.peers else ""
    function = printable(site.function if site is not None else peer) or "unknown place"
    file = "" if site is None or site.file is None else printable(site.file.rpartition("/")[2])
    return _Key(
        place.kind.value, place.role, place.syscall, function, file
    ), None if site is None else site.line


def _judged(verdicts: Verdicts) -> dict[int, tuple[str, str, float | None]]:
    """Return (verdict, why, growth) by the birthplace that the leak rules cite."""
    found: dict[int, tuple[str, str, float | None]] = {}
    for cleared in sorted(verdicts.cleared, key=lambda one: one.code, reverse=True):
        for number in _cited(cleared.code, (because.evidence for because in cleared.because)):
            found[number] = (cleared.pattern or "healthy", cleared.reason, None)
    for finding in _leaks(verdicts):
        for number in _cited(finding.code, (because.evidence for because in finding.because)):
            found[number] = ("leaking", finding.title, finding.rate_per_s)
    return found


def _leaks(verdicts: Verdicts) -> list[Finding]:
    """Return the findings of leak rules; one of severity info lists descriptors without calling them leaked."""
    return [
        finding
        for finding in verdicts.findings
        if finding.code.startswith(_LEAK_RULES) and finding.severity is not Severity.INFO
    ]


def _cited(code: str, references: Iterable[str]) -> list[int]:
    if not code.startswith(_LEAK_RULES):
        return []
    numbers = (
        reference.removeprefix("birthplace:")
        for reference in references
        if reference.startswith("birthplace:")
    )
    return [int(number) for number in numbers if number.isdecimal()]


def _unclear(place: Birthplace, verdicts: Verdicts) -> str:
    """Return why the leak rules could not judge a place."""
    site = place.site
    for verdict in verdicts.not_judged:
        first = verdict.sites[0] if verdict.sites else None
        if not verdict.code.startswith(_LEAK_RULES) or first is None or site is None:
            continue
        if (first.function, first.line, verdict.kind) == (site.function, site.line, place.kind.report_word):
            return verdict.missing
    return "too little evidence"


def _added(one: Side, two: Side) -> Side:
    worst = max((one, two), key=lambda side: (side.is_leaking, not side.is_clear))
    rates = [side.leak_per_s for side in (one, two) if side.leak_per_s is not None]
    return Side(
        births=one.births + two.births,
        deaths=one.deaths + two.deaths,
        alive=one.alive + two.alive,
        births_per_s=one.births_per_s + two.births_per_s,
        verdict=worst.verdict,
        why=worst.why,
        line=one.line,
        leak_per_s=sum(rates) if rates else None,
    )


def _pairs(old: tuple[Side, ...], new: tuple[Side, ...]) -> list[tuple[Side | None, Side | None]]:
    """Pair the lines of one function: all in order when as many, else equal lines first and the rest in order."""
    if len(old) == len(new):
        return list(zip(old, new, strict=True))
    same = {side.line for side in old} & {side.line for side in new}
    pairs: list[tuple[Side | None, Side | None]] = [
        (next(one for one in old if one.line == line), next(two for two in new if two.line == line))
        for line in sorted(same, key=lambda line: line or 0)
    ]
    rest_old = [side for side in old if side.line not in same]
    rest_new = [side for side in new if side.line not in same]
    for number in range(max(len(rest_old), len(rest_new))):
        one = rest_old[number] if number < len(rest_old) else None
        two = rest_new[number] if number < len(rest_new) else None
        pairs.append((one, two))
    return pairs


def _row(key: _Key, before: Side | None, after: Side | None, heads: tuple[CaseView, CaseView]) -> PlaceRow:
    outcome, why = _outcome(before, after, heads)
    return PlaceRow(key.kind, key.role, key.function, key.file, key.syscall, before, after, outcome, why)


def _outcome(
    before: Side | None, after: Side | None, heads: tuple[CaseView, CaseView]
) -> tuple[Outcome, str]:
    if after is not None and after.is_leaking:
        if before is not None and before.is_leaking:
            return Outcome.STILL_LEAKING, after.why
        unsure = before is not None and not before.is_clear
        return Outcome.NEW_LEAK, f"{after.why}{'; before there was too little evidence' if unsure else ''}"
    if before is not None and before.is_leaking:
        return _after_a_leak(after, heads)
    if before is None or after is None:
        when = "after" if before is None else "before"
        return Outcome.NOT_COMPARABLE, f"descriptors were acquired here {when} only"
    if before.is_clear and after.is_clear:
        return Outcome.UNCHANGED, after.why
    side, when = (before, "before") if not before.is_clear else (after, "after")
    return Outcome.NOT_COMPARABLE, f"{when}: {side.why}"


def _after_a_leak(after: Side | None, heads: tuple[CaseView, CaseView]) -> tuple[Outcome, str]:
    """Judge a place that leaked before and does not visibly leak now."""
    if after is not None and after.is_clear:
        return Outcome.FIXED, after.why
    if after is not None:
        return Outcome.NOT_COMPARABLE, f"too little evidence after: {after.why}"
    before, now = heads
    if now.mode != "bpf":
        return Outcome.NOT_COMPARABLE, "the second case did not trace births, so absence proves nothing"
    if _is_idle(before, now):
        return (
            Outcome.NOT_COMPARABLE,
            "nothing was acquired here after, but the load was much smaller, too; repeat with the same load",
        )
    return Outcome.FIXED, "nothing is acquired here any more, under a comparable load"


def _is_idle(before: CaseView, after: CaseView) -> bool:
    """Return whether the service acquired far fewer descriptors per second in the second case; in integers, so exactly."""
    return LOAD_PART * after.births * before.duration_ns < before.births * after.duration_ns


def _case(evidence: Evidence) -> CaseView:
    process = target(evidence)
    window = evidence.first(Window)
    duration_ns = 0 if window is None else window.duration_ns
    births = sum(place.births for place in evidence.all(Birthplace))
    return CaseView(
        title="no process" if process is None else f"{printable(process.comm)} (pid {process.pid})",
        mode="none" if window is None else window.mode,
        duration_ns=duration_ns,
        births=births,
        births_per_s=births * 1e9 / duration_ns if duration_ns else 0.0,
        alive=None if process is None else open_counts(evidence).get(process.pid),
        version="" if process is None else _version(process),
    )


def _version(process: ProcessInfo) -> str:
    return printable(process.build_settings.get("vcs.revision", "")[:12] or (process.build_id or "")[:12])


def _others(before: Verdicts, after: Verdicts) -> tuple[CodeRow, ...]:
    """Count the findings that say nothing of a birthplace's leak, by rule."""
    sides = []
    names: dict[str, str] = {}
    for verdicts in (before, after):
        leaks = _leaks(verdicts)
        rest = [finding for finding in verdicts.findings if finding not in leaks]
        names |= {finding.code: finding.name for finding in rest}
        sides.append(Counter(finding.code for finding in rest))
    old, new = sides
    return tuple(CodeRow(code, names[code], old[code], new[code]) for code in sorted(names))


def _notes(before: Evidence, after: Evidence, heads: tuple[CaseView, CaseView]) -> tuple[str, ...]:
    notes = []
    one, two = heads
    if LENGTH_PART * two.duration_ns < one.duration_ns:
        notes.append("the second watch was much shorter than the first: a slow leak may not show yet")
    if one.mode != two.mode:
        notes.append(
            f"the first case was made by {one.mode}, the second by {two.mode}: they do not see the same"
        )
    if _is_idle(one, two):
        notes.append("far fewer descriptors were acquired per second after: was the load the same?")
    names = [
        process.comm if (process := target(evidence)) is not None else "" for evidence in (before, after)
    ]
    if names[0] != names[1]:
        notes.append("the two cases are of programs with different names")
    return tuple(notes)


def _alive(side: Side | None) -> int:
    return 0 if side is None else side.alive
