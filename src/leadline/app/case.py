"""A case: evidence, and what the rules say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from leadline.app.diagnose import Diagnosis
    from leadline.evidence import Evidence

__all__ = ["Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """What every face shows.

    Attributes:
        subject: what was asked for, such as ``port:8080`` or the command of ``exec``.
        source: source tree for code frames, None when not given.
    """

    evidence: Evidence
    diagnosis: Diagnosis
    subject: str
    source: Path | None = None
