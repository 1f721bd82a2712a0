"""The judge of the lab: it passes what was planted and nothing else."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from leadline import lab
from leadline.app.cases import read_case
from leadline.app.diagnose import diagnose
from leadline.app.lab_check import CheckResult, judge_report
from leadline.evidence.kinds import Goroutine
from leadline.export.json_document import document
from leadline.rules._index import RULES

RECORDED = Path(__file__).parents[2] / "fixtures" / "bundles" / "runtime"
"""Written by tools/record_cases.py."""
FILE_LEAK = lab.find("file-leak")
(WANT,) = lab.wants("file-leak")


def site(**change: Any) -> dict[str, Any]:
    return {
        "function": WANT.function,
        "file": f"/b/{WANT.file}",
        "line": WANT.line,
        "role": "acquired",
    } | change


def finding(code: str = "FDL103", **change: Any) -> dict[str, Any]:
    known = {"code": code, "severity": "high", "title": "23 files", "kind": "file", "sites": [site()]}
    return copy.deepcopy(known | change)


def judged(*findings: dict[str, Any], program: str = "file-leak") -> CheckResult:
    return judge_report(lab.find(program), {"findings": list(findings)})


def test_what_was_planted_is_right() -> None:
    result = judged(finding())
    assert result.is_right
    assert result.codes == ("FDL103",)


def test_the_second_site_is_near_enough_the_third_is_not() -> None:
    other = site(function="os.Open", file="/go/src/os/file.go", line=400)
    assert judged(finding(sites=[other, site()])).is_right
    assert not judged(finding(sites=[other, other, site()])).is_right


def test_nothing_found_is_a_miss() -> None:
    assert judged().problems == ("FDL103 was not found",)


def test_a_miss_tells_what_the_rule_said_instead() -> None:
    said = {"not_judged": [{"code": "FDL103", "missing": "too few"}, {"code": "FDL101", "missing": "other"}]}
    assert judge_report(FILE_LEAK, {"findings": [], **said}).problems == ("FDL103 was not found: too few",)
    said = {"cleared": [{"code": "FDL103", "reason": "a plateau"}]}
    assert judge_report(FILE_LEAK, {"findings": [], **said}).problems == ("FDL103 was not found: a plateau",)


def test_information_is_no_finding() -> None:
    assert judged(finding(severity="info")).problems == ("FDL103 was not found",)
    assert judged(finding(), finding("FDL120", severity="info")).is_right


def test_each_expected_code_must_come() -> None:
    (want,) = lab.wants("accept-leak")
    place = site(function=want.function, file=want.file, line=want.line)
    leak = finding("FDL102", kind="tcp", sites=[place])
    kept = finding("FDL601", kind="tcp", sites=[])
    assert judged(leak, kept, program="accept-leak").problems == ("FDL201 was not found",)
    pile_up = finding("FDL201", kind="tcp", sites=[])
    assert judged(leak, pile_up, kept, program="accept-leak").is_right


def test_a_code_that_was_not_planted_is_a_false_alarm() -> None:
    (problem,) = judged(finding(), finding("FDL104", title="pipes grow")).problems
    assert problem == "FDL104 is a false alarm: pipes grow"


def test_a_consequence_that_the_catalog_allows_is_none() -> None:
    program = lab.find("close-others")
    assert program.also == ("FDL501",)
    assert not any(
        "FDL501" in problem for problem in judged(finding("FDL501"), program="close-others").problems
    )


@pytest.mark.parametrize(
    "change", [{"line": WANT.line + 1}, {"line": None}, {"function": "main.main"}, {"file": "other/main.go"}, {"file": None}],
    ids=str,
)  # fmt: skip
def test_a_wrong_place_is_told_with_both_places(change: dict[str, Any]) -> None:
    (problem,) = judged(finding(sites=[site(**change)])).problems
    assert f"planted was {WANT.function} {WANT.file}:{WANT.line}" in problem
    assert problem.startswith(f"named {site(**change)['function']} ")


def test_no_place_at_all_is_told() -> None:
    (problem,) = judged(finding(sites=[])).problems
    assert problem.startswith("named no place")


def test_a_wrong_kind_is_told() -> None:
    assert judged(finding(kind="tcp")).problems == ("kind tcp, not file",)


def test_any_finding_on_a_healthy_program_is_a_false_alarm() -> None:
    assert judged(program="file-fixed").is_right
    assert not judged(finding(), program="file-fixed").is_right
    assert judged(finding(severity="info"), program="file-fixed").is_right


def test_codes_are_named_once_each() -> None:
    assert judged(finding(), finding()).codes == ("FDL103",)


@pytest.mark.parametrize("case", sorted(RECORDED.glob("*.leadline")), ids=lambda path: path.stem)
def test_recorded_programs_are_judged_as_planted(case: Path) -> None:
    """What was read of real programs' goroutines and connections gives the same verdicts whenever it is judged."""
    evidence = read_case(case)
    diagnosis = diagnose(evidence)
    assert diagnosis.gaps == ()
    result = judge_report(lab.find(case.stem), document(evidence, diagnosis))
    assert result.problems == ()
    assert evidence.all(Goroutine), "the runtime was read"


def test_there_is_a_recorded_case_for_each_fault_of_the_runtime_and_of_healthy_twins() -> None:
    programs = [lab.find(case.stem) for case in RECORDED.glob("*.leadline")]
    expected = {code for program in programs for code in program.expects}
    faults = {code for code in RULES if code[:3] in {"GOR", "HTP", "SCH", "TLS"} or code.startswith("FDL6")}
    assert faults | {"FDL402", "FDL403"} <= expected
    assert sum(program.is_healthy for program in programs) >= 5
