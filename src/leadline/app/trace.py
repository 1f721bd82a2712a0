"""Watch a live process: collect, show progress, judge."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leadline.app.capabilities import host_info
from leadline.app.case import Case
from leadline.app.collect import CollectOptions, Collector, Stopper
from leadline.app.diagnose import decided, diagnose
from leadline.app.probes import HeapSearch, trace_probes
from leadline.app.source import with_source
from leadline.app.targets import resolve
from leadline.evidence.kinds import ProcessInfo
from leadline.evidence.redaction import redacted
from leadline.host import LiveHost, step_aside
from leadline.model import printable
from leadline.report.live import LiveDisplay, Progress, ProgressPlace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leadline.evidence import Evidence

__all__ = ["TraceOptions", "judged", "progress_of", "trace_target", "watching"]

SHOWN_PLACES = 5


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """How to trace.

    Attributes:
        duration_ns: length of the window, or its limit with ``until_sure``.
        source: tree with the target's source, for code frames.
        runtime: how to search the heap of a Go target; None leaves its runtime alone.
    """

    duration_ns: int
    follow: bool = False
    until_sure: bool = False
    uprobes: bool = True
    source: Path | None = None
    runtime: HeapSearch | None = field(default_factory=HeapSearch)


def trace_target(target: str, options: TraceOptions) -> Case:
    """Return the judged case of a live process.

    Raises:
        UsageError: the target names no process, or several. TargetGone: it ended before anything was seen.
    """
    host = LiveHost()
    found = resolve(host, target)
    step_aside()
    probes = trace_probes(follow=options.follow, uprobes=options.uprobes, runtime=options.runtime)
    collector = Collector(
        host, found.pid, CollectOptions(duration_ns=options.duration_ns, follow=options.follow, probes=probes)
    )
    stopper = Stopper()
    with interruptible(stopper):
        collector.begin()
        note = f" ({found.note})" if found.note else ""
        print(
            f"watching {printable(found.comm)} (pid {found.pid}){note}; Ctrl-C ends early and reports",
            file=sys.stderr,
            flush=True,
        )
        with watching() as display:
            collector.run(
                stopper,
                lambda now: display.show(progress_of(now, options.duration_ns)),
                decided if options.until_sure else None,
            )
        evidence = collector.finish(stopper.reason)
    evidence.put(host_info(host, is_traced=collector.is_traced))
    return judged(evidence, target, options.source)


def judged(evidence: Evidence, subject: str, source: Path | None) -> Case:
    """Return the case of evidence that was just collected; secrets are taken out here, before anything shows or keeps it."""
    kept = redacted(evidence)
    return Case(evidence=kept, diagnosis=with_source(diagnose(kept), source), subject=subject, source=source)


@contextlib.contextmanager
def interruptible(stopper: Stopper) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the window instead of the program, while the block runs."""
    before = {
        number: signal.signal(number, lambda *_: stopper.stop("interrupt"))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watching() -> LiveDisplay:
    """Return the display of progress on stderr."""
    columns = shutil.get_terminal_size((80, 24)).columns
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return LiveDisplay(
        sys.stderr, is_terminal=is_terminal, width=min(columns, 100), color="NO_COLOR" not in os.environ
    )


def progress_of(collector: Collector, limit_ns: int | None) -> Progress:
    """Return how a watch stands."""
    tracer = collector.tracer()
    sample = None if tracer is None else tracer.alive_now()
    process = collector.evidence.first(ProcessInfo)
    places = () if tracer is None else tuple(ProgressPlace(*row) for row in tracer.top(SHOWN_PLACES))
    return Progress(
        elapsed_ns=collector.elapsed_ns(),
        limit_ns=limit_ns,
        alive=None if sample is None else sample.alive,
        soft_limit=None if process is None else process.nofile_soft,
        births=None if sample is None else sample.births,
        deaths=None if sample is None else sample.deaths,
        places=places,
    )
