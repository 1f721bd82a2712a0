"""Errors as gaps."""

from __future__ import annotations

import pytest

from leadline.contracts import gap_of
from leadline.model import (
    BundleError,
    DeadlineExceeded,
    GapReason,
    LeadlineError,
    Malformed,
    NotPermitted,
    TargetGone,
    Unsupported,
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotPermitted("no"), GapReason.NOT_PERMITTED),
        (TargetGone("gone"), GapReason.TARGET_GONE),
        (DeadlineExceeded("late"), GapReason.TIMEOUT),
        (Malformed("proc/PID/stat", "odd"), GapReason.MALFORMED),
        (Unsupported("never heard of"), GapReason.UNSUPPORTED),
        (BundleError("broken"), GapReason.UNSUPPORTED),
    ],
)
def test_the_reason_follows_the_error(error: LeadlineError, reason: GapReason) -> None:
    assert gap_of(error, what="sockets", probe="p").reason is reason


def test_message_and_remedy_are_kept() -> None:
    gap = gap_of(NotPermitted("EACCES", remedy="run as root"), what="sockets", probe="p")
    assert (gap.what, gap.detail, gap.remedy, gap.probe) == ("sockets", "EACCES", "run as root", "p")
