"""Judge recorded cases again, and compare two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.app.case import Case
from leadline.app.cases import read_case
from leadline.app.diagnose import diagnose
from leadline.app.source import with_source

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["diff_cases", "replay_case"]


def replay_case(path: Path, *, source: Path | None = None) -> Case:
    """Return a recorded case, judged anew.

    Raises:
        BundleError: not a case file, damaged, or of an unknown version.
    """
    evidence = read_case(path)
    return Case(
        evidence=evidence, diagnosis=with_source(diagnose(evidence), source), subject=path.name, source=source
    )


def diff_cases(before: Path, after: Path, *, as_json: bool) -> tuple[str, bool]:
    """Return the comparison as text or JSON, and whether a leak remains or is new."""
    from leadline.app.diff import compare  # noqa: PLC0415
    from leadline.report.diff_text import render_diff, render_diff_json  # noqa: PLC0415

    old, new = replay_case(before), replay_case(after)
    result = compare(old.evidence, old.diagnosis, new.evidence, new.diagnosis)
    return (render_diff_json(result) if as_json else render_diff(result)), result.leaks_remain
