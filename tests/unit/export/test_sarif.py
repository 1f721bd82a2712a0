from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from house.golden import Golden
from leadline import __version__
from leadline.evidence import Evidence
from leadline.export.sarif import encode
from report_samples import SampleVerdicts, sample_evidence, sample_findings, sample_verdicts

# What SARIF 2.1.0 demands of the objects that we write (OASIS, errata 01, section 3); no other property may appear in them.
TEXT: dict[str, Any] = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}
LOCATION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": -1},
        "message": TEXT,
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "properties": {
                        "uri": {"type": "string", "pattern": "^[!-~]+$"},
                        "uriBaseId": {"type": "string"},
                    },
                    "additionalProperties": False,
                },
                "region": {
                    "type": "object",
                    "properties": {"startLine": {"type": "integer", "minimum": 1}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "logicalLocations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"fullyQualifiedName": {"type": "string"}, "kind": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "semanticVersion": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "properties": {
                                                "id": {"type": "string"},
                                                "name": {"type": "string"},
                                                "shortDescription": TEXT,
                                                "help": TEXT,
                                            },
                                            "additionalProperties": False,
                                        },
                                    },
                                },
                                "additionalProperties": False,
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "originalUriBaseIds": {"type": "object"},
                    "invocations": {
                        "type": "array",
                        "items": {"type": "object", "required": ["executionSuccessful"]},
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "rank": {"type": "number", "minimum": -1, "maximum": 100},
                                "message": TEXT,
                                "locations": {"type": "array", "items": LOCATION},
                                "relatedLocations": {"type": "array", "uniqueItems": True, "items": LOCATION},
                                "partialFingerprints": {
                                    "type": "object",
                                    "additionalProperties": {"type": "string"},
                                },
                                "stacks": {
                                    "type": "array",
                                    "uniqueItems": True,
                                    "items": {
                                        "type": "object",
                                        "required": ["frames"],
                                        "properties": {
                                            "message": TEXT,
                                            "frames": {
                                                "type": "array",
                                                "items": {
                                                    "type": "object",
                                                    "properties": {"location": LOCATION},
                                                    "additionalProperties": False,
                                                },
                                            },
                                        },
                                        "additionalProperties": False,
                                    },
                                },
                                "properties": {"type": "object"},
                            },
                            "additionalProperties": False,
                        },
                    },
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


def results(content: bytes) -> list[dict[str, Any]]:
    log = json.loads(content)
    jsonschema.Draft202012Validator(SCHEMA).validate(log)
    found: list[dict[str, Any]] = log["runs"][0]["results"]
    return found


@pytest.mark.parametrize("root", ["", "/src", "/src/"])
@pytest.mark.parametrize("verdicts", [sample_verdicts(), sample_verdicts(hostile=True), SampleVerdicts()])
def test_logs_are_sarif(verdicts: SampleVerdicts, root: str) -> None:
    assert len(results(encode(sample_evidence(), verdicts, root=root))) == len(verdicts.findings)
    assert results(encode(Evidence(), verdicts, root=root)) is not None


def test_paths_below_the_source_tree_are_relative() -> None:
    def uri(root: str) -> dict[str, str]:
        location = results(encode(sample_evidence(), sample_verdicts(), root=root))[1]["locations"][0][
            "physicalLocation"
        ]
        assert location["region"] == {"startLine": 42}
        place: dict[str, str] = location["artifactLocation"]
        return place

    assert uri("/src") == {"uri": "quotes/quote.go", "uriBaseId": "SRCROOT"}
    assert uri("/sr") == {"uri": "file:///src/quotes/quote.go"}
    assert uri("") == {"uri": "file:///src/quotes/quote.go"}


def test_a_fingerprint_survives_counts_lines_and_build_directories() -> None:
    def fingerprint(**changes: Any) -> str:
        finding = sample_findings()[1]
        site = msgspec.structs.replace(
            finding.sites[0],
            **{key: value for key, value in changes.items() if key in ("line", "file", "function")},
        )
        other = {key: value for key, value in changes.items() if key not in ("line", "file", "function")}
        changed = msgspec.structs.replace(finding, sites=(site, *finding.sites[1:]), **other)
        found: str = results(encode(Evidence(), SampleVerdicts((changed,))))[0]["partialFingerprints"][
            "leadlineSite/v1"
        ]
        return found

    same = fingerprint()
    assert fingerprint(line=99, count=7, title="other words", file="/build/7/quote.go") == same
    assert fingerprint(function="main.other") != same
    assert fingerprint(code="FDL102") != same


def test_severities_become_levels() -> None:
    assert [result["level"] for result in results(encode(Evidence(), sample_verdicts()))] == [
        "warning",
        "error",
    ]


def test_a_finding_without_a_place_has_none() -> None:
    finding = msgspec.structs.replace(sample_findings()[0], sites=())
    result = results(encode(Evidence(), SampleVerdicts((finding,))))[0]
    assert "locations" not in result
    assert "stacks" not in result


def test_golden(golden: Golden) -> None:
    text = (
        encode(sample_evidence(), sample_verdicts(), root="/src")
        .decode()
        .replace(f'ersion": "{__version__}"', 'ersion": "VERSION"')
    )
    golden.check("report/sample.sarif", text)
