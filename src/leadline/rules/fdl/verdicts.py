"""Verdicts of the leak rules in words: finding, cleared or not judged, for each birthplace a rule owns."""

from leadline.contracts import RuleInfo
from leadline.evidence.kinds import Birthplace, Descriptor, DescriptorKind
from leadline.model import (
    Because,
    Cleared,
    Finding,
    Layer,
    NotJudged,
    SiteFrame,
    Verdict,
    format_duration,
)
from leadline.rules.fdl import owned
from leadline.rules.fdl.leaks import STACKLESS, Judged, LeakNeeds, assess_birthplace, is_listening, owner
from leadline.rules.fdl.suspects import Living, Standing, is_pooled, silent_ns
from leadline.rules.fdl.words import advice, things
from leadline.rules.limits import TimeLeft, severity_of, time_left
from leadline.rules.stats import kaplan_meier
from leadline.rules.survival import MIN_SPREAD_NS, Assessment, Shape
from leadline.rules.table import Table, place, sites_of

__all__ = ["judge_birthplaces"]

_FIND_LINE = "Trace with BPF (as root) to learn the line that acquires them."
RELATED = {
    "FDL101": ("FDL201", "FDL301"),
    "FDL102": ("FDL201", "FDL301"),
    "FDL105": ("FDL401", "FDL301"),
}


def judge_birthplaces(info: RuleInfo, seen: LeakNeeds, table: Table | None = None) -> list[Verdict]:
    """Return one verdict for each birthplace that this rule owns, at least one in all; ``table`` when already joined."""
    table = seen.table() if table is None else table
    verdicts = [
        _verdict(info, table, assess_birthplace(table, birthplace))
        for birthplace in table.birthplaces
        if owner(birthplace, table) == info.code and (birthplace.births or birthplace.alive)
    ]
    if not verdicts and info.code != "FDL110" and seen.window[-1].mode != "bpf":
        return [
            NotJudged(
                code=info.code,
                name=info.name,
                missing="where descriptors were acquired (births with stacks)",
                remedy="trace as root, or with CAP_BPF and CAP_PERFMON; `leadline capabilities` tells what is missing",
            )
        ]
    nothing = Cleared(
        code=info.code,
        name=info.name,
        subject="all birthplaces",
        reason="none of this kind was acquired during the window",
        pattern="none",
    )
    return verdicts or [nothing]


def _verdict(info: RuleInfo, table: Table, judged: Judged) -> Verdict:
    birthplace, found = judged.birthplace, judged.assessment
    if found.shape is Shape.LEAKING:
        return _finding(info, table, judged)
    listening = is_listening(birthplace, table)
    what = things(birthplace.kind, birthplace.role, birthplace.births, listening=listening)
    subject = f"{what}{_where(table, birthplace)}"
    sites = sites_of(table, birthplace)
    kind = birthplace.kind.report_word
    if found.shape is Shape.UNCLEAR:
        return NotJudged(
            code=info.code,
            name=info.name,
            missing=found.reason,
            remedy=found.wanted,
            subject=subject,
            sites=sites,
            count=birthplace.alive,
            kind=kind,
        )
    pattern, reason = _healthy_words(table, judged)
    return Cleared(
        code=info.code,
        name=info.name,
        subject=subject,
        reason=reason,
        pattern=pattern,
        because=(_counts(table, birthplace),),
        sites=sites,
        count=birthplace.alive,
        kind=kind,
    )


def _healthy_words(table: Table, judged: Judged) -> tuple[str, str]:
    """Return the healthy pattern's name and the reason."""
    birthplace, living, found = judged.birthplace, judged.living, judged.assessment
    if living.excused <= len(living.ages_ns):
        return found.shape.value, found.reason
    pattern, reason = _excuse(table, birthplace, living)
    told = owned.excuse(living)
    return pattern, f"{reason}; {told}" if told else reason


def _excuse(table: Table, birthplace: Birthplace, living: Living) -> tuple[str, str]:
    """Return the healthy pattern's name and the reason where most are excused."""
    turnover = f"{birthplace.deaths} of {birthplace.births} were closed; " if birthplace.deaths else ""
    live = living.standings[Standing.LIVE_PEER] + living.standings[Standing.NEWLY_GONE]
    if live:
        reason = f"{turnover}{live} are open and their peers are still connected: not forgotten by this side"
        return "live-peers", reason
    used = living.standings[Standing.IN_USE] + living.standings[Standing.CONNECTING]
    if any(standing.is_owned for standing in living.standings):
        reason = owned.reason(living)
        return ("idle-pool" if living.standings[Standing.OWNED_IDLE] > used else "in-use"), turnover + reason
    newest_ns = living.all_ages_ns[0]
    is_full = newest_ns >= MIN_SPREAD_NS and newest_ns * 4 >= table.window.duration_ns
    since = f"; the newest came {format_duration(newest_ns)} before the end" if is_full else ""
    reason = (
        f"{turnover}{used} are open and in use: data moved on them, or no new one was needed since{since}"
    )
    return "plateau" if is_full else "in-use", reason


