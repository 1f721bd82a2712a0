"""The documents: links lead somewhere, both READMEs say the same, pages are reachable, decisions have their form."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from house.files import ROOT, files

DOCS = ROOT / "docs"
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
ADR_SECTIONS = ["Context", "Decision", "Consequences", "What would make us change it"]


def prose(path: Path) -> str:
    """Return the text of a page without its code blocks."""
    return FENCE.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE):
        kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
        found.add(kept.strip().replace(" ", "-"))
    return found


def links(path: Path) -> list[str]:
    """Return the targets of a page's links that point into the repository."""
    return [target for target in LINK.findall(prose(path)) if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", files(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(goal), f"{target}: no such heading; there are {sorted(anchors(goal))}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        waiting += [
            goal
            for goal in ((page.parent / target.partition("#")[0]).resolve() for target in links(page))
            if goal.suffix == ".md" and goal.exists()
        ]
    unreachable = [
        str(page.relative_to(ROOT))
        for page in files(".md")
        if page.is_relative_to(DOCS) and page not in reached
    ]
    assert not unreachable


def test_both_readmes_have_the_same_structure_and_commands() -> None:
    english, chinese = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))
    levels = [re.findall(r"^(#+) ", FENCE.sub("", text), re.MULTILINE) for text in (english, chinese)]
    assert levels[0] == levels[1]
    assert [_commands(block) for block in FENCE.findall(english)] == [
        _commands(block) for block in FENCE.findall(chinese)
    ]
    tables = [len(re.findall(r"^\|", FENCE.sub("", text), re.MULTILINE)) for text in (english, chinese)]
    assert tables[0] == tables[1]


def _commands(block: str) -> list[str]:
    """Return a code block without its comments, which are translated."""
    return [re.sub(r"\s+#.*$", "", line) for line in block.splitlines()]


def test_decisions_are_numbered_dated_and_complete() -> None:
    pages = sorted(path for path in (DOCS / "adr").glob("*.md") if path.name != "README.md")
    numbers = [int(path.name[:4]) for path in pages]
    assert numbers == list(range(1, len(pages) + 1))
    index = (DOCS / "adr" / "README.md").read_text()
    for path in pages:
        text = path.read_text()
        title = re.match(r"# (\d{4}): (.+)\n", text)
        assert title, path.name
        assert title[1] == path.name[:4], path.name
        assert re.search(
            r"^- Status: (proposed|accepted|superseded by \[\d{4}\]\(.+\))$", text, re.MULTILINE
        ), path.name
        assert re.search(r"^- Date: \d{4}-\d{2}-\d{2}$", text, re.MULTILINE), path.name
        sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert sections == ADR_SECTIONS, path.name
        assert f"[{title[1]}]({path.name}) | {title[2]} |" in index, path.name


def test_every_dependency_has_a_line_in_its_decision() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    page = (DOCS / "adr" / "0002-dependencies.md").read_text()
    section = project[project.index("\ndependencies") : project.index("[project.scripts]")]
    run_time = re.findall(r'^  "([\w-]+)>=', section, re.MULTILINE)
    assert run_time
    for name in run_time:
        assert re.search(rf"^\| {name} \|", page, re.MULTILINE), name
    groups = project[project.index("[dependency-groups]") : project.index("[tool.hatch")]
    for name in re.findall(r'"([\w-]+)[>=]=', groups):
        assert re.search(rf"^\| [^|]*\b{name}\b", page, re.MULTILINE), name


def test_headings_step_down_one_level_at_a_time() -> None:
    for page in files(".md"):
        levels = [len(mark) for mark in re.findall(r"^(#+) ", prose(page), re.MULTILINE)]
        if page.is_relative_to(DOCS):
            assert levels.count(1) == 1, f"{page.name}: one title"
        for above, below in pairwise(levels):
            assert below <= above + 1, f"{page.relative_to(ROOT)} skips a heading level"
