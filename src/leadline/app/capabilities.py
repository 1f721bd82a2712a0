"""What this host and these rights allow, and what each missing one would add."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import msgspec

from leadline.host import LiveHost
from leadline.host.features import probe_features, read_host_info
from leadline.probes.trace_descriptors.tracker import Tracker
from leadline.report.capabilities import render_capabilities

if TYPE_CHECKING:
    from leadline.evidence.kinds import HostInfo

__all__ = ["capabilities_text", "host_info"]

MAX_WIDTH = 100


def capabilities_text(*, as_json: bool) -> str:
    """Return the features of this host as text or as a JSON document."""
    host = LiveHost()
    features = probe_features(host, lambda: Tracker(host.bpf()).close())
    if not as_json:
        width = min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        rows = [(one.name, one.status, one.adds, one.remedy) for one in features]
        return render_capabilities(rows, width=width, color=color)
    info = read_host_info(host, features)
    documents = [
        {"name": one.name, "status": one.status, "adds": one.adds, "remedy": one.remedy} for one in features
    ]
    document = {
        "schema_version": 1,
        "kernel": info.kernel_release,
        "machine": info.machine,
        "features": documents,
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"


def host_info(host: LiveHost, *, is_traced: bool = False) -> HostInfo:
    """Return the machine as evidence; features are tried one by one (0.4 s) only when tracing did not work anyway."""
    return read_host_info(host, [] if is_traced else probe_features(host))
