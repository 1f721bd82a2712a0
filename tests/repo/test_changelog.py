"""Changelog fragments have their form, and a release moves them whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from house.files import ROOT
from house.tools import load_tool

changelog = load_tool("changelog")


@pytest.mark.parametrize("fragment", sorted((ROOT / "changelog.d").glob("*")), ids=lambda path: path.name)
def test_fragments_have_their_form(fragment: Path) -> None:
    assert changelog.problems(fragment) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("trace.md", "A sentence.\n"),
        ("trace.news.md", "A sentence.\n"),
        ("Trace.added.md", "A sentence.\n"),
        ("trace.added.md", ""),
        ("trace.added.md", "No full stop\n"),
        ("trace.added.md", "- A list.\n"),
        ("trace.added.md", "A sentence."),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert changelog.problems(tmp_path / name)


def test_a_release_moves_the_fragments(tmp_path: Path) -> None:
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "b.fixed.md").write_text("It works.\nBetter.\n")
    (tmp_path / "changelog.d" / "a.added.md").write_text("It is new.\n")
    (tmp_path / "CHANGELOG.md").write_text((ROOT / "CHANGELOG.md").read_text())
    changelog.release(tmp_path, "0.9.0", "2026-12-31")
    text = (tmp_path / "CHANGELOG.md").read_text()
    assert text.endswith(
        "\n## 0.9.0 (2026-12-31)\n\n### Added\n\n- It is new.\n\n### Fixed\n\n- It works.\n  Better.\n"
    )
    assert list((tmp_path / "changelog.d").iterdir()) == []
    with pytest.raises(ValueError, match="already"):
        changelog.release(tmp_path, "0.9.0", "2026-12-31")
    with pytest.raises(ValueError, match="write release"):
        changelog.release(tmp_path, "next", "soon")


def test_the_changelog_can_take_a_release() -> None:
    assert (ROOT / "CHANGELOG.md").read_text().count(changelog.MARK) == 1
