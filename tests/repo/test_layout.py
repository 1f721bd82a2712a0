"""Each source file has a test, each test a source file, and names say what is inside."""

from __future__ import annotations

import ast
import datetime as dt
import re
from pathlib import Path

import pytest

from house.files import ROOT, SRC, files

TESTS = ROOT / "tests"
FORBIDDEN = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc|stuff|info2)(_|$)")

# Files that may lack a test until the day given, with the reason. An entry that is no longer needed, or past its day, fails.
WITHOUT_TEST: dict[str, tuple[str, str]] = {}


def sources() -> list[Path]:
    """Return the Python files of the package that have something to run."""
    return [path for path in files(".py") if path.is_relative_to(SRC) and has_logic(path)]


def has_logic(path: Path) -> bool:
    """Return whether a file holds a function that does something; protocols, records and indexes do not."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = [part for part in node.body if not _is_text(part) and not isinstance(part, ast.Pass)]
            if body:
                return True
    return False


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def mirrors(source: Path) -> list[Path]:
    """Return the test files that belong to a source file: its mirror in unit, or a live or end-to-end test of its name."""
    inside = source.relative_to(SRC)
    stem = (inside.parent.name if inside.stem == "__init__" else inside.stem).strip("_")
    wanted = [TESTS / "unit" / inside.parent / f"test_{stem}.py"]
    wanted += [TESTS / level / f"test_{stem}.py" for level in ("live", "e2e")]
    return [path for path in wanted if path.exists()]


@pytest.mark.parametrize("source", sources(), ids=lambda path: str(path.relative_to(SRC)))
def test_each_source_file_has_a_test(source: Path) -> None:
    name = str(source.relative_to(SRC))
    if name in WITHOUT_TEST:
        pytest.skip(WITHOUT_TEST[name][0])
    assert mirrors(source), (
        f"write tests/unit/{source.relative_to(SRC).parent}/test_{source.stem.strip('_')}.py"
    )


def test_excuses_for_missing_tests_expire() -> None:
    for name, (reason, until) in WITHOUT_TEST.items():
        assert (SRC / name).exists(), f"{name} is gone: drop its excuse"
        assert not mirrors(SRC / name), f"{name} has a test now: drop its excuse"
        assert dt.date.fromisoformat(until) >= dt.datetime.now(dt.UTC).date(), f"{name}: {reason}"


def test_each_unit_test_mirrors_a_source_file() -> None:
    orphans = []
    for path in files(".py"):
        if not path.is_relative_to(TESTS / "unit") or not path.name.startswith("test_"):
            continue
        inside = path.relative_to(TESTS / "unit")
        stem = inside.stem.removeprefix("test_")
        folder = SRC / inside.parent
        candidates = [folder / f"{stem}.py", folder / f"_{stem}.py", folder / f"{stem}_.py", folder / stem]
        if inside.parent.name == stem:
            candidates.append(folder / "__init__.py")
        if not any(candidate.exists() for candidate in candidates):
            orphans.append(str(inside))
    assert not orphans, f"unit tests without a source file of their name: {orphans}"


def test_test_files_are_found_by_pytest() -> None:
    """A test function in a file that pytest does not collect would never run."""
    lost = [
        str(path.relative_to(ROOT))
        for path in files(".py")
        if path.is_relative_to(TESTS)
        and not path.name.startswith("test_")
        and re.search(r"^(async )?def test_", path.read_text(), re.MULTILINE)
    ]
    assert not lost


def test_nothing_is_named_for_the_place_where_things_go() -> None:
    bad = []
    for path in files(".py"):
        inside = path.relative_to(ROOT)
        bad += [str(inside) for part in (*inside.parent.parts, inside.stem) if FORBIDDEN.search(part)]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and re.search(r"(Manager|Helper|Utils?)$", node.name):
                bad.append(f"{inside}: class {node.name}")
    assert not bad, f"name them after what they do: {bad}"


def test_each_package_has_an_init_that_only_names_things() -> None:
    """A room's ``__init__`` lists its public names and has no logic, but for the command line's entry point."""
    for folder in {path.parent for path in files(".py") if path.is_relative_to(SRC)}:
        init = folder / "__init__.py"
        assert init.exists(), f"{folder.relative_to(SRC)} has no __init__.py"
        if folder != SRC / "cli":
            assert not has_logic(init), f"{init.relative_to(SRC)} has logic: move it to a file with a name"


def test_each_room_is_bound_by_the_layers_contract() -> None:
    """import-linter's layers are exhaustive, so a new room must take its place there."""
    project = (ROOT / "pyproject.toml").read_text()
    layers = project[project.index("layers = [") :].split("]")[0]
    for room in SRC.iterdir():
        if (room / "__init__.py").exists():
            assert re.search(rf"\b{room.name}\b", layers), f"{room.name} has no layer in pyproject.toml"
    assert "exhaustive = true" in project
