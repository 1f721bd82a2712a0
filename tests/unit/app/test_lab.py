"""The lab on the command line: its list and its sources."""

from __future__ import annotations

import json

import pytest

from leadline import lab
from leadline.app.lab import lab_list, lab_source
from leadline.model import UsageError


def test_the_list_has_every_program_with_what_must_be_found() -> None:
    lines = lab_list(as_json=False).splitlines()
    assert len(lines) == len(lab.PROGRAMS)
    by_name = {line.split()[0]: line for line in lines}
    assert by_name.keys() == lab.PROGRAMS.keys()
    for name, program in lab.PROGRAMS.items():
        word = by_name[name].split()[1]
        assert word == (",".join(program.expects) or "healthy")
        assert by_name[name].endswith(program.story)


def test_the_document_holds_the_whole_catalog() -> None:
    document = json.loads(lab_list(as_json=True))
    assert document["schema_version"] == 1
    assert [program["name"] for program in document["programs"]] == list(lab.PROGRAMS)
    by_name = {program["name"]: program for program in document["programs"]}
    assert by_name["accept-leak"]["expects"] == ["FDL102", "FDL201", "FDL601"]


def test_a_source_of_one_file_is_that_file() -> None:
    assert lab_source("file-leak") == (lab.PROGRAMS_DIR / "file-leak" / "main.go").read_text()


def test_several_files_are_told_apart_by_their_names() -> None:
    text = lab_source("http-do-leak")
    files = lab.source("http-do-leak")
    assert len(files) == 2
    for path in files:
        heading = f"// {path.relative_to(lab.PROGRAMS_DIR)}\n"
        assert text.count(heading) == 1
        assert text.partition(heading)[2].startswith(path.read_text())


def test_an_unknown_program_is_an_error_with_a_remedy() -> None:
    with pytest.raises(UsageError, match="no-such") as error:
        lab_source("no-such")
    assert "lab list" in error.value.remedy
