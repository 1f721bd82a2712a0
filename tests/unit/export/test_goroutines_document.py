from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from goroutine_samples import READERS, S, sample_goroutines
from leadline.app.diagnose import diagnose
from leadline.app.dump import dump_evidence
from leadline.evidence import Evidence
from leadline.export.goroutines_document import SCHEMA_VERSION, encode
from leadline.formats.godump import parse_dumps

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"


def loaded(evidence: Evidence, **options: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode(evidence, **options))
    return value


def test_groups_have_numbers_places_and_all_goroutine_ids() -> None:
    value = loaded(sample_goroutines())
    assert value["schema_version"] == SCHEMA_VERSION
    group = value["groups"][0]
    assert (group["count"], group["state"], group["leaked"]) == (READERS, "IO wait", False)
    assert group["longest_known_wait_ns"] == 79 * 60 * S
    assert (group["parked"], group["moved"], group["new"]) == (20, 3, 0)
    assert group["site"]["function"] == "main.(*session).read"
    assert [frame["line"] for frame in group["stack"]] == [351, 194, 42, 20]
    assert group["created_by"] == [
        {
            "function": "main.serve",
            "file": "/src/api/server.go",
            "line": 12,
            "role": "app",
            "inlined": False,
            "count": READERS,
        }
    ]
    assert group["goroutines"] == list(range(100, 100 + READERS))
    assert value["process"]["pid"] == 4711
    assert value["runtime"]["goroutines"] == READERS + 4
    assert value["descriptors"][0]["reader_goid"] == 100
    assert value["gaps"][0]["what"] == "labels of 3 goroutines"
    assert "goroutines" not in value


def test_full_lists_each_goroutine_and_stack() -> None:
    value = loaded(sample_goroutines(), full=True)
    assert len(value["goroutines"]) == READERS + 4
    assert {one["stack"] for one in value["goroutines"]} - {None} <= {
        stack["id"] for stack in value["stacks"]
    }
    assert next(one for one in value["goroutines"] if one["goid"] == 9)["syscall"] == "read"


def test_verdicts_stand_beside_when_they_were_made() -> None:
    evidence = sample_goroutines()
    value = loaded(evidence, verdicts=diagnose(evidence), more={"diff": {"before": 3}})
    assert {"findings", "cleared", "not_judged"} <= value.keys()
    assert value["diff"] == {"before": 3}


def test_counts_have_no_state_and_no_ids() -> None:
    value = loaded(dump_evidence(parse_dumps((DUMPS / "go1.24-debug1.txt").read_bytes())))
    assert value["process"] is None
    assert (value["groups"][0]["count"], value["groups"][0]["state"], value["groups"][0]["goroutines"]) == (
        3,
        None,
        [],
    )
    assert sum(group["count"] for group in value["groups"]) == 21
    labelled = [group["labels"] for group in value["groups"] if group["labels"]]
    assert labelled == [
        [{"key": "task", "value": "t1", "count": 1}, {"key": "user name", "value": 'a"b', "count": 1}]
    ]
