from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec

from house.golden import Golden
from leadline.evidence import Evidence
from leadline.export.junit import encode
from leadline.model import Severity
from report_samples import SampleVerdicts, sample_evidence, sample_findings, sample_verdicts


def test_golden(golden: Golden) -> None:
    golden.check(
        "report/sample.junit.xml", encode(sample_evidence(), sample_verdicts(), root="/src").decode()
    )


def test_counts_agree_with_the_cases() -> None:
    root = ET.fromstring(encode(sample_evidence(), sample_verdicts(hostile=True)))
    suite = root.find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "2", "1")
    assert (len(cases), len(suite.findall("*/failure")), len(suite.findall("*/skipped"))) == (5, 2, 1)


def test_info_passes() -> None:
    finding = msgspec.structs.replace(sample_findings()[0], severity=Severity.INFO)
    root = ET.fromstring(encode(Evidence(), SampleVerdicts((finding,))))
    assert root.get("failures") == "0"
    assert "EBADF" in (root.findtext("*/testcase/system-out") or "")


def test_nothing_to_say_is_an_empty_suite() -> None:
    root = ET.fromstring(encode(Evidence(), SampleVerdicts()))
    assert root.get("tests") == "0"


def test_hostile_names_give_wellformed_xml_without_control_characters() -> None:
    text = encode(sample_evidence(hostile=True), sample_verdicts(hostile=True)).decode()
    ET.fromstring(text)
    assert all(character == "\n" or character.isprintable() for character in text)
