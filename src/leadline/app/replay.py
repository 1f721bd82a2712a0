"""Judge recorded cases again, and compare two of them."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from leadline.app.case import Case
from leadline.app.cases import read_case
from leadline.app.diagnose import diagnose
from leadline.app.source import with_source

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["diff_cases", "replay_case"]

FIXED, FOUND, UNPROVEN = 0, 1, 2
MAX_WIDTH = 100


def replay_case(path: Path, *, source: Path | None = None) -> Case:
    """Return a recorded case, judged anew.

    Raises:
        BundleError: not a case file, damaged, or of an unknown version.
    """
    evidence = read_case(path)
    return Case(
        evidence=evidence, diagnosis=with_source(diagnose(evidence), source), subject=path.name, source=source
    )


def diff_cases(before: Path, after: Path, *, as_json: bool) -> tuple[str, int]:
    """Return the comparison as text or JSON, and the exit status.

    It is 1 when a leak remains or is new, 2 when a leak of the first case could not be proved gone, else 0.
    """
    from leadline.app.diff import compare  # noqa: PLC0415
    from leadline.report.diff_text import render_diff, render_diff_json  # noqa: PLC0415

    old, new = replay_case(before), replay_case(after)
    result = compare(old.evidence, old.diagnosis, new.evidence, new.diagnosis)
    status = FOUND if result.leaks_remain else UNPROVEN if result.is_unproven else FIXED
    if as_json:
        return render_diff_json(result), status
    width = min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)
    return render_diff(
        result, width=width, color=sys.stdout.isatty() and "NO_COLOR" not in os.environ
    ), status
