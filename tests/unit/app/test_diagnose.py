"""The engine: needs are filled or named, faults are fenced, order is fixed, causes lead."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connection_builders import RAW_READ, Runtime
from evidence_builders import HTTP_DIAL, PID, Scene, steady
from leadline.app.cases import read_case
from leadline.app.diagnose import Diagnosis, diagnose
from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, Listener, Refusal, SocketState, WaitObject, Window
from leadline.model import Because, Finding, Layer, Severity, Site, Verdict
from leadline.rules._causes import CONSEQUENCE_OF
from leadline.rules._index import RULES
from simulated_processes import LEAKING


@dataclass(frozen=True, slots=True)
class Needs:
    """One required kind, one that helps."""

    window: tuple[Window, ...]
    sockets: tuple[SocketState, ...] | None = None


def rule(judge: Any, code: str = "XXX101") -> Rule:
    return Rule(RuleInfo(code, "a-rule", "0.1.0", Stage.PREVIEW, Severity.CRITICAL), Needs, judge)


def found(code: str, severity: Severity = Severity.HIGH, **facts: Any) -> Finding:
    values: dict[str, Any] = {
        "name": "a-rule",
        "confidence": 0.9,
        "layer": Layer.SYSCALL,
        "title": "t",
        "explanation": "e",
        "remedy": "r",
        "verify": "v",
        "because": (Because(evidence="x:1", layer=Layer.SYSCALL, says="s"),),
        "pid": PID,
    }
    return Finding(code=code, severity=severity, **{**values, **facts})


def result(*findings: Finding) -> Diagnosis:
    evidence = Evidence()
    evidence.put(Window(begin_mono_ns=0, end_mono_ns=1, begin_unix_ns=0, mode="bpf"))
    return diagnose(evidence, [rule(lambda _seen: findings)])


def test_needs_are_filled_by_kind_and_optional_ones_may_be_none() -> None:
    seen: list[Needs] = []

    def judge(needs: Needs) -> Iterable[Verdict]:
        seen.append(needs)
        return ()

    evidence = Evidence()
    window = Window(begin_mono_ns=0, end_mono_ns=1, begin_unix_ns=0, mode="bpf")
    evidence.put(window)
    diagnose(evidence, [rule(judge)])
    evidence.put_all(SocketState, [])
    diagnose(evidence, [rule(judge)])
    assert seen == [Needs((window,), None), Needs((window,), ())]


def test_a_missing_need_is_named_and_the_rule_is_not_called() -> None:
    def judge(_needs: Needs) -> Iterable[Verdict]:
        raise AssertionError

    diagnosis = diagnose(Evidence(), [rule(judge)])
    assert diagnosis.not_judged[0].missing == "the observed window"
    assert diagnosis.gaps == ()


def test_a_rule_that_raises_is_fenced_and_the_others_go_on() -> None:
    def broken(_needs: Needs) -> Iterable[Verdict]:
        yield found("XXX101")
        raise ZeroDivisionError("boom")

    evidence = Evidence()
    evidence.put(Window(begin_mono_ns=0, end_mono_ns=1, begin_unix_ns=0, mode="bpf"))
    diagnosis = diagnose(evidence, [rule(broken), rule(lambda _seen: [found("XXX102")], "XXX102")])
    assert [finding.code for finding in diagnosis.findings] == ["XXX102"]
    assert diagnosis.not_judged[0].missing == "the rule failed: ZeroDivisionError: boom"
    assert "Traceback" in diagnosis.gaps[0].detail
    assert "XXX101" in diagnosis.gaps[0].what


def test_most_severe_first_then_surest_then_largest() -> None:
    diagnosis = result(
        found("A", Severity.LOW),
        found("B", Severity.HIGH, confidence=0.5),
        found("C", Severity.HIGH, count=3),
        found("D", Severity.HIGH, count=23),
        found("E", Severity.CRITICAL, confidence=0.1),
    )
    assert [finding.code for finding in diagnosis.findings] == ["E", "D", "C", "B", "A"]


def test_consequences_name_their_cause_and_follow_it() -> None:
    diagnosis = result(
        found("FDL301"), found("FDL201", confidence=0.99), found("FDL102", confidence=0.8), found("NET101")
    )
    assert [(finding.code, finding.explained_by) for finding in diagnosis.findings] == [
        ("FDL102", None),
        ("FDL201", "FDL102"),
        ("FDL301", "FDL102"),
        ("NET101", "FDL301"),
    ]


def test_a_cause_precedes_a_consequence_that_is_more_severe() -> None:
    diagnosis = result(
        found("FDL301", Severity.CRITICAL),
        found("FDL501"),
        found("FDL101", Severity.MEDIUM),
        found("HTP101", Severity.LOW),
    )
    assert [(finding.code, finding.explained_by) for finding in diagnosis.findings] == [
        ("HTP101", None),
        ("FDL301", "HTP101"),
        ("FDL501", None),
        ("FDL101", "HTP101"),
    ]


def test_the_limit_is_explained_by_the_largest_leak() -> None:
    diagnosis = result(
        found("FDL301"), found("HTP101", count=5), found("FDL103", count=900), found("FDL101", count=6)
    )
    causes = {finding.code: finding.explained_by for finding in diagnosis.findings}
    assert causes == {"FDL301": "FDL103", "FDL101": "HTP101", "HTP101": None, "FDL103": None}


def at(function: str, role: str = "acquired") -> Site:
    return Site(function=function, file="main.go", line=1, role=role)


def test_a_leak_is_explained_only_by_what_names_its_place_or_none() -> None:
    leak = found("FDL101", sites=(at("main.a"), at("main.wait", "parked")))
    for sites, cause in (
        ((at("main.a"),), "HTP101"),
        ((at("main.b"),), None),
        ((at("main.wait", "parked"),), "HTP101"),
        ((at("main.elsewhere", "parked"),), None),
        ((at("main.b"), at("main.wait", "parked")), None),
        ((), "HTP101"),
    ):
        diagnosis = result(leak, found("HTP101", sites=sites))
        assert {one.code: one.explained_by for one in diagnosis.findings}["FDL101"] == cause


def test_a_cause_in_another_process_explains_nothing() -> None:
    diagnosis = result(found("FDL201"), found("FDL102", pid=PID + 1))
    assert all(finding.explained_by is None for finding in diagnosis.findings)


def test_no_rule_is_its_own_cause_at_any_distance() -> None:
    def causes(code: str) -> set[str]:
        direct = set(CONSEQUENCE_OF.get(code, ()))
        return direct.union(*(causes(other) for other in direct))

    assert all(code not in causes(code) for code in CONSEQUENCE_OF)
    assert set(CONSEQUENCE_OF) <= set(RULES)


def test_every_rule_answers_to_nothing_and_to_an_idle_process() -> None:
    nothing = diagnose(Evidence())
    assert {verdict.code for verdict in nothing.not_judged} == set(RULES)
    assert not nothing.gaps
    idle = diagnose(Scene().evidence())
    answered = {
        *(verdict.code for verdict in idle.findings),
        *(verdict.code for verdict in idle.cleared),
        *(verdict.code for verdict in idle.not_judged),
    }
    assert answered == set(RULES)
    assert not [finding for finding in idle.findings if finding.severity is not Severity.INFO]


def test_the_outage_leads_with_the_leak() -> None:
    """A server that forgot its clients, ran into its limit, and lets others wait."""
    listener = Listener(inode=1, address="10.0.0.1", port=8080, accept_queue=7, backlog=128)
    scene = Scene(window_s=12.0, nofile_soft=48, listeners=(listener,))
    scene.place("file", "opened").all([-5.0] * 8)
    scene.place("tcp", "accepted").all(
        steady(40, 0.0, 4.0), state="CLOSE_WAIT", since_ack_s=3.0, local_port=8080
    )
    scene.more.append(Refusal(id=1, pid=PID, error="EMFILE", syscall="accept4", count=9, stack=None))
    diagnosis = diagnose(scene.evidence())
    codes = [(finding.code, finding.explained_by) for finding in diagnosis.findings]
    assert codes[0] == ("FDL102", None)
    assert set(codes) == {
        ("FDL102", None),
        ("FDL201", "FDL102"),
        ("FDL301", "FDL102"),
        ("FDL302", "FDL102"),
        ("NET101", "FDL302"),
    }


def kept(activity: str) -> Runtime:
    """Return a process that leaks connections of net/http, or raw ones, whose goroutines were read."""
    scene = Scene(window_s=15.0, nofile_soft=200)
    below = () if activity == "reading" else HTTP_DIAL
    place = scene.place("tcp", "dialed", function="main.fetch", below=below)
    place.all(steady(30, 0.2, 14.8))
    runtime = Runtime(scene)
    for life in place.lives:
        if activity == "reading":
            goid = runtime.reader(life, *RAW_READ, "main.listen:28", moved=None, is_new=True)
            runtime.connection(life, "other", "tcp", activity, owner_goid=goid)
        else:
            number = runtime.pool("net/http.Transport", [life], name="api.test:80")
            runtime.client(life, activity, moved=None, pool=number)
    return runtime


@pytest.mark.parametrize(
    ("activity", "code"), [("body-held", "HTP101"), ("idle", "HTP102"), ("reading", "GOR101")]
)
def test_what_the_runtime_tells_leads_and_the_leak_is_its_consequence(activity: str, code: str) -> None:
    diagnosis = diagnose(kept(activity).evidence())
    assert not diagnosis.gaps
    assert [(one.code, one.explained_by) for one in diagnosis.findings] == [(code, None), ("FDL101", code)]
    assert diagnosis.findings[0].severity is diagnosis.findings[1].severity


def test_goroutines_that_keep_connections_are_one_finding_and_its_consequences() -> None:
    """They wait for a channel that nobody serves, while more and more connections stay with them."""
    scene = Scene(window_s=15.0, nofile_soft=200)
    place = scene.place("tcp", "dialed", function="main.connect")
    place.all(steady(30, 0.2, 14.8))
    runtime = Runtime(scene)
    for number, life in enumerate(place.lives, 1):
        goid = runtime.go(
            "runtime.gopark", "main.pay:36", state="chan receive", moved=None, is_new=True, waits_on=(number,)
        )
        runtime.objects.append(
            WaitObject(id=number, pid=PID, kind="chan", receivers=(goid,), capacity=0, reachable="nobody")
        )
        runtime.use(life)
        runtime.connection(life, "other", "tcp", "blocked", owner_goid=goid)
    diagnosis = diagnose(runtime.evidence())
    assert diagnosis.findings[0].code == "GOR101"
    assert {one.code: one.explained_by for one in diagnosis.findings} == {
        "GOR101": None,
        "GOR201": "GOR101",
        "FDL101": "GOR101",
    }


@pytest.mark.parametrize(("activity", "code"), [("first-byte", "HTP103"), ("tls-handshake", "TLS101")])
def test_silent_clients_are_explained_by_the_surer_rule(activity: str, code: str) -> None:
    listener = Listener(inode=1, address="10.0.0.1", port=8080)
    scene = Scene(window_s=15.0, listeners=(listener,), nofile_soft=20_000)
    place = scene.place("tcp", "accepted", function="main.serve")
    place.all([1.0] * 23, local_port=8080, received=8, sent=0)
    runtime = Runtime(scene)
    for life in place.lives:
        runtime.server(life, activity, moved=None)
    diagnosis = diagnose(runtime.evidence())
    assert [(one.code, one.explained_by) for one in diagnosis.findings] == [(code, None), ("FDL202", code)]


def test_byte_for_byte_the_same_whatever_the_order_of_arrival_within_a_kind() -> None:
    scene = Scene()
    LEAKING["raw_dials"](random.Random(3), scene)
    LEAKING["pure_leak"](random.Random(4), scene)
    evidence = scene.evidence()
    encoded = msgspec.json.encode(diagnose(evidence))
    assert encoded == msgspec.json.encode(diagnose(evidence))
    evidence._records[Birthplace].reverse()
    evidence._records[SocketState].reverse()
    assert msgspec.json.encode(diagnose(evidence).findings) == msgspec.json.encode(
        msgspec.json.decode(encoded, type=Diagnosis).findings
    )


# --- recorded real cases: lab programs traced live, written by tools/record_cases.py ------------------------------------------

RECORDED = Path(__file__).parents[2] / "fixtures" / "bundles" / "lab"

FAULTS = {
    "http-body-leak": ("FDL101", 23, "main.refreshPrices", 24),
    "accept-leak": ("FDL102", 23, "main.(*server).serve", 31),
    "file-error-path": ("FDL103", 23, "main.importFile", 40),
    "pipe-leak": ("FDL104", 23, "main.convert", 21),
    "dup-leak": ("FDL105", 23, "main.tune", 24),
    "silent-clients": ("FDL202", 23, "main.serve", 29),
    "emfile": ("FDL102", 42, "main.serve", 47),
    "double-close": ("FDL501", 23, "main.readAll", 32),
    "close-others": ("FDL502", 23, "main.readConfig", 35),
}
CONSEQUENCES = {
    "accept-leak": {"FDL201": "FDL102"},
    "dup-leak": {"FDL401": "FDL105"},
    "emfile": {"FDL201": "FDL102", "FDL301": "FDL102", "FDL302": "FDL102", "NET101": "FDL302"},
}


def recorded(name: str) -> Diagnosis:
    """Return the verdicts on a recorded case."""
    diagnosis = diagnose(read_case(RECORDED / f"{name}.leadline"))
    assert not diagnosis.gaps
    return diagnosis


@pytest.mark.parametrize("name", FAULTS)
def test_recorded_faults_are_named(name: str) -> None:
    code, count, function, line = FAULTS[name]
    diagnosis = recorded(name)
    first = diagnosis.findings[0]
    assert (first.code, first.count, first.explained_by) == (code, count, None)
    assert (first.sites[0].function, first.sites[0].line) == (function, line)
    assert {other.code: other.explained_by for other in diagnosis.findings[1:]} == CONSEQUENCES.get(name, {})


def test_recorded_process_near_its_limit() -> None:
    (finding,) = recorded("near-limit").findings
    assert (finding.code, finding.count, finding.severity) == ("FDL301", 243, Severity.HIGH)


@pytest.mark.parametrize(
    ("name", "code", "pattern"),
    [
        ("keepalive-pool", "FDL101", "plateau"),
        ("sql-pool", "FDL101", "in-use"),
        ("batch-open-close", "FDL103", "batch"),
        ("fd-cache", "FDL103", "capped"),
        ("silent-clients", "FDL102", "live-peers"),
    ],
)
def test_recorded_healthy_patterns_are_cleared_by_name(name: str, code: str, pattern: str) -> None:
    diagnosis = recorded(name)
    assert pattern in {verdict.pattern for verdict in diagnosis.cleared if verdict.code == code}
    if name not in FAULTS:
        assert diagnosis.findings == ()


def test_recorded_cases_are_all_judged_here() -> None:
    judged = {*FAULTS, "near-limit", "keepalive-pool", "sql-pool", "batch-open-close", "fd-cache"}
    assert {path.stem for path in RECORDED.glob("*.leadline")} == judged
