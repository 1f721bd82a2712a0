"""The files of the repository, as the tests of its promises see them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

__all__ = ["ROOT", "SRC", "files", "text_files"]

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "leadline"
_GENERATED_FOLDERS = frozenset({".venv", ".cache", "dist", "build", ".git", "__pycache__", ".hypothesis"})


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Return the files that git knows or would add, sorted; all of them, or those with one of the suffixes."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    if done.returncode == 0:
        found = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    else:  # An unpacked archive, or somebody else's checkout.
        found = [
            path for path in ROOT.rglob("*") if not _GENERATED_FOLDERS & set(path.relative_to(ROOT).parts)
        ]
    return tuple(
        sorted(path for path in found if path.is_file() and (not suffixes or path.suffix in suffixes))
    )


def text_files() -> list[tuple[Path, str]]:
    """Return every file that is UTF-8 text, with its text."""
    found = []
    for path in files():
        content = path.read_bytes()
        if b"\0" in content[:8192]:
            continue
        try:
            found.append((path, content.decode()))
        except UnicodeDecodeError:
            continue
    return found
