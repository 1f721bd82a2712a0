"""Single looks at the Go runtime of a process, for ``goroutines`` and ``conns``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from leadline.app.capabilities import host_info
from leadline.app.collect import CollectOptions, Collector
from leadline.app.probes import HeapSearch, runtime_probes
from leadline.evidence.redaction import redacted
from leadline.host import step_aside

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadline.evidence import Evidence
    from leadline.host import LiveHost

__all__ = ["heap_progress", "look_once"]


def heap_progress() -> Callable[[float], None] | None:
    """Return what shows how much of a heap was searched on stderr; None when that is no terminal."""
    if not sys.stderr.isatty():
        return None

    def show(share: float) -> None:
        sys.stderr.write(
            f"\rsearching the heap: {100 * share:3.0f} %" if share < 1 else "\r" + " " * 30 + "\r"
        )
        sys.stderr.flush()

    return show


def look_once(
    host: LiveHost,
    pid: int,
    *,
    looks: int = 1,
    interval_ns: int = 0,
    search: HeapSearch | None = None,
) -> Evidence:
    """Return goroutines, connections, sockets and descriptors of a process as they are now, without secrets.

    Args:
        host: the machine.
        pid: the process.
        looks: 2 tells goroutines that are parked from busy ones.
        interval_ns: time between the looks.
        search: also search the heap so for what keeps connections reachable that no goroutine uses.

    Raises:
        TargetGone: there is no such process.
    """
    step_aside()
    probes = runtime_probes(search or HeapSearch(when="never"), is_single=looks == 1)
    collector = Collector(host, pid, CollectOptions(duration_ns=0, probes=probes))
    collector.begin()
    if looks > 1:
        time.sleep(interval_ns / 1e9)
    collector.evidence.put(host_info(host, is_traced=True))
    return redacted(collector.finish("duration"))
