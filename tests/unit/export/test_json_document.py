from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import msgspec
import pytest

from house.golden import Golden
from leadline import __version__
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Connection,
    Descriptor,
    DescriptorKind,
    GoRuntime,
    Origin,
    ProcessInfo,
    Retention,
    RetentionRoot,
)
from leadline.export.json_document import document, encode, encode_value, schema
from leadline.model import SiteFrame
from report_samples import HOSTILE, SampleVerdicts, sample_evidence, sample_verdicts


def check(value: Any) -> None:
    jsonschema.Draft202012Validator(schema()).validate(value)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    ("evidence", "verdicts"),
    [
        (sample_evidence(), sample_verdicts()),
        (sample_evidence(hostile=True, sockets=30), sample_verdicts(hostile=True)),
        (sample_evidence(leaking=False), SampleVerdicts()),
        (Evidence(), SampleVerdicts()),
    ],
)
def test_documents_follow_the_schema(evidence: Evidence, verdicts: SampleVerdicts) -> None:
    check(json.loads(encode(evidence, verdicts)))


def remove(path: str) -> Any:
    def change(value: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            value = value[int(step)] if step.isdecimal() else value[step]
        del value[last]

    return change


def put(path: str, new: Any) -> Any:
    def change(value: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            value = value[int(step)] if step.isdecimal() else value[step]
        value[last] = new

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("schema_version", 2),
        remove("findings"),
        remove("self"),
        remove("findings.0.because"),
        put("findings.0.because", []),
        put("findings.0.severity", "fatal"),
        put("findings.0.confidence", 1.5),
        put("findings.0.code", "X1"),
        put("findings.0.kind", "socket"),
        put("findings.0.sites.0.line", 0),
        put("findings.0.sites.0.stack.0.role", "own"),
        put("gaps.0.reason", "broken"),
        put("gaps.0.lost_count", -1),
        put("window.mode", "strace"),
        put("not_judged.0.missing", ""),
        put("descriptors.by_kind", {"tcp": "many"}),
        put("birthplaces.0.alive", None),
    ],
)
def test_the_schema_refuses_what_is_not_a_report(change: Any) -> None:
    value = json.loads(encode(sample_evidence(), sample_verdicts()))
    check(copy.deepcopy(value))
    change(value)
    with pytest.raises(jsonschema.ValidationError):
        check(value)


def test_names_are_kept_and_harmless_on_a_terminal() -> None:
    content = encode(sample_evidence(hostile=True), sample_verdicts(hostile=True))
    text = content.decode()
    assert all(character == "\n" or character.isprintable() for character in text)
    assert json.loads(content)["target"]["comm"] == HOSTILE


def test_bytes_that_are_not_utf8_do_not_break_the_document() -> None:
    evidence = Evidence()
    evidence.put(ProcessInfo(pid=1, start_boot_ns=0, comm="\udcff\U000e0041"))
    evidence.put_all(
        Descriptor,
        [
            Descriptor(
                pid=1,
                fd=fd,
                file_ref=1,
                kind=DescriptorKind.FILE,
                origin=Origin.BEFORE,
                name="/caf\udce9",
                seen_since_mono_ns=0,
            )
            for fd in (3, 4)
        ],
    )
    value = json.loads(encode(evidence, SampleVerdicts()))
    assert value["target"]["comm"] == "\\xff\U000e0041"
    assert value["descriptors"]["duplicates"][0]["name"] == "/caf\\xe9"


def test_unknown_is_null_and_never_zero() -> None:
    evidence = Evidence()
    evidence.put(ProcessInfo(pid=1, start_boot_ns=0, comm="a"))
    value = document(evidence, SampleVerdicts())
    assert (value["window"], value["self"], value["target"]["open_descriptors"]) == (None, None, None)


def test_children_are_counted_apart() -> None:
    evidence = sample_evidence()
    evidence.put(ProcessInfo(pid=4712, parent_pid=4711, start_boot_ns=0, comm="child"))
    value = document(evidence, SampleVerdicts())
    assert [(child["pid"], child["open_descriptors"]) for child in value["children"]] == [(4712, 0)]
    assert value["target"]["open_descriptors"] == 33


def test_encoding_is_plain_and_stable() -> None:
    assert (
        encode_value({"a": ["é", "\x9b", "\U0001f642"]})
        == '{\n  "a": [\n    "é",\n    "\\u009b",\n    "🙂"\n  ]\n}\n'.encode()
    )
    assert encode(sample_evidence(), sample_verdicts()) == encode(sample_evidence(), sample_verdicts())


def test_golden(golden: Golden) -> None:
    text = (
        encode(sample_evidence(), sample_verdicts())
        .decode()
        .replace(f'"leadline": "{__version__}"', '"leadline": "VERSION"')
    )
    golden.check("report/sample.json", text)


def test_the_runtime_and_what_it_holds_are_told_by_the_schema() -> None:
    evidence = Evidence()
    evidence.put(GoRuntime(pid=7, source="memory", go_version="go1.26.8", goroutines=23))
    frame = SiteFrame(function="main.fetch", file="fetch.go", line=12, role="app")
    evidence.put(Connection(pid=7, fd=6, role="client", protocol="http/1.1", activity="idle", goids=(3, 4)))
    evidence.put(Connection(pid=7, fd=5, role="client", protocol="sql", activity="in-use", site=frame))
    root = RetentionRoot(kind="global", name="main.registry", path=("map", "net.Conn"))
    evidence.put(Retention(pid=7, fd=8, verdict="reachable", roots=(root,)))
    told = json.loads(encode(evidence, SampleVerdicts()))
    check(told)
    assert told["runtime"]["goroutines"] == 23
    assert [one["fd"] for one in told["connections"]] == [5, 6]
    assert told["connections"][0]["site"]["function"] == "main.fetch"
    assert told["retention"][0]["roots"][0]["path"] == ["map", "net.Conn"]


@pytest.mark.parametrize(
    ("name", "kind"), [("runtime", GoRuntime), ("connection", Connection), ("retention", Retention)]
)
def test_the_schema_has_every_field_of_the_runtime_kinds(name: str, kind: type[msgspec.Struct]) -> None:
    told = schema()["$defs"][name]
    assert set(told["properties"]) == set(kind.__struct_fields__) == set(told["required"])
