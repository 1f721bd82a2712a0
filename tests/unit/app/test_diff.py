from __future__ import annotations

import msgspec
import pytest

from leadline.app.diff import compare
from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, DescriptorKind, ProcessInfo, Window
from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Site, SiteFrame
from leadline.report.diff_view import Outcome
from report_samples import S, SampleVerdicts

Place = tuple[str, int, str, int]
"""(function, line, verdict, births)"""


def case(
    *places: Place, mode: str = "bpf", seconds: int = 30, comm: str = "quotes", pids: tuple[int, ...] = (1,)
) -> tuple[Evidence, SampleVerdicts]:
    evidence = Evidence()
    evidence.put(Window(begin_mono_ns=0, end_mono_ns=seconds * S, begin_unix_ns=0, mode=mode))
    evidence.put(ProcessInfo(pid=1, start_boot_ns=0, comm=comm))
    findings, cleared, unjudged = [], [], []
    number = 0
    for pid in pids:
        for function, line, verdict, births in places:
            number += 1
            frame = SiteFrame(function=function, file="/b/main.go", line=line, role="app")
            site = Site(function=function, file="/b/main.go", line=line, role="acquired")
            alive = births if verdict == "leaking" else 0
            evidence.put(
                Birthplace(
                    id=number,
                    pid=pid,
                    kind=DescriptorKind.TCP,
                    syscall="socket",
                    role="dialed",
                    stack=None,
                    site=frame,
                    births=births,
                    deaths=births - alive,
                    alive=alive,
                )
            )
            because = (Because(evidence=f"birthplace:{number}", layer=Layer.SYSCALL, says="x"),)
            if verdict == "leaking":
                findings.append(
                    Finding(
                        code="FDL101",
                        name="leak",
                        severity=Severity.HIGH,
                        confidence=1,
                        layer=Layer.SYSCALL,
                        title=f"{births} never closed",
                        explanation="",
                        remedy="",
                        verify="",
                        because=because,
                        rate_per_s=1.0,
                    )
                )
            elif verdict == "unclear":
                unjudged.append(
                    NotJudged(
                        code="FDL101",
                        name="leak",
                        missing="only 2 births",
                        remedy="",
                        sites=(site,),
                        kind="tcp",
                    )
                )
            else:
                cleared.append(
                    Cleared(
                        code="FDL101",
                        name="leak",
                        subject="s",
                        reason=f"{births} closed",
                        pattern=verdict,
                        because=because,
                    )
                )
    return evidence, SampleVerdicts(tuple(findings), tuple(cleared), tuple(unjudged))


def outcomes(
    before: tuple[Evidence, SampleVerdicts], after: tuple[Evidence, SampleVerdicts]
) -> list[tuple[str, Outcome, str]]:
    return [(row.function, row.outcome, row.why) for row in compare(*before, *after).rows]


LEAK: Place = ("f", 10, "leaking", 60)
GOOD: Place = ("f", 12, "churning", 60)
VAGUE: Place = ("f", 12, "unclear", 2)
OTHER: Place = ("g", 99, "plateau", 600)


@pytest.mark.parametrize(
    ("before", "after", "outcome", "why"),
    [
        (LEAK, GOOD, Outcome.FIXED, "60 closed"),
        (LEAK, LEAK, Outcome.STILL_LEAKING, "60 never closed"),
        (GOOD, LEAK, Outcome.NEW_LEAK, "60 never closed"),
        (VAGUE, LEAK, Outcome.NEW_LEAK, "60 never closed; before there was too little evidence"),
        (GOOD, GOOD, Outcome.UNCHANGED, "60 closed"),
        (LEAK, VAGUE, Outcome.NOT_COMPARABLE, "too little evidence after: only 2 births"),
        (VAGUE, GOOD, Outcome.NOT_COMPARABLE, "before: only 2 births"),
        (GOOD, VAGUE, Outcome.NOT_COMPARABLE, "after: only 2 births"),
    ],
)
def test_outcomes(before: Place, after: Place, outcome: Outcome, why: str) -> None:
    rows = outcomes(case(before, OTHER), case(after, OTHER))
    assert ("f", outcome, why) in rows
    assert ("g", Outcome.UNCHANGED, "600 closed") in rows


def test_a_new_place_that_leaks_is_a_new_leak() -> None:
    view = compare(*case(OTHER), *case(OTHER, LEAK))
    assert view.rows[0].outcome is Outcome.NEW_LEAK
    assert view.leaks_remain


def test_absence_counts_as_fixed_only_under_comparable_load() -> None:
    assert outcomes(case(LEAK, OTHER), case(OTHER))[-2:] != []
    fixed = compare(*case(LEAK, OTHER), *case(OTHER))
    assert [row.outcome for row in fixed.rows if row.function == "f"] == [Outcome.FIXED]
    idle = compare(*case(LEAK, OTHER), *case(("g", 99, "plateau", 60)))
    assert [row.outcome for row in idle.rows if row.function == "f"] == [Outcome.NOT_COMPARABLE]
    assert idle.is_unproven
    assert not idle.leaks_remain
    blind = compare(*case(LEAK, OTHER), *case(OTHER, mode="snapshots"))
    assert [row.outcome for row in blind.rows if row.function == "f"] == [Outcome.NOT_COMPARABLE]
    assert "they do not see the same" in blind.notes[0]


