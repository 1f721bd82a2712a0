"""What this host allows, as text and as a document; the same words with and without rights."""

from __future__ import annotations

import json
import os
import platform

from leadline.app.capabilities import capabilities_text, host_info
from leadline.host import LiveHost


def test_the_document_names_the_host_and_each_feature_once() -> None:
    document = json.loads(capabilities_text(as_json=True))
    assert document["schema_version"] == 1
    assert (document["kernel"], document["machine"]) == (os.uname().release, platform.machine())
    names = [feature["name"] for feature in document["features"]]
    assert len(names) == len(set(names))
    assert "descriptor_tracing" in names


def test_what_is_missing_says_why_and_what_to_do() -> None:
    for feature in json.loads(capabilities_text(as_json=True))["features"]:
        assert feature["status"]
        assert feature["adds"]
        if feature["status"] == "yes":
            assert feature["remedy"] == "", feature


def test_the_table_shows_every_feature_of_the_document() -> None:
    document = json.loads(capabilities_text(as_json=True))
    text = capabilities_text(as_json=False)
    assert all(
        feature["name"].replace("_", " ") in text.replace("_", " ") for feature in document["features"]
    )


def test_the_host_is_recorded_with_its_features_as_evidence() -> None:
    info = host_info(LiveHost())
    assert info.kernel_release == os.uname().release
    assert info.cpu_count == len(os.sched_getaffinity(0)) or info.cpu_count >= 1
    assert info.features
    assert set(info.features) <= {
        feature["name"] for feature in json.loads(capabilities_text(as_json=True))["features"]
    }
