"""The demo believes only a finding whose first site is the planted line."""

from __future__ import annotations

import msgspec
import pytest

from leadline import lab
from leadline.app.case import Case
from leadline.app.demo import PROGRAM, named
from leadline.app.diagnose import Diagnosis
from leadline.evidence import Evidence
from leadline.model import Finding, Site
from report_samples import sample_findings

(WANT,) = lab.wants(PROGRAM)
RIGHT = Site(function=WANT.function, file=f"/build/lab/{WANT.file}", line=WANT.line, role="caller")


def case_with(*sites: Site) -> Case:
    finding: Finding = msgspec.structs.replace(sample_findings()[0], sites=sites)
    return Case(evidence=Evidence(), diagnosis=Diagnosis((finding,), (), ()), subject="1")


def test_the_planted_line_is_known_again() -> None:
    assert named(case_with(RIGHT), WANT)
    assert named(case_with(msgspec.structs.replace(RIGHT, file=WANT.file)), WANT)


@pytest.mark.parametrize(
    "change",
    [
        {"function": "main.other"},
        {"file": "/build/other/main.go"},
        {"file": None},
        {"line": WANT.line + 1},
        {"line": None},
    ],
    ids=str,
)
def test_one_difference_is_enough_to_fail(change: dict[str, object]) -> None:
    assert not named(case_with(msgspec.structs.replace(RIGHT, **change)), WANT)


def test_only_the_first_site_counts_for_a_reader_in_a_hurry() -> None:
    other = msgspec.structs.replace(RIGHT, function="net.dial", line=1)
    assert not named(case_with(other, RIGHT), WANT)


def test_a_finding_without_a_place_or_no_finding_names_nothing() -> None:
    assert not named(case_with(), WANT)
    assert not named(Case(evidence=Evidence(), diagnosis=Diagnosis((), (), ()), subject="1"), WANT)
