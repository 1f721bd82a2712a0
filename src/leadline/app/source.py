"""Lines of source around the sites of a diagnosis, from a tree the user names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from leadline.app.diagnose import Diagnosis
    from leadline.model import Site

__all__ = ["with_source"]

CONTEXT_LINES = 2
MAX_FILE_BYTES = 4 << 20
MAX_DEPTH = 64


def with_source(diagnosis: Diagnosis, tree: Path | None) -> Diagnosis:
    """Return the diagnosis with ``Site.source`` filled where the file is found below ``tree``.

    A file is found by the longest tail of its recorded path that exists in the tree: ``/build/api/client/fetch.go`` matches
    ``tree/api/client/fetch.go``, else ``tree/client/fetch.go``, else ``tree/fetch.go``; module paths with ``@version`` and
    ``-trimpath`` names are matched the same way.
    """
    if tree is None:
        return diagnosis
    lines: dict[str, list[str] | None] = {}

    def fill(site: Site) -> Site:
        if site.file is None or site.line is None:
            return site
        if site.file not in lines:
            lines[site.file] = _read(tree, site.file)
        text = lines[site.file]
        if text is None or not 1 <= site.line <= len(text):
            return site
        first, last = max(1, site.line - CONTEXT_LINES), min(len(text), site.line + CONTEXT_LINES)
        return msgspec.structs.replace(
            site, source=tuple((number, text[number - 1]) for number in range(first, last + 1))
        )

    findings = tuple(
        msgspec.structs.replace(f, sites=tuple(fill(site) for site in f.sites)) for f in diagnosis.findings
    )
    return dataclasses.replace(diagnosis, findings=findings)


def _read(tree: Path, recorded: str) -> list[str] | None:
    """Return the lines of the file that the longest matching tail names, None when there is none or it leaves the tree."""
    parts = [part for part in Path(recorded).parts if part not in ("/", "..", ".")][-MAX_DEPTH:]
    root = tree.resolve()
    for start in range(len(parts)):
        try:
            candidate = tree.joinpath(
                *parts[start:]
            ).resolve()  # a link may lead elsewhere, and leadline may be root
            if not candidate.is_relative_to(root) or not candidate.is_file():
                continue
            if candidate.stat().st_size <= MAX_FILE_BYTES:
                return candidate.read_text(encoding="utf-8", errors="replace").splitlines()
        except (
            OSError,
            ValueError,
        ):  # unreadable, or a name that no file can have: the target's binary says what it likes
            continue
    return None
