from __future__ import annotations

import msgspec

from leadline.evidence import Evidence
from leadline.evidence.kinds import ProcessInfo, SelfCost, Window
from leadline.model import Because, Layer, NotJudged, Severity
from leadline.report.model import make_view
from report_samples import S, SampleVerdicts, sample_evidence, sample_findings, sample_verdicts


def test_the_header_says_what_is_known_and_nothing_else() -> None:
    facts = dict(make_view(sample_evidence(), sample_verdicts()).facts)
    assert facts == {
        "program": "go1.26.8 example.com/quotes",
        "command": "/srv/quotes -listen=:8080",
        "listening": "port 8080",
        "descriptors": "33 open of 1,024 (3.2 %)",
        "watched": "30 s, births and deaths traced by BPF",
    }
    evidence = Evidence()
    evidence.put(ProcessInfo(pid=7, start_boot_ns=0, comm="x"))
    evidence.put(
        Window(begin_mono_ns=0, end_mono_ns=2 * S, begin_unix_ns=0, mode="snapshots", ended_by="interrupt")
    )
    assert dict(make_view(evidence, SampleVerdicts()).facts) == {
        "watched": "2 s, snapshots only: births and deaths were not traced; ended by Ctrl-C"
    }


def test_the_summary_counts_by_severity_and_names_blindness() -> None:
    def summary(*severities: Severity, blind: int = 0) -> str:
        findings = tuple(
            msgspec.structs.replace(sample_findings()[0], severity=severity) for severity in severities
        )
        unjudged = tuple(
            NotJudged(code=f"FDL10{number}", name="n", missing="m", remedy="r") for number in range(blind)
        )
        return make_view(Evidence(), SampleVerdicts(findings, (), unjudged)).summary

    assert summary() == "No findings."
    assert summary(blind=1) == "No findings; 1 rule could not judge."
    assert summary(Severity.LOW) == "1 finding: 1 low."
    assert (
        summary(Severity.LOW, Severity.CRITICAL, Severity.LOW, blind=2)
        == "3 findings: 1 critical, 2 low; 2 rules could not judge."
    )


def test_rules_that_lack_the_same_are_said_once() -> None:
    unjudged = tuple(
        NotJudged(code=code, name="n", missing="stacks", remedy="be root")
        for code in ("FDL101", "FDL102", "FDL101")
    )
    (one,) = make_view(Evidence(), SampleVerdicts((), (), unjudged)).not_judged
    assert (one.codes, one.missing, one.remedy) == (("FDL101", "FDL102"), "stacks", "be root")


def test_places_of_findings_come_first_and_are_marked() -> None:
    because = (
        Because(evidence="birthplace:2", layer=Layer.SYSCALL, says="x"),
        Because(evidence="birthplace:x", layer=Layer.SYSCALL, says="x"),
    )
    finding = msgspec.structs.replace(sample_findings()[1], because=because)
    view = make_view(sample_evidence(), SampleVerdicts((finding,)))
    assert [(place.id, place.is_blamed) for place in view.places] == [(2, True), (1, False)]
    assert [series.id for series in view.timeline.places] == [2, 1]
    info = msgspec.structs.replace(finding, severity=Severity.INFO)
    assert not any(place.is_blamed for place in make_view(sample_evidence(), SampleVerdicts((info,))).places)


def test_every_word_of_the_view_is_printable() -> None:
    def words(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, tuple):
            return [word for item in value for word in words(item)]
        if hasattr(value, "__dataclass_fields__"):
            return [word for name in value.__dataclass_fields__ for word in words(getattr(value, name))]
        return []

    found = words(make_view(sample_evidence(hostile=True), sample_verdicts(hostile=True)))
    assert len(found) > 100
    assert [word for word in found if not word.replace("\n", "").isprintable()] == []


def test_own_cost_is_one_sentence() -> None:
    assert make_view(Evidence(), SampleVerdicts()).cost == ""
    evidence = Evidence()
    evidence.put(SelfCost(cpu_ns=S, rss_bytes=1 << 20, window_ns=10 * S, lost_events=2))
    assert (
        make_view(evidence, SampleVerdicts()).cost
        == "1 s CPU (10.0 % of one core), 1.0 MiB memory, 2 events lost"
    )


def test_a_clock_out_of_range_is_not_shown() -> None:
    evidence = Evidence()
    evidence.put(Window(begin_mono_ns=0, end_mono_ns=0, begin_unix_ns=1 << 90, mode="bpf"))
    assert make_view(evidence, SampleVerdicts()).begin_utc == ""
    assert make_view(sample_evidence(), SampleVerdicts()).begin_utc == "2026-09-21 14:13:20 UTC"