def _finding(info: RuleInfo, table: Table, judged: Judged) -> Finding:
    birthplace, living, found = judged.birthplace, judged.living, judged.assessment
    process = table.processes.get(birthplace.pid)
    is_go = process is None or process.go_version is not None
    functions = table.functions(birthplace)
    what = advice(birthplace, functions, living, is_go=is_go)
    open_count, soft = table.open_count(birthplace.pid), table.soft_limit(birthplace.pid)
    left = time_left(open_count, soft, found.rate_per_s, found.rate_low, found.rate_high)
    share = open_count / soft if open_count and soft else None
    severity = severity_of(left, share, is_growing=found.rate_per_s is not None)
    older = _older(table, birthplace, living)
    sockets = _sockets(living)
    explanation = " ".join(
        sentence
        for sentence in (
            what.mechanism,
            owned.side_by_side(living, sites_of(table, birthplace)),
            _share(birthplace, found),
            sockets,
            older,
            _says(left),
        )
        if sentence
    )
    return Finding(
        code=info.code,
        name=info.name,
        severity=severity,
        confidence=found.confidence,
        layer=Layer.SYSCALL,
        title=_title(table, birthplace, found),
        explanation=explanation,
        remedy=f"{_FIND_LINE} {what.remedy}" if birthplace.syscall in STACKLESS else what.remedy,
        verify=(
            "Trace again after the change with the same load and compare: `leadline trace TARGET -o after.leadline`, then"
            " `leadline diff before.leadline after.leadline`; this place must be cleared or gone."
        ),
        kind=birthplace.kind.report_word,
        count=found.leaked,
        rate_per_s=None if found.rate_per_s is None else round(found.rate_per_s, 3),
        sites=owned.with_parked(sites_of(table, birthplace), living),
        because=_because(table, birthplace, living, found, older),
        against=_against(table, birthplace, living, found),
        related=RELATED.get(info.code, ("FDL301",)),
        pid=birthplace.pid,
    )


def _title(table: Table, birthplace: Birthplace, found: Assessment) -> str:
    listening = is_listening(birthplace, table)
    what = things(birthplace.kind, birthplace.role, found.leaked, listening=listening)
    title = f"{what}{_where(table, birthplace)} {'was' if found.leaked == 1 else 'were'} never closed"
    if found.rate_per_s is None:
        return title
    return f"{title}; {_rate(found.rate_per_s)}"


def _rate(rate_per_s: float) -> str:
    if rate_per_s >= 0.95:
        return (
            f"{rate_per_s:.2g} more each second" if rate_per_s < 10 else f"{rate_per_s:.0f} more each second"
        )
    if rate_per_s * 60 >= 0.95:
        return f"{rate_per_s * 60:.2g} more each minute"
    return f"{rate_per_s * 3600:.2g} more each hour"


def _share(birthplace: Birthplace, found: Assessment) -> str:
    """Say which part of those acquired here is never closed, by the Kaplan-Meier curve at the cut."""
    if not birthplace.deaths:
        return ""
    deaths = [(bucket.upper_ns, bucket.count) for bucket in birthplace.lifetimes]
    share = kaplan_meier(deaths, birthplace.ages_ns, found.cut_ns)
    return (
        f"About {100 * share:.2g} % of those acquired here outlive {format_duration(max(found.cut_ns, 1))} and stay."
        if found.cut_ns
        else ""
    )


