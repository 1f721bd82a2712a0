"""Findings as SARIF 2.1.0, for code hosts and review tools."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from leadline import __version__
from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.export._places import fingerprint_parts, main_module, place_of
from leadline.export.json_document import encode_value
from leadline.model import Finding, Severity, Site, SiteFrame, printable

__all__ = ["encode"]

_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# GitHub sorts by this number: 9.0 and more is critical, 7.0 high, 4.0 medium.
_RANKS = {
    Severity.CRITICAL: 95.0,
    Severity.HIGH: 80.0,
    Severity.MEDIUM: 50.0,
    Severity.LOW: 25.0,
    Severity.INFO: 5.0,
}


def encode(evidence: Evidence, verdicts: Verdicts, *, root: str = "") -> bytes:
    """Return a SARIF log with one run.

    Args:
        evidence: for the main module, whose files are relative when it was built with ``-trimpath``.
        verdicts: findings become results; what could not be judged becomes notifications.
        root: absolute path of the source tree; files below it get relative paths.
    """
    module = main_module(evidence)
    codes = sorted({finding.code for finding in verdicts.findings})
    names = {finding.code: finding.name for finding in verdicts.findings}
    driver = {
        "name": "leadline",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(code, names[code]) for code in codes],
    }
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(finding, codes.index(finding.code), root, module) for finding in verdicts.findings
        ],
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {
                        "level": "note",
                        "descriptor": {"id": verdict.code},
                        "message": {
                            "text": printable(f"not judged: {verdict.missing}. {verdict.remedy}".strip())
                        },
                    }
                    for verdict in verdicts.not_judged
                ],
            }
        ],
    }
    if root:
        run["originalUriBaseIds"] = {"SRCROOT": {"uri": f"file://{quote(root.rstrip('/'))}/"}}
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return encode_value(log)


def _rule(code: str, name: str) -> dict[str, Any]:
    words = name.split("-")
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in words),
        "shortDescription": {"text": f"{' '.join(words).capitalize()}."},
        "help": {"text": f"leadline explain {code}"},
    }


def _result(finding: Finding, index: int, root: str, module: str) -> dict[str, Any]:
    message = f"{finding.title}. {finding.explanation} {finding.remedy}".replace("\n", " ")
    located = [
        (site, location) for site in finding.sites if (location := _location(site, root, module)) is not None
    ]
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "rank": _RANKS[finding.severity],
        "message": {"text": printable(message)},
        "partialFingerprints": {
            "leadlineSite/v1": hashlib.sha256(
                "\0".join(fingerprint_parts(finding)).encode("utf-8", "replace")
            ).hexdigest()
        },
        "properties": {
            "severity": finding.severity.value,
            "confidence": finding.confidence,
            "kind": finding.kind,
            "count": finding.count,
            "rate_per_s": finding.rate_per_s,
        },
    }
    if located:
        result["locations"] = [located[0][1]]
    if len(located) > 1:
        result["relatedLocations"] = [
            location | {"id": number, "message": {"text": printable(f"{site.role}: {site.function}")}}
            for number, (site, location) in enumerate(located[1:], 1)
        ]
    stacks = [_stack(site, root, module) for site in finding.sites if site.stack]
    if stacks:
        result["stacks"] = stacks
    return result


def _location(site: Site, root: str, module: str) -> dict[str, Any] | None:
    place = place_of(site, root=root, module=module)
    if place is None:
        return None
    artifact: dict[str, Any] = {"uri": _uri(place.path)}
    if place.is_relative and root:
        artifact["uriBaseId"] = "SRCROOT"
    return {
        "physicalLocation": {"artifactLocation": artifact, "region": {"startLine": max(place.line, 1)}},
        "logicalLocations": [{"fullyQualifiedName": printable(site.function), "kind": "function"}],
    }


def _stack(site: Site, root: str, module: str) -> dict[str, Any]:
    frames = []
    for frame in site.stack:
        location = _location(_as_site(frame), root, module)
        named = {"logicalLocations": [{"fullyQualifiedName": printable(frame.function), "kind": "function"}]}
        frames.append({"location": location or named})
    return {"message": {"text": printable(f"{site.role}, innermost call first")}, "frames": frames}


def _as_site(frame: SiteFrame) -> Site:
    return Site(function=frame.function, file=frame.file, line=frame.line, role=frame.role)


def _uri(path: str) -> str:
    return f"file://{quote(path)}" if path.startswith("/") else quote(path)
