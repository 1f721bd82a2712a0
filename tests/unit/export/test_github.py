from __future__ import annotations

import msgspec

from house.golden import Golden
from leadline.evidence import Evidence
from leadline.evidence.kinds import ProcessInfo
from leadline.export.github import encode
from report_samples import SampleVerdicts, sample_evidence, sample_findings, sample_verdicts


def test_golden(golden: Golden) -> None:
    golden.check("report/sample.github", encode(sample_evidence(), sample_verdicts(), root="/src").decode())


def test_a_hostile_name_cannot_issue_a_command() -> None:
    lines = encode(sample_evidence(hostile=True), sample_verdicts(hostile=True)).decode().split("\n")
    assert [line.partition(" ")[0] for line in lines] == ["::warning", "::error", ""]
    head, _, message = lines[1].removeprefix("::error ").partition("::")
    assert [part.partition("=")[0] for part in head.split(",")] == ["file", "line", "title"]
    assert "%3A%3Aerror%3A%3A%25" in head
    assert "::error::%25" in message
    assert lines[1].isprintable()


def test_a_relative_place_is_preferred() -> None:
    finding = sample_findings()[1]
    turned = msgspec.structs.replace(finding, sites=finding.sites[::-1])
    assert b"file=quotes/quote.go,line=42," in encode(Evidence(), SampleVerdicts((turned,)), root="/src")


def test_trimmed_paths_lose_their_module() -> None:
    evidence = Evidence()
    evidence.put(ProcessInfo(pid=1, start_boot_ns=0, comm="a", main_module="example.com/quotes"))
    finding = sample_findings()[1]
    site = msgspec.structs.replace(finding.sites[0], file="example.com/quotes/db/quote.go")
    assert b"file=db/quote.go,line=42," in encode(
        evidence, SampleVerdicts((msgspec.structs.replace(finding, sites=(site,)),))
    )


def test_without_a_place_only_the_title_is_given() -> None:
    finding = msgspec.structs.replace(sample_findings()[0], sites=())
    assert encode(Evidence(), SampleVerdicts((finding,))).startswith(
        b"::warning title=FDL301 double-close::3 closes"
    )
    assert encode(Evidence(), SampleVerdicts()) == b""
