"""Verdicts as JUnit XML: findings fail, healthy subjects pass, what could not be judged is skipped."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import Window
from leadline.evidence.queries import target
from leadline.export._places import main_module, place_of
from leadline.model import Finding, Severity, printable

__all__ = ["encode"]


def encode(evidence: Evidence, verdicts: Verdicts, *, root: str = "") -> bytes:
    """Return one test suite; findings of severity info pass, with their text as output.

    Args:
        evidence: for the name of the target and the length of the window.
        verdicts: one test case each.
        root: absolute path of the source tree; files below it get relative paths.
    """
    window = evidence.first(Window)
    process = target(evidence)
    failing = [finding for finding in verdicts.findings if finding.severity is not Severity.INFO]
    total = len(verdicts.findings) + len(verdicts.cleared) + len(verdicts.not_judged)
    seconds = "0" if window is None else f"{window.duration_ns / 1e9:.3f}"
    name = "leadline" if process is None else f"leadline {printable(process.comm)}"
    counts = {
        "tests": str(total),
        "failures": str(len(failing)),
        "errors": "0",
        "skipped": str(len(verdicts.not_judged)),
        "time": seconds,
    }
    suites = ET.Element("testsuites", {"name": "leadline", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": name, **counts})
    module = main_module(evidence)
    for finding in verdicts.findings:
        case = _case(suite, finding.code, finding.name, finding.title)
        site = next(
            (
                place
                for site in finding.sites
                if (place := place_of(site, root=root, module=module)) is not None
            ),
            None,
        )
        if site is not None:
            case.set("file", site.path)
            case.set("line", str(site.line))
        if finding.severity is Severity.INFO:
            ET.SubElement(case, "system-out").text = _body(finding)
        else:
            failure = ET.SubElement(
                case, "failure", {"message": printable(finding.title), "type": finding.severity.value}
            )
            failure.text = _body(finding)
    for cleared in verdicts.cleared:
        case = _case(suite, cleared.code, cleared.name, cleared.subject)
        ET.SubElement(case, "system-out").text = printable(
            f"{cleared.pattern}: {cleared.reason}".removeprefix(": ")
        )
    for verdict in verdicts.not_judged:
        case = _case(suite, verdict.code, verdict.name, verdict.subject or "the whole rule")
        ET.SubElement(
            case,
            "skipped",
            {"message": printable(f"missing: {verdict.missing}; {verdict.remedy}".removesuffix("; "))},
        )
    ET.indent(suites)
    text: str = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _case(suite: ET.Element, code: str, name: str, subject: str) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", {"classname": f"leadline.{code}.{name}", "name": printable(subject), "time": "0"}
    )


def _body(finding: Finding) -> str:
    lines = [finding.explanation, *(f"because ({one.layer.value}): {one.says}" for one in finding.because)]
    lines += [f"against ({one.layer.value}): {one.says}" for one in finding.against]
    for site in finding.sites:
        lines.append(
            f"{site.role}: {site.function} {site.file or ''}{f':{site.line}' if site.line else ''}".rstrip()
        )
        lines += [f"    {frame.function} {frame.file or '?'}:{frame.line or 0}" for frame in site.stack]
    lines += [f"do: {finding.remedy}", f"verify: {finding.verify}"]
    return "\n" + "\n".join(printable(line) for text in lines for line in text.split("\n")) + "\n"
