"""What a program does with each of its connections, once or again and again."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.app.runtime import look_once
from leadline.app.targets import resolve
from leadline.evidence.kinds import Descriptor, GoRuntime
from leadline.formats.procstat import parse_stat
from leadline.host import LiveHost
from leadline.model import Gap, Malformed, TargetGone, UsageError
from leadline.report.connections import SORTS, connection_rows, sorted_rows
from leadline.report.connections_text import render_connections

if TYPE_CHECKING:
    from leadline.app.probes import HeapSearch
    from leadline.app.targets import FoundTarget
    from leadline.evidence import Evidence

__all__ = ["ConnsOptions", "show_connections"]

SHOWN = 50
WIDE = 250
"""Columns when the output goes to a file or pipe."""
_CLEAR = "\x1b[H\x1b[2J"


@dataclass(frozen=True, slots=True)
class ConnsOptions:
    """What was asked for.

    Attributes:
        sort: one of ``SORTS``.
        limit: rows to show; None for 50 on a terminal and all elsewhere.
        interval_ns: look again after so long, until Ctrl-C; None is one look.
        search: search the heap so for what keeps connections reachable; None does not.
    """

    sort: str = "activity"
    limit: int | None = None
    json: bool = False
    interval_ns: int | None = None
    search: HeapSearch | None = None


def show_connections(target: str, options: ConnsOptions) -> int:
    """Print the connections of a process; return the exit status: 0, or 2 when they or its runtime could not be read.

    Raises:
        UsageError: the target names no process, or several; or there is no such order.
    """
    if options.sort not in SORTS:
        raise UsageError(f"cannot sort by {options.sort!r}", remedy=f"sort by one of: {', '.join(SORTS)}")
    host = LiveHost()
    found = resolve(host, target)
    while True:
        started_s = time.monotonic()
        evidence = look_once(host, found.pid, search=options.search)
        sys.stdout.write(_document(evidence, options) if options.json else _text(evidence, options))
        sys.stdout.flush()
        if options.interval_ns is None:
            return 0 if evidence.all(GoRuntime) and evidence.get(Descriptor) is not None else 2
        try:
            time.sleep(max(options.interval_ns / 1e9 - (time.monotonic() - started_s), 0.1))
        except KeyboardInterrupt:
            return 0
        if not _is_there(host, found):
            raise TargetGone(f"process {found.pid} has ended")


def _is_there(host: LiveHost, found: FoundTarget) -> bool:
    """Return whether the very process still runs: its number may have a new owner, or its parent not have noticed its end."""
    try:
        stat = parse_stat(host.read_proc(f"{found.pid}/stat"))
    except (TargetGone, Malformed):
        return False
    return stat.state not in {"Z", "X"} and stat.start_ticks == found.start_ticks


def _text(evidence: Evidence, options: ConnsOptions) -> str:
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((80, 24)).columns if is_terminal else WIDE
    rows = sorted_rows(connection_rows(evidence), options.sort)
    text = render_connections(
        rows,
        width=width,
        color=is_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb",
        limit=options.limit if options.limit is not None else SHOWN if is_terminal else None,
        notes=_notes(evidence),
        is_seen=evidence.get(Descriptor) is not None,
    )
    return f"{_CLEAR if options.interval_ns is not None and is_terminal else ''}{text}"


def _notes(evidence: Evidence) -> list[str]:
    """Return what could not be seen, one sentence each."""
    gaps = evidence.all(Gap)
    if not gaps and not evidence.all(GoRuntime):
        return ["not a Go program: what is done with its connections is not known"]
    return [f"not seen: {gap.what}: {gap.detail}; {gap.remedy}".rstrip("; ") for gap in gaps]


def _document(evidence: Evidence, options: ConnsOptions) -> str:
    from leadline.export.json_document import encode_value  # noqa: PLC0415

    rows = sorted_rows(connection_rows(evidence), options.sort)
    gaps = [
        {"what": gap.what, "reason": gap.reason.value, "detail": gap.detail, "remedy": gap.remedy}
        for gap in evidence.all(Gap)
    ]
    document = {"schema_version": 1, "connections": [dataclasses.asdict(row) for row in rows], "gaps": gaps}
    return encode_value(document).decode()
