"""Judge a goroutine dump that somebody made, and compare it with an older one."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from leadline.app.case import Case
from leadline.app.cases import check_writable, write_case, write_file
from leadline.app.diagnose import diagnose
from leadline.evidence import Evidence
from leadline.evidence.kinds import Goroutine, GoroutineGroup, GoRuntime, Stack
from leadline.evidence.redaction import redacted
from leadline.formats.godump import parse_dumps
from leadline.model import Gap, GapReason, Malformed, Severity, UsageError

if TYPE_CHECKING:
    from leadline.formats.godump import Dump, DumpFile
    from leadline.report.goroutines import GroupsDiff

__all__ = ["DumpOptions", "dump_evidence", "goroutine_text", "read_dump", "show_dump"]

MAX_FILE_BYTES = 4 << 30
MAX_WIDTH = 120
_ENDS_THE_PROCESS = ("panic: ", "fatal error: ", "SIG", "[signal ", "runtime: goroutine stack")


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """What was asked for.

    Attributes:
        older: a dump to compare with.
        view: ``group``, ``full`` or ``text`` (the dump without the log around it).
        limit: groups to show; 0 for all.
        json: one JSON document instead of text.
        pprof, case: files to write.
    """

    older: Path | None = None
    view: str = "group"
    limit: int = 20
    json: bool = False
    pprof: Path | None = None
    case: Path | None = None
    force: bool = False
    exit_zero: bool = False
    fail_on_gap: bool = False
    verbose: bool = False


def show_dump(path: Path, options: DumpOptions) -> int:
    """Print what a dump tells; return the exit status: 0 nothing found, 1 findings (or gaps, where these are to fail).

    Raises:
        UsageError: a file cannot be read, or is no dump.
    """
    for place in (options.pprof, options.case):
        if place is not None:
            check_writable(place, force=options.force)
    if options.older is not None and str(path) == str(options.older) == "-":
        raise UsageError("both dumps cannot come from stdin", remedy="put one of them into a file")
    older = None if options.older is None else read_dump(options.older)
    evidence = read_dump(path)
    case = Case(evidence=evidence, diagnosis=diagnose(evidence), subject=_name(path))
    _write_files(case, options)
    diff = None
    if older is not None:
        from leadline.report.goroutines import diff_goroutines  # noqa: PLC0415  only a comparison needs it

        diff = diff_goroutines(older, evidence)
    sys.stdout.write(_shown(case, options, diff))
    sys.stdout.flush()
    if options.exit_zero:
        return 0
    is_alarming = any(finding.severity is not Severity.INFO for finding in case.diagnosis.findings)
    return int(is_alarming or (options.fail_on_gap and bool(evidence.all(Gap))))


def read_dump(path: Path) -> Evidence:
    """Return the evidence of a dump; ``-`` is stdin. Secrets are taken out of it.

    Raises:
        UsageError: the file cannot be read, or there is no goroutine in it.
    """
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", remedy="name a file, or - for stdin") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(
            f"{_name(path)}: larger than 4 GiB", remedy="give the part of the log that has the dump"
        )
    try:
        return redacted(dump_evidence(parse_dumps(content)))
    except Malformed as error:
        raise UsageError(
            f"{_name(path)}: {error.message}",
            remedy="give the output of /debug/pprof/goroutine?debug=2, of SIGQUIT or of a crash, gzipped or in a log, too",
        ) from error


def dump_evidence(file: DumpFile, *, source: str = "dump") -> Evidence:
    """Return the last dump of a file as evidence, with what those before it of the same process tell of its goroutines."""
    run = _same_process(file.dumps)
    last, first = run[-1], run[0]
    evidence = Evidence()
    evidence.put(
        GoRuntime(
            pid=0,
            source=source,
            go_version=file.go_version,
            passes=len(run),
            goroutines=last.total,
            first_goroutines=first.total if len(run) > 1 else None,
            system_goroutines=last.system,
            running=sum(one.state == "running" for one in last.goroutines),
            runnable=(sum(one.state == "runnable" for one in last.goroutines),)
            if last.form == "stacks"
            else (),
            cause=last.cause,
        )
    )
    if last.form == "stacks":
        evidence.put_all(Goroutine, _compared(first, last) if len(run) > 1 else last.goroutines)
    else:
        evidence.put_all(GoroutineGroup, last.groups)
    evidence.put_all(Stack, last.stacks)
    for gap in file.gaps:
        evidence.gap(gap)
    others = len(file.dumps) - len(run)
    if others:
        evidence.gap(
            Gap(
                what=f"{others} earlier {'dump' if others == 1 else 'dumps'} in the file",
                reason=GapReason.DISABLED,
                detail="of a process that ended with it, or of another form; the last dump is shown",
                remedy="cut the file behind a dump to see it",
                probe="goroutine dump",
            )
        )
    if file.lone:
        evidence.gap(
            Gap(
                what=f"{file.lone} single {'stack' if file.lone == 1 else 'stacks'} in the log around the dump",
                reason=GapReason.DISABLED,
                detail="debug.Stack prints the goroutine that calls it; it belongs to no dump",
                probe="goroutine dump",
            )
        )
    return evidence


def _same_process(dumps: tuple[Dump, ...]) -> tuple[Dump, ...]:
    """Return the last dump and those before it that the same process can have made: a crash begins a new process."""
    start = 0
    for number, dump in enumerate(dumps[:-1]):
        if dump.cause.startswith(_ENDS_THE_PROCESS) or dump.form != dumps[-1].form:
            start = number + 1
    return dumps[start:]


def _compared(first: Dump, last: Dump) -> tuple[Goroutine, ...]:
    """Return the goroutines of the last dump with what changed since the first one.

    The same place twice does not prove that a goroutine has not run in between, so ``moved`` is never False here.
    """
    earlier = {one.goid: (one.state, one.stack) for one in first.goroutines}
    return tuple(
        msgspec.structs.replace(
            one,
            is_new=one.goid not in earlier,
            moved=True if one.goid in earlier and earlier[one.goid] != (one.state, one.stack) else None,
        )
        for one in last.goroutines
    )


def _name(path: Path) -> str:
    return "stdin" if str(path) == "-" else path.name


def _write_files(case: Case, options: DumpOptions) -> None:
    if options.case is not None:
        write_case(options.case, case.evidence, force=options.force)
        print(f"wrote {options.case}; replay it with: leadline replay {options.case}", file=sys.stderr)
    if options.pprof is not None:
        from leadline.export.goroutine_profile import encode  # noqa: PLC0415  loaded when it is asked for

        write_file(options.pprof, encode(case.evidence), force=options.force)
        print(f"wrote {options.pprof}; look at it with: go tool pprof {options.pprof}", file=sys.stderr)


def _shown(case: Case, options: DumpOptions, diff: GroupsDiff | None) -> str:
    if options.view == "text":
        return goroutine_text(case.evidence)
    if options.json:
        from leadline.export.goroutines_document import encode  # noqa: PLC0415  loaded when it is asked for

        more = None if diff is None else {"diff": _diff_document(diff)}
        return encode(case.evidence, case.diagnosis, full=options.view == "full", more=more).decode()
    return _text(case, options, diff)


def _diff_document(diff: GroupsDiff) -> dict[str, object]:
    names = ("before", "after", "new", "gone", "still", "moved", "note")
    value: dict[str, object] = {name: getattr(diff, name) for name in names}
    value["groups"] = [
        {
            "before": one.before,
            "after": one.after,
            "still": one.still,
            "new": one.new,
            "state": one.row.state or None,
            "function": one.row.function,
            "place": one.row.path,
            "stack": [asdict(frame) for group in one.row.frames for frame in group.frames],
        }
        for one in diff.groups
    ]
    return value


def _text(case: Case, options: DumpOptions, diff: GroupsDiff | None) -> str:
    from leadline.report.goroutines import make_goroutines_view  # noqa: PLC0415  not needed for JSON
    from leadline.report.goroutines_text import render_dump  # noqa: PLC0415
    from leadline.report.model import make_view  # noqa: PLC0415

    width = min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return render_dump(
        make_goroutines_view(case.evidence, case.subject),
        make_view(case.evidence, case.diagnosis),
        diff=diff,
        older="" if options.older is None else _name(options.older),
        full=goroutine_text(case.evidence) if options.view == "full" else "",
        width=width,
        color=color,
        limit=options.limit,
        verbose=options.verbose,
    )


def goroutine_text(evidence: Evidence) -> str:
    """Return goroutines as the text that Go prints for ``debug=2``.

    Raises:
        UsageError: the dump only counts, so that single goroutines are not known.
    """
    from leadline.evidence.queries import stacks  # noqa: PLC0415
    from leadline.formats.godump_text import dump_text  # noqa: PLC0415

    if evidence.get(Goroutine) is None:
        raise UsageError(
            "this dump only counts goroutines by stack", remedy="ask for debug=2, which lists each goroutine"
        )
    return dump_text(evidence.all(Goroutine), stacks(evidence))
