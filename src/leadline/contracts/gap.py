"""How an error of the machine becomes a gap in the evidence."""

from __future__ import annotations

from leadline.model import (
    DeadlineExceeded,
    Gap,
    GapReason,
    LeadlineError,
    Malformed,
    NotPermitted,
    TargetGone,
)

__all__ = ["gap_of"]

_REASONS: tuple[tuple[type[LeadlineError], GapReason], ...] = (
    (NotPermitted, GapReason.NOT_PERMITTED),
    (TargetGone, GapReason.TARGET_GONE),
    (DeadlineExceeded, GapReason.TIMEOUT),
    (Malformed, GapReason.MALFORMED),
)


def gap_of(error: LeadlineError, *, what: str, probe: str) -> Gap:
    """Return the gap that an expected error leaves.

    Args:
        error: of ``leadline.model.errors``; its remedy is kept.
        what: the evidence that is missing, in the reader's words.
        probe: name of the probe that met it.
    """
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), GapReason.UNSUPPORTED)
    return Gap(what=what, reason=reason, detail=error.message, remedy=error.remedy, probe=probe)
