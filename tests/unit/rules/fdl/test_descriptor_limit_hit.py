"""FDL302: refused calls are the outage itself."""

from __future__ import annotations

from evidence_builders import PID, Scene
from judging import cleared, finding, is_silent_without, verdicts
from leadline.evidence.kinds import HostInfo, Refusal
from leadline.model import Finding, Severity, SiteFrame
from leadline.rules.fdl.descriptor_limit_hit import RULE

SITE = SiteFrame(function="main.serve", file="/src/app/main.go", line=47, role="app")


def refused(count: int, error: str = "EMFILE", number: int = 1) -> Refusal:
    return Refusal(id=number, pid=PID, error=error, syscall="accept4", count=count, stack=None, site=SITE)


def test_one_refusal_fires_and_none_does_not() -> None:
    scene = Scene(nofile_soft=48)
    assert cleared(RULE, scene).count == 0
    scene.more.append(refused(1))
    found = finding(RULE, scene)
    assert found.title == (
        "1 call was refused a descriptor with EMFILE, most at main.serve (main.go:47); the soft limit is 48"
    )
    assert (found.severity, found.count) == (Severity.CRITICAL, 1)
    assert [(site.line, site.role) for site in found.sites] == [(47, "refused")]


def test_places_are_summed_and_the_busiest_comes_first() -> None:
    scene = Scene()
    scene.more += [refused(3, number=1), refused(40, number=2), refused(0, number=3)]
    found = finding(RULE, scene)
    assert found.count == 43
    assert [because.evidence for because in found.because] == ["refusal:2", "refusal:1"]


def test_the_hosts_limit_is_another_finding() -> None:
    scene = Scene()
    host = HostInfo(kernel_release="6.18", machine="x86_64", cpu_count=2, file_max=9000)
    scene.more += [refused(3), refused(4, "ENFILE", 2), host]
    found = {verdict.title for verdict in verdicts(RULE, scene) if isinstance(verdict, Finding)}
    assert any("ENFILE" in title and "fs.file-max is 9000" in title for title in found)
    assert len(found) == 2


def test_not_judged_without_refusals_being_watched() -> None:
    assert is_silent_without(RULE)
