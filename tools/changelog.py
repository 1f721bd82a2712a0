"""Build CHANGELOG.md from the fragments in changelog.d.

A fragment is one file, ``changelog.d/<slug>.<kind>.md``, with one or more sentences for users; kind is one of added, changed,
fixed, removed, security. Without arguments the "Unreleased" section is printed. ``release VERSION DAY`` moves the fragments into
CHANGELOG.md under that heading and deletes them.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("added", "changed", "fixed", "removed", "security")
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.(?P<kind>added|changed|fixed|removed|security)\.md")
MARK = "<!-- releases below, newest first -->\n"


def problems(path: Path) -> list[str]:
    """Return what is wrong with a fragment; empty when nothing is."""
    found = []
    if not NAME.fullmatch(path.name):
        found.append(f"{path.name}: the name must be <slug>.<kind>.md, kind one of {', '.join(KINDS)}")
    text = path.read_text()
    if not text.strip() or text != text.strip() + "\n":
        found.append(f"{path.name}: one newline at the end, no empty lines around")
    if text.lstrip().startswith(("-", "*", "#")):
        found.append(f"{path.name}: write sentences, no list mark and no heading")
    if not text.rstrip().endswith((".", "!", ")")):
        found.append(f"{path.name}: end with a full stop")
    return found


def section(folder: Path) -> str:
    """Return the fragments of a folder as Markdown, by kind, in the order of their names."""
    lines: list[str] = []
    for kind in KINDS:
        entries = sorted(folder.glob(f"*.{kind}.md"))
        if entries:
            lines += [f"### {kind.capitalize()}", ""]
            lines += ["- " + path.read_text().strip().replace("\n", "\n  ") for path in entries]
            lines.append("")
    return "\n".join(lines)


def release(root: Path, version: str, day: str) -> None:
    """Move the fragments into CHANGELOG.md under a heading of their own, and delete them.

    Raises:
        ValueError: the version or the day is malformed, or the version is there already.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
        raise ValueError("write release 1.2.3 2026-12-31")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text()
    if f"## {version} " in text:
        raise ValueError(f"{version} is in CHANGELOG.md already")
    body = f"{MARK}\n## {version} ({day})\n\n{section(root / 'changelog.d')}"
    changelog.write_text(text.replace(MARK, body))
    for path in (root / "changelog.d").glob("*.md"):
        path.unlink()


def main() -> int:
    """Print the unreleased section, or make a release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", nargs="?", choices=["show", "release"], default="show")
    parser.add_argument("version", nargs="?", default="")
    parser.add_argument("day", nargs="?", default="")
    given = parser.parse_args()
    wrong = [problem for path in sorted((ROOT / "changelog.d").glob("*")) for problem in problems(path)]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    if given.action == "release":
        release(ROOT, given.version, given.day)
    else:
        print(f"## Unreleased\n\n{section(ROOT / 'changelog.d')}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
