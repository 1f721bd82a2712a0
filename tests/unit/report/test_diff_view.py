from __future__ import annotations

import pytest

from leadline.report.diff_view import CaseView, DiffView, Outcome, PlaceRow, Side

CASE = CaseView("a", "bpf", 1, 0, 0.0, None, "")


def side(verdict: str) -> Side:
    return Side(1, 1, 0, 1.0, verdict, "", None)


@pytest.mark.parametrize(
    ("outcome", "before", "remain", "unproven"),
    [
        (Outcome.NEW_LEAK, "churning", True, False),
        (Outcome.STILL_LEAKING, "leaking", True, False),
        (Outcome.NOT_COMPARABLE, "leaking", False, True),
        (Outcome.NOT_COMPARABLE, "churning", False, False),
        (Outcome.FIXED, "leaking", False, False),
        (Outcome.UNCHANGED, "plateau", False, False),
    ],
)
def test_what_remains_and_what_is_unproven(
    outcome: Outcome, before: str, remain: bool, unproven: bool
) -> None:
    row = PlaceRow("tcp", "dialed", "f", "", "socket", side(before), None, outcome, "")
    view = DiffView(CASE, CASE, (row,), (), ())
    assert (view.leaks_remain, view.is_unproven) == (remain, unproven)


def test_sides_are_leaking_clear_or_neither() -> None:
    assert [(side(word).is_leaking, side(word).is_clear) for word in ("leaking", "unclear", "plateau")] == [
        (True, False), (False, False), (False, True),
    ]  # fmt: skip
    assert min(Outcome, key=lambda outcome: outcome.rank) is Outcome.NEW_LEAK
