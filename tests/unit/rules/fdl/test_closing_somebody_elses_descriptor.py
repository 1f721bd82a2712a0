"""FDL502: a close that hit somebody else's descriptor is the worst of all."""

from __future__ import annotations

from evidence_builders import PID, Scene
from judging import cleared, finding, is_silent_without, verdicts
from leadline.evidence.kinds import CloseFailure
from leadline.model import Severity, SiteFrame
from leadline.rules.fdl.closing_somebody_elses_descriptor import RULE


def frame(function: str, line: int) -> SiteFrame:
    return SiteFrame(function=function, file="/src/app/main.go", line=line, role="app")


def hit(count: int, verdict: str = "somebody-elses", culprit: SiteFrame | None = None) -> CloseFailure:
    return CloseFailure(
        id=1,
        pid=PID,
        error="EBADF",
        count=count,
        fds=(7,),
        verdict=verdict,
        stack=None,
        site=frame("main.keepJournal", 55),
        victim_site=frame("main.keepJournal", 50),
        culprit_site=culprit,
    )


def test_culprit_and_victim_are_named() -> None:
    scene = Scene()
    scene.more.append(hit(23, culprit=frame("main.readConfig", 43)))
    found = finding(RULE, scene)
    assert found.title == (
        "23 descriptors of main.keepJournal (main.go:50) closed by mistake by main.readConfig (main.go:43)"
    )
    assert found.severity is Severity.CRITICAL
    assert [(site.line, site.role) for site in found.sites] == [
        (43, "closed"),
        (50, "acquired"),
        (55, "failed"),
    ]


def test_without_a_recorded_culprit_it_is_still_found_with_less_confidence() -> None:
    scene = Scene()
    scene.more.append(hit(1))
    found = finding(RULE, scene)
    assert found.title == "1 descriptor of main.keepJournal (main.go:50) closed by mistake"
    assert found.confidence == 0.85
    assert found.sites[-1].role == "closed"


def test_each_culprit_is_a_finding() -> None:
    scene = Scene()
    scene.more += [
        hit(1, culprit=frame("main.a", 1)),
        hit(2, culprit=frame("main.b", 2)),
        hit(3, culprit=frame("main.b", 2)),
    ]
    assert sorted(verdict.count or 0 for verdict in verdicts(RULE, scene)) == [1, 5]


def test_one_fires_and_harmless_ones_do_not() -> None:
    scene = Scene()
    scene.more += [hit(9, "double"), hit(9, "error"), hit(0)]
    assert cleared(RULE, scene).count == 0


def test_not_judged_without_closes_being_watched() -> None:
    assert is_silent_without(RULE)


def test_the_kind_is_that_of_the_victim() -> None:
    scene = Scene()
    scene.place("file", "opened", function="main.keepJournal", line=50).live(1.0, 2.0)
    scene.more.append(hit(1))
    assert finding(RULE, scene).kind == "file"
