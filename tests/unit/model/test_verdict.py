"""The three verdicts can be told apart, ordered, and written and read without loss."""

from __future__ import annotations

import msgspec
import pytest

from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Site, SiteFrame, Verdict

FINDING = Finding(
    code="FDL101",
    name="leaking-dialed-connections",
    severity=Severity.HIGH,
    confidence=0.9,
    layer=Layer.SYSCALL,
    title="23 connections are never closed",
    explanation="",
    remedy="close them",
    verify="trace again",
    because=(Because(evidence="birthplace:1", layer=Layer.SYSCALL, says="23 of 23 are open"),),
    sites=(
        Site(
            function="main.fetch",
            file="main.go",
            line=4,
            role="caller",
            stack=(SiteFrame(function="main.fetch"),),
        ),
    ),
)


def test_severities_rank_from_critical_to_info() -> None:
    ranked = sorted(Severity, key=lambda severity: severity.rank)
    assert [severity.value for severity in ranked] == ["critical", "high", "medium", "low", "info"]
    assert Severity.CRITICAL.rank == 0


@pytest.mark.parametrize(
    "verdict",
    [
        FINDING,
        Cleared(code="FDL101", name="n", subject="s", reason="r"),
        NotJudged(code="FDL101", name="n", missing="m", remedy="do"),
    ],
)
def test_verdicts_survive_being_written_and_read(verdict: Verdict) -> None:
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Finding | Cleared | NotJudged) == verdict


def test_verdicts_cannot_be_changed_afterwards() -> None:
    with pytest.raises(AttributeError):
        FINDING.severity = Severity.INFO  # type: ignore[misc]


def test_a_finding_without_evidence_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="because"):
        Finding(  # type: ignore[call-arg]
            code="FDL101",
            name="n",
            severity=Severity.LOW,
            confidence=1.0,
            layer=Layer.KERNEL,
            title="",
            explanation="",
            remedy="",
            verify="",
        )
