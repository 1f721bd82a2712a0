"""Where a finding points to, in the words of tools that know files and lines only."""

from __future__ import annotations

from dataclasses import dataclass

from leadline.evidence import Evidence
from leadline.evidence.queries import target
from leadline.model import Finding, Site, printable

__all__ = ["Place", "fingerprint_parts", "main_module", "place_of", "relative_path"]


@dataclass(frozen=True, slots=True)
class Place:
    """A file and a line; ``is_relative`` when the path is below the source tree."""

    path: str
    line: int
    is_relative: bool


def main_module(evidence: Evidence) -> str:
    """Return the main module of the target, as ``-trimpath`` puts it before its files; "" when unknown."""
    process = target(evidence)
    return "" if process is None else process.main_module or ""


def relative_path(file: str, *, root: str, module: str) -> str | None:
    """Return a path below the source tree, or None when the file is elsewhere.

    Args:
        file: as recorded in the binary: absolute, or ``module/path/file.go`` when built with ``-trimpath``.
        root: absolute path of the source tree; "" when unknown.
        module: path of the main module; "" when unknown.

    >>> relative_path("/src/api/main.go", root="/src", module="")
    'api/main.go'
    >>> relative_path("example.com/api/db/x.go", root="", module="example.com/api")
    'db/x.go'
    """
    for prefix in (root, module):
        start = prefix.rstrip("/") + "/"
        if prefix and file.startswith(start) and "/../" not in file:
            return file.removeprefix(start)
    return None


def place_of(site: Site, *, root: str, module: str) -> Place | None:
    """Return a site's place; None without file or line."""
    if site.file is None or site.line is None:
        return None
    inside = relative_path(site.file, root=root, module=module)
    return Place(printable(inside or site.file), site.line, inside is not None)


def fingerprint_parts(finding: Finding) -> tuple[str, ...]:
    """Return what identifies a finding from run to run: no counts, no line numbers, no build directory."""
    site = next(
        (site for site in finding.sites if site.file is not None), finding.sites[0] if finding.sites else None
    )
    if site is None:
        return (finding.code, finding.kind or "")
    return (finding.code, finding.kind or "", site.role, site.function, (site.file or "").rpartition("/")[2])
