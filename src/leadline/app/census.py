"""One look at the descriptors of one process, or of all that may be read."""

from __future__ import annotations

from leadline.app.case import Case
from leadline.app.collect import CollectOptions, Collector
from leadline.app.diagnose import diagnose
from leadline.app.probes import census_probes
from leadline.app.targets import resolve
from leadline.host import LiveHost

__all__ = ["census_all", "census_target"]


def census_target(target: str) -> Case:
    """Return the descriptors of one process, judged by the rules that need a single look only.

    Raises:
        UsageError: the target names no process, or several. NotPermitted: it may not be read at all.
    """
    host = LiveHost()
    found = resolve(host, target)
    collector = Collector(host, found.pid, CollectOptions(duration_ns=0, probes=census_probes()))
    collector.begin()
    evidence = collector.finish("duration")
    return Case(evidence=evidence, diagnosis=diagnose(evidence), subject=target)
