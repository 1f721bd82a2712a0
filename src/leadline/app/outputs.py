"""Where a case goes: the terminal, files, and the exit status."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leadline.app.cases import check_writable, write_case, write_file
from leadline.evidence.kinds import Descriptor
from leadline.model import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadline.app.case import Case

__all__ = ["OutputOptions", "deliver", "write_files"]

MAX_WIDTH = 100
COULD_NOT_RUN = 2


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What was asked for.

    Attributes:
        case, html, pprof, flame, sarif, junit: files to write, None for none.
        json: one JSON document on stdout instead of text.
        github: workflow annotations on stdout after the text.
        force: overwrite.
        verbose: show also what is healthy.
        text_to_stderr: the command's own output has stdout.
        view: ``report`` or ``census``.
    """

    case: Path | None = None
    json: bool = False
    html: Path | None = None
    pprof: Path | None = None
    flame: Path | None = None
    sarif: Path | None = None
    junit: Path | None = None
    github: bool = False
    force: bool = False
    verbose: bool = False
    text_to_stderr: bool = False
    view: str = "report"

    def files(self) -> list[Path]:
        """Return the files that will be written."""
        return [
            p for p in (self.case, self.html, self.pprof, self.flame, self.sarif, self.junit) if p is not None
        ]

    def check(self) -> None:
        """Check before a long watch that the files can be written after it.

        Raises:
            UsageError: a file exists, or its folder does not.
        """
        for path in self.files():
            check_writable(path, force=self.force)


def deliver(case: Case, options: OutputOptions, *, exit_zero: bool, fail_on_gap: bool) -> int:
    """Show the case, write its files, and return the exit status: 0 nothing found, 1 findings, 2 nothing could be seen."""
    write_files(case, options)
    text = _json(case) if options.json else _text(case, options)
    stream = sys.stderr if options.text_to_stderr and not options.json else sys.stdout
    stream.write(text)
    if options.github:
        from leadline.export.github import encode  # noqa: PLC0415  each exporter is loaded when it is asked for

        sys.stdout.write(encode(case.evidence, case.diagnosis, root=str(Path.cwd())).decode())
    stream.flush()
    if case.evidence.get(Descriptor) is None:
        print(
            "leadline: the descriptors of the target could not be seen at all; see what is missing above",
            file=sys.stderr,
        )
        return COULD_NOT_RUN
    if exit_zero:
        return 0
    return int(is_alarming(case) or (fail_on_gap and has_gaps(case)))


def is_alarming(case: Case) -> bool:
    """Return whether there is a finding above info."""
    return any(finding.severity is not Severity.INFO for finding in case.diagnosis.findings)


def has_gaps(case: Case) -> bool:
    """Return whether something could not be seen or judged."""
    from leadline.model import Gap  # noqa: PLC0415

    return bool(case.evidence.all(Gap) or case.diagnosis.not_judged or case.diagnosis.gaps)


def write_files(case: Case, options: OutputOptions) -> None:
    """Write every file that was asked for, and say so on stderr."""
    if options.case is not None:
        write_case(options.case, case.evidence, force=options.force)
        _said(options.case, f"replay it with: leadline replay {options.case}")
    for path, encode in _encoders(options):
        write_file(path, encode(case), force=options.force)
        _said(path, "")


def _encoders(options: OutputOptions) -> list[tuple[Path, Callable[[Case], bytes]]]:
    wanted: list[tuple[Path, Callable[[Case], bytes]]] = []
    if options.html is not None:
        wanted.append((options.html, _html))
    if options.pprof is not None:
        wanted.append((options.pprof, _pprof))
    if options.flame is not None:
        wanted.append((options.flame, _flame_svg if options.flame.suffix == ".svg" else _folded))
    if options.sarif is not None:
        wanted.append((options.sarif, _sarif))
    if options.junit is not None:
        wanted.append((options.junit, _junit))
    return wanted


def _text(case: Case, options: OutputOptions) -> str:
    from leadline.report.model import make_view  # noqa: PLC0415
    from leadline.report.text import render_text  # noqa: PLC0415

    stream = sys.stderr if options.text_to_stderr else sys.stdout
    width = min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)
    color = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return render_text(
        make_view(case.evidence, case.diagnosis),
        width=width,
        color=color,
        verbose=options.verbose or options.view == "census",
    )


def _json(case: Case) -> str:
    from leadline.export.json_document import encode  # noqa: PLC0415

    return encode(case.evidence, case.diagnosis).decode()


def _html(case: Case) -> bytes:
    from leadline.report.html import render_html  # noqa: PLC0415
    from leadline.report.model import make_view  # noqa: PLC0415

    return render_html(make_view(case.evidence, case.diagnosis)).encode()


def _pprof(case: Case) -> bytes:
    from leadline.export.pprof import encode  # noqa: PLC0415

    return encode(case.evidence, case.diagnosis)


def _flame_svg(case: Case) -> bytes:
    from leadline.export.flame import encode_svg  # noqa: PLC0415

    return encode_svg(case.evidence, case.diagnosis)


def _folded(case: Case) -> bytes:
    from leadline.export.flame import encode  # noqa: PLC0415

    return encode(case.evidence, case.diagnosis)


def _sarif(case: Case) -> bytes:
    from leadline.export.sarif import encode  # noqa: PLC0415

    return encode(case.evidence, case.diagnosis, root=str(Path.cwd()))


def _junit(case: Case) -> bytes:
    from leadline.export.junit import encode  # noqa: PLC0415

    return encode(case.evidence, case.diagnosis, root=str(Path.cwd()))


def _said(path: Path, hint: str) -> None:
    print(f"wrote {path}" + (f"; {hint}" if hint else ""), file=sys.stderr)
