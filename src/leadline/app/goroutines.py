"""Show the goroutines of a live process, read from outside or asked from its own endpoint."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from leadline.app.cases import check_writable, write_case, write_file
from leadline.app.dump import goroutine_text
from leadline.contracts import gap_of
from leadline.evidence import Evidence
from leadline.evidence.kinds import Goroutine, GoRuntime
from leadline.evidence.queries import stacks
from leadline.formats.godump_text import iter_dump
from leadline.model import Gap, LeadlineError, UsageError, printable

if TYPE_CHECKING:
    from leadline.report.goroutines import GoroutinesView

__all__ = ["GoroutinesOptions", "read_goroutines", "rendered", "show_goroutines", "with_leaks"]

MAX_WIDTH = 120
WIDE = 200
"""Columns when the output goes to a file or pipe."""


@dataclass(frozen=True, slots=True)
class GoroutinesOptions:
    """What was asked for.

    Attributes:
        view: ``group``, ``full``, ``by-fd`` or ``text``.
        limit: groups or descriptors to show; 0 for all.
        interval_ns: look again after so long; None is one look.
        from_pprof: URL to ask instead of reading memory.
        leaks_from_pprof: URL to ask, after the look, which goroutines can never go on.
        pprof, case: files to write.
    """

    view: str = "group"
    limit: int = 20
    interval_ns: int | None = None
    json: bool = False
    from_pprof: str | None = None
    leaks_from_pprof: str | None = None
    pprof: Path | None = None
    case: Path | None = None
    force: bool = False
    verbose: bool = False


def show_goroutines(target: str | None, options: GoroutinesOptions) -> int:
    """Print the goroutines of a process; return the exit status: 0, or 2 when none could be read.

    Raises:
        UsageError: neither a target nor a URL; the target names no process, or several; a file exists.
    """
    for place in (options.pprof, options.case):
        if place is not None:
            check_writable(place, force=options.force)
    evidence = read_goroutines(target, options)
    if options.case is not None:
        write_case(options.case, evidence, force=options.force)
        print(f"wrote {options.case}; replay it with: leadline replay {options.case}", file=sys.stderr)
    if options.pprof is not None:
        from leadline.export.goroutine_profile import encode  # noqa: PLC0415  loaded when it is asked for

        write_file(options.pprof, encode(evidence), force=options.force)
        print(f"wrote {options.pprof}; look at it with: go tool pprof {options.pprof}", file=sys.stderr)
    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size((80, 24)).columns if is_terminal or "COLUMNS" in os.environ else WIDE
    color = is_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    sys.stdout.write(
        rendered(evidence, options, title=_title(target, options), width=min(columns, MAX_WIDTH), color=color)
    )
    sys.stdout.flush()
    if evidence.all(GoRuntime):
        return 0
    why = "see what is missing above" if evidence.all(Gap) else "it is not a Go program"
    print(f"leadline: no goroutine could be read; {why}", file=sys.stderr)
    return 2


def read_goroutines(target: str | None, options: GoroutinesOptions) -> Evidence:
    """Return the goroutines of a process from the source that was asked for, without secrets.

    Raises:
        UsageError: neither a target nor a URL, or the target names no process, or several.
        AccessError: the URL cannot be asked.
    """
    if options.from_pprof is not None:
        from leadline.app.pprof_endpoint import fetch_goroutines  # noqa: PLC0415  only when a person asks for it

        evidence = fetch_goroutines(options.from_pprof)
    elif target is None:
        raise UsageError("name one target, or --from-pprof URL", remedy="leadline goroutines 4711")
    else:
        from leadline.app.runtime import look_once  # noqa: PLC0415  the readers of memory
        from leadline.app.targets import resolve  # noqa: PLC0415
        from leadline.host import LiveHost  # noqa: PLC0415

        host = LiveHost()
        found = resolve(host, target)
        twice = options.interval_ns is not None
        evidence = look_once(host, found.pid, looks=2 if twice else 1, interval_ns=options.interval_ns or 0)
    if options.leaks_from_pprof is not None:
        evidence = with_leaks(evidence, options.leaks_from_pprof)
    return evidence


def with_leaks(evidence: Evidence, url: str) -> Evidence:
    """Return the evidence with goroutines marked that the program's garbage collector finds to wait for ever.

    The program runs a garbage collection for it, so this is asked after the look; what cannot be asked becomes a gap.
    """
    from leadline.app.pprof_endpoint import fetch_leaked  # noqa: PLC0415  only when a person asks for it

    print(
        "asking the program for its leaked goroutines: it runs a garbage collection for that", file=sys.stderr
    )
    try:
        leaked = fetch_leaked(url)
    except LeadlineError as error:
        evidence.gap(gap_of(error, what="goroutines that can never go on", probe="net/http/pprof"))
        return evidence
    marked = Evidence()
    for kind_records in (evidence.all(kind) for kind in _kinds(evidence)):
        for record in kind_records:
            is_leaked = isinstance(record, Goroutine) and record.goid in leaked
            marked.put(msgspec.structs.replace(record, is_leaked=True) if is_leaked else record)
    for kind in _kinds(evidence):
        marked.put_all(kind, ())
    return marked


def _kinds(evidence: Evidence) -> list[type[msgspec.Struct]]:
    from leadline.evidence.kinds import KINDS  # noqa: PLC0415

    return [KINDS[name] for name in evidence.observed()]


def _title(target: str | None, options: GoroutinesOptions) -> str:
    from leadline.evidence.redaction import redact_text  # noqa: PLC0415

    return redact_text(options.from_pprof) if options.from_pprof is not None and target is None else ""


def rendered(
    evidence: Evidence, options: GoroutinesOptions, *, title: str = "", width: int = 80, color: bool = False
) -> str:
    """Return the view that was asked for, as text or JSON."""
    if options.view == "text" and not options.json:
        return goroutine_text(evidence)
    if options.json:
        from leadline.export.goroutines_document import encode  # noqa: PLC0415  loaded when it is asked for

        return encode(evidence, full=options.view in ("full", "text")).decode()
    from leadline.report.goroutines import make_goroutines_view  # noqa: PLC0415  not needed for JSON
    from leadline.report.goroutines_text import render_descriptors, render_goroutines  # noqa: PLC0415

    view = make_goroutines_view(evidence, title)
    if options.view == "by-fd":
        return render_descriptors(
            view, width=width, color=color, limit=options.limit, verbose=options.verbose
        )
    if options.view == "full":
        return _full(evidence, view)
    return render_goroutines(view, width=width, color=color, limit=options.limit, verbose=options.verbose)


def _full(evidence: Evidence, view: GoroutinesView) -> str:
    """Return each goroutine by itself, with the descriptor that it waits on behind its header."""
    from leadline.report.goroutines import descriptor_notes  # noqa: PLC0415  not needed for the others

    notes = descriptor_notes(view)

    def note(one: Goroutine) -> str:
        words = [notes[one.goid]] if one.goid in notes else []
        if one.syscall is not None:
            words.append(f"thread {one.tid} in {printable(one.syscall)}")
        if not one.is_stable:
            words.append("the stack did not hold still")
        if one.moved is False:
            words.append("parked between the looks")
        return f"  # {'; '.join(words)}" if words else ""

    text = "".join(iter_dump(evidence.all(Goroutine), stacks(evidence), note))
    gaps = "".join(f"# not seen: {what}: {why}\n" for what, why, _ in view.gaps) if evidence.all(Gap) else ""
    return text + gaps
