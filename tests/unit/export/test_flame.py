from __future__ import annotations

from xml.etree import ElementTree as ET

from house.golden import Golden
from leadline.evidence import Evidence
from leadline.export.flame import encode, encode_svg
from report_samples import LEAK_COUNT, SampleVerdicts, sample_evidence

SVG = "{http://www.w3.org/2000/svg}"
NONE = SampleVerdicts()


def test_golden_of_folded_stacks(golden: Golden) -> None:
    golden.check("report/sample.folded", encode(sample_evidence(), NONE).decode())


def test_golden_of_the_picture(golden: Golden) -> None:
    golden.check("report/sample.svg", encode_svg(sample_evidence(), NONE).decode())


def test_folded_counts_add_up_and_names_cannot_break_lines() -> None:
    lines = encode(sample_evidence(hostile=True), NONE).decode().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == 33
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_boxes_are_as_wide_as_their_counts() -> None:
    root = ET.fromstring(encode_svg(sample_evidence(), NONE))
    widths = {
        title.text.partition(":")[0]: float(group.find(f"{SVG}rect").get("width", ""))  # type: ignore[union-attr]
        for group in root.findall(f"{SVG}g")
        if (title := group.find(f"{SVG}title")) is not None and title.text is not None
    }
    assert widths["all descriptors of quotes (pid 4711)"] == 1200
    assert widths["main.fetchQuote quote.go"] == round(1200 * LEAK_COUNT / 33, 2)


def test_the_picture_is_one_harmless_file() -> None:
    text = encode_svg(sample_evidence(hostile=True), NONE).decode()
    root = ET.fromstring(text)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg",
        "title",
        "style",
        "text",
        "g",
        "rect",
    }
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "").replace("net/http", "")
    assert all(character == "\n" or character.isprintable() for character in text)


def test_without_descriptors_there_is_an_empty_picture() -> None:
    assert encode(Evidence(), NONE) == b""
    assert ET.fromstring(encode_svg(Evidence(), NONE)).findall(f"{SVG}g") == []
