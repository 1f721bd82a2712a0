"""The tutorial works as written: its commands are run in order, and it shows what they print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from house.files import ROOT
from house.shell import Reader, blocks, expect_in_order, readers

PAGE = ROOT / "docs" / "tutorials" / "first-diagnosis.md"

pytestmark = [pytest.mark.e2e, pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Return somebody who reads the tutorial."""
    yield from readers(tmp_path)


def test_the_first_diagnosis_goes_as_written(reader: Reader) -> None:
    said = ""
    for block in blocks(PAGE):
        if block.info == "text":
            expect_in_order(block.body, said)
        elif block.info == "sh terminal":
            reader.start(block)
        else:
            said = reader.run(block)
    assert (reader.folder / "case.leadline").stat().st_size > 0
    assert "<html" in (reader.folder / "case.html").read_text()[:200]
    assert (reader.folder / "fds.svg").read_text().lstrip().startswith("<")