def test_load_is_compared_at_its_threshold() -> None:
    def outcome(births: int) -> Outcome:
        view = compare(
            *case(("f", 1, "leaking", 500), ("g", 2, "plateau", 500)), *case(("g", 2, "plateau", births))
        )
        return next(row.outcome for row in view.rows if row.function == "f")

    assert outcome(200) is Outcome.FIXED
    assert outcome(199) is Outcome.NOT_COMPARABLE


def test_lines_may_move_and_places_in_one_function_stay_apart() -> None:
    two = (("f", 10, "leaking", 60), ("f", 20, "churning", 60))
    moved = (("f", 15, "churning", 60), ("f", 25, "churning", 60))
    assert [row.outcome for row in compare(*case(*two), *case(*moved)).rows] == [
        Outcome.FIXED,
        Outcome.UNCHANGED,
    ]
    third = (("f", 5, "plateau", 60), ("f", 10, "leaking", 60), ("f", 20, "churning", 60))
    view = compare(*case(*two), *case(*third))
    assert [(row.outcome, row.after.line if row.after else None) for row in view.rows] == [
        (Outcome.STILL_LEAKING, 10),
        (Outcome.NOT_COMPARABLE, 5),
        (Outcome.UNCHANGED, 20),
    ]


def test_processes_with_the_same_code_are_added_up() -> None:
    (row,) = compare(*case(LEAK, pids=(1, 2, 3)), *case(GOOD)).rows
    assert row.before is not None
    assert (row.before.births, row.before.alive, row.before.leak_per_s, row.outcome) == (
        180,
        180,
        3.0,
        Outcome.FIXED,
    )


def test_groups_without_stacks_are_known_by_where_they_lead() -> None:
    def snapshots(*peers: str) -> Evidence:
        evidence = Evidence()
        evidence.put(Window(begin_mono_ns=0, end_mono_ns=S, begin_unix_ns=0, mode="snapshots"))
        for number, peer in enumerate(peers, 1):
            evidence.put(
                Birthplace(
                    id=number,
                    pid=1,
                    kind=DescriptorKind.TCP,
                    syscall="snapshot",
                    role="dialed",
                    stack=None,
                    births=1,
                    deaths=0,
                    alive=1,
                    peers=(((peer, 1),) if peer else ()),
                )
            )
        return evidence

    none = SampleVerdicts()
    assert {row.function for row in compare(snapshots("a:1", "b:2", ""), none, Evidence(), none).rows} == {
        "a:1",
        "b:2",
        "unknown place",
    }


def test_what_weakens_a_comparison_is_noted() -> None:
    def notes(after: tuple[Evidence, SampleVerdicts]) -> str:
        return "; ".join(compare(*case(OTHER), *after).notes)

    assert notes(case(OTHER)) == ""
    assert "much shorter" in notes(case(OTHER, seconds=14))
    assert "much shorter" not in notes(case(OTHER, seconds=15))
    assert "was the load the same?" in notes(case(("g", 99, "plateau", 100)))
    assert "different names" in notes(case(OTHER, comm="other"))


def test_other_findings_are_listed_but_do_not_decide() -> None:
    evidence, verdicts = case(OTHER)
    finding = case(LEAK)[1].findings[0]
    other = SampleVerdicts((msgspec.structs.replace(finding, code="NET101", name="queue"),), verdicts.cleared)
    view = compare(evidence, verdicts, evidence, other)
    assert [(row.code, row.before, row.after) for row in view.others] == [("NET101", 0, 1)]
    assert not view.leaks_remain


def test_what_was_open_at_exit_is_no_verdict_on_a_birthplace() -> None:
    evidence, verdicts = case(GOOD)
    finding = msgspec.structs.replace(case(LEAK)[1].findings[0], code="FDL120", severity=Severity.INFO)
    view = compare(evidence, verdicts, evidence, SampleVerdicts((finding,), verdicts.cleared))
    assert [row.outcome for row in view.rows] == [Outcome.UNCHANGED]
    assert [row.code for row in view.others] == ["FDL120"]


def test_what_a_command_left_open_decides_where_growth_could_not_be_judged() -> None:
    because = (Because(evidence="birthplace:1", layer=Layer.SYSCALL, says="x"),)
    closed = Cleared(
        code="FDL120",
        name="unclosed-at-exit",
        subject="s",
        reason="2 of 2 closed",
        pattern="closed",
        because=because,
    )
    left = msgspec.structs.replace(case(LEAK)[1].findings[0], code="FDL120")
    evidence, unclear = case(VAGUE)
    before = SampleVerdicts((left,), (), unclear.not_judged)
    after = SampleVerdicts((), (closed,), unclear.not_judged)
    (row,) = compare(evidence, before, evidence, after).rows
    assert (row.outcome, row.why) == (Outcome.FIXED, "2 of 2 closed")
    growth = msgspec.structs.replace(closed, code="FDL101", pattern="churning")
    (row,) = compare(evidence, before, evidence, SampleVerdicts((), (growth, closed))).rows
    assert row.after is not None
    assert row.after.verdict == "churning"


def test_empty_cases_compare_to_nothing() -> None:
    view = compare(Evidence(), SampleVerdicts(), Evidence(), SampleVerdicts())
    assert (view.rows, view.leaks_remain, view.is_unproven) == ((), False, False)
