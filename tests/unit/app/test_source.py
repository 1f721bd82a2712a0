"""Lines of source come from the file that the longest matching tail names, and never from outside the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.app.diagnose import Diagnosis
from leadline.app.source import MAX_FILE_BYTES, with_source
from leadline.model import Because, Finding, Layer, Severity, Site

LINES = "".join(f"line {number}\n" for number in range(1, 8))


def diagnosis_at(file: str | None, line: int | None) -> Diagnosis:
    finding = Finding(
        code="FDL103",
        name="leaking-files",
        severity=Severity.HIGH,
        confidence=0.9,
        layer=Layer.SYSCALL,
        title="23 files",
        explanation="",
        remedy="",
        verify="",
        because=(Because(evidence="birthplace:1", layer=Layer.SYSCALL, says="23"),),
        sites=(Site(function="main.load", file=file, line=line, role="acquired"),),
    )
    return Diagnosis((finding,), (), ())


def shown(tree: Path | None, file: str | None, line: int | None) -> tuple[tuple[int, str], ...]:
    return with_source(diagnosis_at(file, line), tree).findings[0].sites[0].source


def put(tree: Path, name: str, text: str = LINES) -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)


def test_the_line_is_shown_between_its_neighbours(tmp_path: Path) -> None:
    put(tmp_path, "main.go")
    assert shown(tmp_path, "/build/main.go", 4) == tuple((number, f"line {number}") for number in range(2, 7))


@pytest.mark.parametrize(
    ("line", "numbers"), [(1, [1, 2, 3]), (2, [1, 2, 3, 4]), (6, [4, 5, 6, 7]), (7, [5, 6, 7])]
)
def test_at_the_ends_of_the_file_there_are_fewer_neighbours(
    tmp_path: Path, line: int, numbers: list[int]
) -> None:
    put(tmp_path, "main.go")
    assert [number for number, _ in shown(tmp_path, "main.go", line)] == numbers


@pytest.mark.parametrize("line", [0, -1, 8, 10**9, None])
def test_a_line_that_the_file_does_not_have_shows_nothing(tmp_path: Path, line: int | None) -> None:
    put(tmp_path, "main.go")
    assert shown(tmp_path, "main.go", line) == ()


def test_the_longest_matching_tail_wins(tmp_path: Path) -> None:
    put(tmp_path, "fetch.go", "short\n")
    put(tmp_path, "client/fetch.go", "longer\n")
    put(tmp_path, "api/client/fetch.go", "longest\n")
    assert shown(tmp_path, "/build/api/client/fetch.go", 1) == ((1, "longest"),)
    assert shown(tmp_path, "/other/client/fetch.go", 1) == ((1, "longer"),)
    assert shown(tmp_path, "/elsewhere/fetch.go", 1) == ((1, "short"),)


@pytest.mark.parametrize(
    "recorded",
    ["example.com/app/client/fetch.go", "example.com/app@v1.2.3/client/fetch.go", "./client/fetch.go"],
)
def test_names_of_trimpath_and_of_module_versions_are_matched(tmp_path: Path, recorded: str) -> None:
    put(tmp_path, "client/fetch.go", "here\n")
    assert shown(tmp_path, recorded, 1) == ((1, "here"),)


def test_a_file_that_is_not_in_the_tree_shows_nothing(tmp_path: Path) -> None:
    put(tmp_path, "main.go")
    assert shown(tmp_path, "/src/other.go", 1) == ()
    assert shown(tmp_path, None, 1) == ()


@pytest.mark.parametrize(
    "recorded", ["{outside}/secret", "../secret", "a/../../secret", "/../secret", "./../secret"]
)
def test_a_recorded_path_never_leads_out_of_the_tree(tmp_path: Path, recorded: str) -> None:
    (tmp_path / "secret").write_text("key\n")
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    assert shown(tree, recorded.format(outside=tmp_path), 1) == ()


def test_a_link_in_the_tree_does_not_lead_out_of_it(tmp_path: Path) -> None:
    """Whoever can write the tree could otherwise have root's files printed by a trace under sudo."""
    (tmp_path / "secret").write_text("key\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "main.go").symlink_to(tmp_path / "secret")
    assert shown(tree, "/src/main.go", 1) == ()


def test_a_link_within_the_tree_is_followed(tmp_path: Path) -> None:
    put(tmp_path, "real.go", "real\n")
    (tmp_path / "main.go").symlink_to("real.go")
    assert shown(tmp_path, "/src/main.go", 1) == ((1, "real"),)


def test_a_folder_or_a_huge_file_of_that_name_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.go").mkdir()
    assert shown(tmp_path, "folder.go", 1) == ()
    with (tmp_path / "huge.go").open("wb") as file:
        file.write(b"first\n")
        file.truncate(MAX_FILE_BYTES + 1)
    assert shown(tmp_path, "huge.go", 1) == ()


@pytest.mark.parametrize(
    "recorded",
    ["bad\0name.go", "x" * 300 + ".go", "", "/", "a/" * 3000 + "b.go"],
    ids=["nul", "long-name", "empty", "root", "long-path"],
)
def test_a_path_that_no_file_can_have_shows_nothing(tmp_path: Path, recorded: str) -> None:
    """Paths come from the target's binary, which may say what it likes."""
    assert shown(tmp_path, recorded, 1) == ()


def test_bytes_that_are_not_text_are_shown_as_replacements(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_bytes(b"caf\xe9\n")
    assert shown(tmp_path, "main.go", 1) == ((1, "caf\ufffd"),)


def test_without_a_tree_nothing_changes() -> None:
    diagnosis = diagnosis_at("main.go", 1)
    assert with_source(diagnosis, None) is diagnosis
