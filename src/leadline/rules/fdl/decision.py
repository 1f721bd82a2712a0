"""Which birthplaces a longer window could still decide: what ``--until-sure`` asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leadline.rules.fdl.leaks import assess_birthplace, owner
from leadline.rules.survival import SURE_WINDOW_NS
from leadline.rules.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadline.evidence.kinds import Birthplace, Window

__all__ = ["undecided"]


def undecided(
    window: Sequence[Window] | None, birthplaces: Sequence[Birthplace] | None, others: dict[str, Any]
) -> tuple[int, ...] | None:
    """Return ids of birthplaces that are not decided yet; None when nothing can be said of any (too early, not traced).

    Args:
        window: of the evidence so far.
        birthplaces: with their counts so far.
        others: further arguments of :meth:`leadline.rules.table.Table.of`, each None when not observed.
    """
    if not window or birthplaces is None or window[-1].duration_ns < SURE_WINDOW_NS:
        return None
    table = Table.of(window=window, birthplaces=birthplaces, **others)
    return tuple(
        birthplace.id
        for birthplace in birthplaces
        if owner(birthplace, table) and not assess_birthplace(table, birthplace).assessment.is_sure
    )
