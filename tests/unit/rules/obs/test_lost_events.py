"""OBS101: what leadline lost is said, and weighs little."""

from __future__ import annotations

from judging import cleared, finding, is_silent_without
from leadline.evidence import Evidence
from leadline.evidence.kinds import SelfCost
from leadline.model import Gap, GapReason, Severity
from leadline.rules.obs.lost_events import RULE


def lost(count: int, births: int = 600, deaths: int = 390) -> Evidence:
    evidence = Evidence()
    cost = SelfCost(
        cpu_ns=1, rss_bytes=1, window_ns=1, births_seen=births, deaths_seen=deaths, lost_events=count
    )
    evidence.put(cost)
    return evidence


def test_one_lost_event_fires_and_none_does_not() -> None:
    assert cleared(RULE, lost(0)).reason == "990 events recorded, none lost"
    found = finding(RULE, lost(1))
    assert (found.count, found.severity) == (1, Severity.INFO)


def test_more_than_one_percent_is_low() -> None:
    assert finding(RULE, lost(10)).severity is Severity.INFO
    assert finding(RULE, lost(11)).severity is Severity.LOW


def test_overruns_of_probes_count() -> None:
    evidence = lost(0)
    evidence.gap(
        Gap(what="stacks of births", reason=GapReason.OVERRUN, lost_count=7, probe="trace_descriptors")
    )
    found = finding(RULE, evidence)
    assert found.count == 7
    assert any("stacks of births" in because.says for because in found.because)


def test_other_gaps_do_not_count() -> None:
    evidence = lost(0)
    evidence.gap(Gap(what="sockets", reason=GapReason.NOT_PERMITTED))
    assert cleared(RULE, evidence)


def test_not_judged_without_an_account() -> None:
    assert is_silent_without(RULE)
