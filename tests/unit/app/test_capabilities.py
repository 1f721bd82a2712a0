"""What this host allows, with a remedy for what it does not."""

from __future__ import annotations

import json
import platform

from leadline.app.capabilities import capabilities_text, host_info
from leadline.host import LiveHost


def test_the_document_describes_this_host() -> None:
    document = json.loads(capabilities_text(as_json=True))
    assert document["kernel"] == platform.release()
    assert document["machine"] == platform.machine()
    for feature in document["features"]:
        assert feature["status"] == "yes" or feature["remedy"], feature["name"]


def test_features_are_tried_only_when_tracing_did_not_work() -> None:
    assert host_info(LiveHost(), is_traced=True).features == {}
    assert host_info(LiveHost(), is_traced=False).features
