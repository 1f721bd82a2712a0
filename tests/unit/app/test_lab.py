"""The lab on the command line: what is planted where, and the source that shows it."""

from __future__ import annotations

import json

from leadline import lab
from leadline.app.lab import lab_list, lab_source


def test_every_program_is_listed_with_what_it_must_cause() -> None:
    lines = lab_list(as_json=False).splitlines()
    assert [line.split()[0] for line in lines] == list(lab.PROGRAMS)
    for line, program in zip(lines, lab.PROGRAMS.values(), strict=True):
        assert line.split()[1] == (",".join(program.expects) or "healthy")
        assert line.endswith(program.story)


def test_the_document_has_the_catalogs_fields() -> None:
    programs = json.loads(lab_list(as_json=True))["programs"]
    assert [program["name"] for program in programs] == list(lab.PROGRAMS)
    assert all({"story", "expects", "kind", "count"} <= set(program) for program in programs)


def test_the_source_marks_the_guilty_line() -> None:
    (want,) = lab.wants("http-body-leak")
    line = lab_source("http-body-leak").splitlines()[want.line - 1]
    assert "// want:" in line


def test_several_files_are_told_apart() -> None:
    names = [name for name in lab.PROGRAMS if len(lab.source(name)) > 1]
    assert names
    for name in names:
        for path in lab.source(name):
            assert f"// {path.relative_to(lab.PROGRAMS_DIR)}\n" in lab_source(name)
