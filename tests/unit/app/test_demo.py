"""The demo succeeds only when the planted line was named first."""

from __future__ import annotations

import msgspec
import pytest

from leadline import lab
from leadline.app.case import Case
from leadline.app.demo import PROGRAM, named
from leadline.app.diagnose import Diagnosis
from leadline.evidence import Evidence
from leadline.lab import Want
from leadline.model import Site
from report_samples import sample_findings

(WANT,) = lab.wants(PROGRAM)


def case(*sites: Site) -> Case:
    finding = msgspec.structs.replace(sample_findings()[0], sites=sites)
    return Case(Evidence(), Diagnosis(findings=(finding,), cleared=(), not_judged=()), subject=PROGRAM)


def site(want: Want, *, line: int = 0) -> Site:
    return Site(function=want.function, file=f"/build/{want.file}", line=want.line + line, role="caller")


def test_the_planted_line_first_is_success() -> None:
    assert named(case(site(WANT)), WANT)


@pytest.mark.parametrize("sites", [(), (site(WANT, line=1),), (site(WANT, line=1), site(WANT))])
def test_no_line_another_line_or_a_later_site_is_not(sites: tuple[Site, ...]) -> None:
    assert not named(case(*sites), WANT)


def test_a_site_without_a_file_is_not_the_planted_line() -> None:
    assert not named(case(Site(function=WANT.function, file=None, line=WANT.line, role="caller")), WANT)
