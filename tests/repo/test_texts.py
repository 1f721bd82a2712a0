"""Promises about every text of the repository: no stale notes to ourselves, no paths of somebody's machine."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from house.files import ROOT, text_files

# Written in two parts, so that this file does not find itself.
NOTE = re.compile(r"\b(" + "TO" + "DO|FIX" + r"ME|X" + r"XX)\b(?:\((\d{4}-\d{2}-\d{2})[^)]*\))?")
MACHINE_PATH = re.compile(r"(?<![\w.}/*>])/(?:work|root|home|Users)/[\w.-]")
# Samples for decoders may name the home of somebody invented.
INVENTED = re.compile(r"/home/")


def test_notes_to_ourselves_have_a_day_that_is_not_past() -> None:
    today = dt.datetime.now(dt.UTC).date()
    bad = []
    for path, text in text_files():
        if path.name in {"pyproject.toml", "LICENSE", Path(__file__).name} or path.suffix == ".html":
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for match in NOTE.finditer(line):
                if match[2] is None or dt.date.fromisoformat(match[2]) < today:
                    bad.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert not bad, "write NOTE(2027-01-31, who) or do it now:\n" + "\n".join(bad)


def test_no_text_names_a_path_of_somebodys_machine() -> None:
    bad = []
    for path, text in text_files():
        name = str(path.relative_to(ROOT))
        if name == "tests/repo/test_texts.py":
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found = MACHINE_PATH.findall(line)
            if name.startswith("tests/unit/"):
                found = [path for path in found if not INVENTED.match(path)]
            if found:
                bad.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not bad, "\n".join(bad)


def test_texts_end_with_a_newline_and_have_no_stray_spaces() -> None:
    bad = []
    for path, text in text_files():
        inside = path.relative_to(ROOT)
        if "fixtures" in inside.parts or not text:
            continue
        if not text.endswith("\n"):
            bad.append(f"{inside}: no newline at the end")
        if path.suffix in {".py", ".md", ".toml", ".c", ".h", ".go", ".sh", ".yaml"}:
            bad += [
                f"{inside}:{number}"
                for number, line in enumerate(text.splitlines(), 1)
                if line != line.rstrip()
            ]
    assert not bad, "\n".join(bad)