def _sockets(living: Living) -> str:
    if not living.states:
        return ""
    counts = ", ".join(
        f"{count} {state}"
        for state, count in sorted(living.states.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"Their sockets: {counts}."


def _says(left: TimeLeft | None) -> str:
    return "" if left is None else left.says()


def _older(table: Table, birthplace: Birthplace, living: Living) -> str:
    """Say how many descriptors from before the window look the same, and in what."""
    keys = {table.key(descriptor) for descriptor in living.suspects}
    if keys == {""} and birthplace.kind is DescriptorKind.TCP:
        return ""
    alike = [
        descriptor
        for descriptor in table.older(birthplace, keys)
        if _looks_leaked(table, birthplace, descriptor)
    ]
    if not alike:
        return ""
    same = sorted(keys & {table.key(descriptor) for descriptor in alike})
    states = sorted(
        {socket.state for descriptor in alike if (socket := table.socket(descriptor)) is not None}
    )
    traits = [f"same {same[0]}" if same[0] else f"same kind ({birthplace.kind.value})"]
    if len(same) > 1:
        traits.append(f"{len(same) - 1} more in common")
    if states:
        traits.append(f"state {' or '.join(states)}")
    count = len(alike)
    noun = "older descriptor looks" if count == 1 else "older descriptors look"
    return f"{count} {noun} the same and were open before tracing began: {', '.join(traits)}."


def _looks_leaked(table: Table, birthplace: Birthplace, descriptor: Descriptor) -> bool:
    """Return whether an older descriptor is no longer in use, as far as its socket tells."""
    socket = table.socket(descriptor)
    if socket is None or birthplace.kind is not DescriptorKind.TCP:
        return True
    if socket.state == "LISTEN":
        return False
    if birthplace.role == "accepted":
        return socket.state != "ESTABLISHED"
    silence_ns = silent_ns(socket)
    lately_ns = table.window.duration_ns
    if not is_pooled(table.functions(birthplace)):
        lately_ns //= 2  # those that a pool lost in the window are counted as such
    return socket.state != "ESTABLISHED" or silence_ns is None or silence_ns >= lately_ns


def _because(
    table: Table, birthplace: Birthplace, living: Living, found: Assessment, older: str
) -> tuple[Because, ...]:
    because = [_counts(table, birthplace)]
    evidence = _ref(table, birthplace)
    because.append(Because(evidence=evidence, layer=Layer.SYSCALL, says=_sentence(found.reason)))
    sample = next(
        (descriptor for descriptor in living.suspects if table.socket(descriptor) is not None), None
    )
    if sample is not None:
        because.append(
            Because(
                evidence=f"socket:{sample.inode}",
                layer=Layer.KERNEL,
                says=_sentence(_standings_words(living, is_pooled(table.functions(birthplace)))),
            )
        )
    if living.earlier:
        says = (
            f"{living.earlier} of them {'was' if living.earlier == 1 else 'were'} dialed before tracing began,"
            " used in the window, and lost in it."
        )
        because.append(Because(evidence=evidence, layer=Layer.KERNEL, says=says))
    if older:
        because.append(Because(evidence=evidence, layer=Layer.SYSCALL, says=older))
    return (*because, *owned.because(living))


def _standings_words(living: Living, pooled: bool) -> str:  # noqa: FBT001  a fact, not a switch
    """Return what the sockets of the suspects say, with counts."""
    phrases = {
        Standing.PEER_GONE: "closed by the peer, not by us",
        Standing.UNREAD: "with data that nobody reads",
        Standing.FORGOTTEN: "silent while new ones were dialed to the same peer",
        Standing.WAITING: "still without a first answer",
        Standing.SILENT: "silent since shortly after the dial"
        if not pooled
        else "used once and silent since",
        Standing.UNKNOWN: "of unknown socket state",
        Standing.HELD: "with an answer that is neither read nor closed",
        Standing.NO_GOROUTINE: "that no goroutine waits on",
    }
    said = [
        f"{living.standings[standing]} {phrase}"
        for standing, phrase in phrases.items()
        if living.standings[standing]
    ]
    counts = ", ".join(f"{count} {state}" for state, count in sorted(living.states.items()))
    return f"states: {counts}" + (f"; {'; '.join(said)}" if said else "")


def _against(table: Table, birthplace: Birthplace, living: Living, found: Assessment) -> tuple[Because, ...]:
    evidence = _ref(table, birthplace)
    doubts = []
    if not birthplace.deaths and not living.standings[Standing.PEER_GONE]:
        doubts.append(
            "nothing acquired here was closed in the window, so descriptors that are meant to live longer look the same"
        )
    if found.paused_ns is not None:
        doubts.append(f"none came in the last {format_duration(found.paused_ns)}")
    if living.excused:
        doubts.append(f"{living.excused} others from here are in use or have a live peer and are not counted")
    told = (Because(evidence=evidence, layer=Layer.SYSCALL, says=_sentence(doubt)) for doubt in doubts)
    return (*told, *owned.against(living))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _where(table: Table, birthplace: Birthplace) -> str:
    """Return `` at main.fetch (main.go:42)``; without a stack what they lead to, such as `` (10.0.0.9:8080)``."""
    if birthplace.syscall in STACKLESS:
        return f" ({birthplace.peers[0][0]})" if birthplace.peers and birthplace.peers[0][0] else ""
    asker = "for" if birthplace.site_role == "caller" else "at"
    return f" {asker} {place(_frame(table, birthplace))}"


def _ref(table: Table, birthplace: Birthplace) -> str:
    """Return the evidence to point at: the birthplace, or a descriptor where none was recorded."""
    if birthplace.id > 0:
        return f"birthplace:{birthplace.id}"
    return f"descriptor:{table.living[birthplace.id][0].fd}"


def _frame(table: Table, birthplace: Birthplace) -> SiteFrame | None:
    frames = table.frames(birthplace.stack)
    return birthplace.site or (frames[0] if frames else None)


def _counts(table: Table, birthplace: Birthplace) -> Because:
    by = "" if birthplace.syscall in STACKLESS else f" by {birthplace.syscall}"
    return Because(
        evidence=_ref(table, birthplace),
        layer=Layer.SYSCALL,
        says=(
            f"{birthplace.births} births{by}, {birthplace.deaths} deaths,"
            f" {birthplace.alive} alive at the end."
        ),
    )
