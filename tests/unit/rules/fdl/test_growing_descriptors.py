"""FDL110: growth seen by comparing tables, and descriptors of unknown origin."""

from __future__ import annotations

import msgspec

from evidence_builders import Scene, steady
from judging import cleared, finding, is_silent_without, not_judged, verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, Descriptor, Origin
from leadline.model import Finding
from leadline.rules.fdl.growing_descriptors import RULE


def snapshots(kind: str, role: str, births_s: list[float], **facts: object) -> Evidence:
    """Return what comparing tables would have seen."""
    scene = Scene(window_s=12.0, mode="snapshots")
    scene.place(kind, role, syscall="snapshot").all(births_s, **facts)
    evidence = scene.evidence()
    evidence._records[Birthplace] = [
        msgspec.structs.replace(
            birthplace, stack=None, site=None, peers=(("/srv/page.tmpl", birthplace.alive),)
        )
        for birthplace in evidence.all(Birthplace)
    ]
    return evidence


def test_growth_without_births_is_found_with_less_confidence() -> None:
    found = finding(RULE, snapshots("file", "opened", steady(23, 0.2, 11.7)))
    assert found.title == "23 files opened (/srv/page.tmpl) were never closed; 1.9 more each second"
    assert found.confidence < 0.75
    assert found.remedy.startswith("Trace with BPF")


def test_five_files_fire_and_four_do_not() -> None:
    assert finding(RULE, snapshots("file", "opened", steady(5, 0.2, 11.7))).count == 5
    assert not_judged(RULE, snapshots("file", "opened", steady(4, 0.2, 11.7)))


def test_dialed_connections_need_twelve() -> None:
    assert finding(RULE, snapshots("tcp", "dialed", steady(12, 0.2, 11.7))).count == 12
    assert not_judged(RULE, snapshots("tcp", "dialed", steady(11, 0.2, 11.7)))


def test_connected_clients_are_cleared() -> None:
    verdict = cleared(RULE, snapshots("tcp", "accepted", steady(40, 0.2, 11.7), local_port=8080))
    assert verdict.pattern == "live-peers"


def unknown(count: int) -> Evidence:
    """Return a trace in which descriptors came by a way that it does not see."""
    scene = Scene(window_s=12.0)
    scene.place("file", "opened").all(steady(count, 0.2, 11.7))
    evidence = scene.evidence()
    evidence._records[Birthplace] = []
    evidence._records[Descriptor] = [
        msgspec.structs.replace(descriptor, origin=Origin.UNKNOWN, birthplace=None, born_mono_ns=None)
        for descriptor in evidence.all(Descriptor)
    ]
    return evidence


def test_descriptors_of_unknown_origin_are_found() -> None:
    found = finding(RULE, unknown(23))
    assert found.count == 23
    assert found.title.startswith("23 files created (path /srv/page.tmpl) were never closed")
    assert found.because[0].evidence == "descriptor:3"


def test_nothing_new_is_cleared() -> None:
    assert cleared(RULE, Scene()).pattern == "none"
    assert not any(isinstance(verdict, Finding) for verdict in verdicts(RULE, unknown(4)))


def test_not_judged_without_tables() -> None:
    assert is_silent_without(RULE)
