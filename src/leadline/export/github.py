"""Findings as GitHub workflow commands, which become annotations beside the lines of a pull request."""

from __future__ import annotations

from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.export._places import main_module, place_of
from leadline.model import Finding, Severity, printable

__all__ = ["encode"]

_COMMANDS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "notice",
    Severity.INFO: "notice",
}


def encode(evidence: Evidence, verdicts: Verdicts, *, root: str = "") -> bytes:
    """Return one line per finding, most severe first; nothing without findings.

    Args:
        evidence: for the main module, whose files are relative when it was built with ``-trimpath``.
        verdicts: findings become ``::error``, ``::warning`` or ``::notice``.
        root: absolute path of the checkout; annotations need paths relative to it.
    """
    module = main_module(evidence)
    return "".join(_command(finding, root, module) for finding in verdicts.findings).encode()


def _command(finding: Finding, root: str, module: str) -> str:
    places = [
        place for site in finding.sites if (place := place_of(site, root=root, module=module)) is not None
    ]
    best = next((place for place in places if place.is_relative), places[0] if places else None)
    properties = [] if best is None else [("file", best.path), ("line", str(best.line))]
    properties.append(("title", f"{finding.code} {finding.name}"))
    text = "\n".join(
        printable(line) for line in f"{finding.title}\n{finding.explanation}\n{finding.remedy}".split("\n")
    )
    listed = ",".join(f"{key}={_escape_property(printable(value))}" for key, value in properties)
    return f"::{_COMMANDS[finding.severity]} {listed}::{_escape(text)}\n"


def _escape(text: str) -> str:
    """Escape as the runner expects (actions/toolkit, packages/core/src/command.ts, escapeData)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
