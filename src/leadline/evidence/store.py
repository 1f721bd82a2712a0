"""Evidence in memory: what rules read, what probes write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, cast

import msgspec

from leadline.evidence.kinds import KINDS
from leadline.model import Gap

__all__ = ["Evidence"]

Record = TypeVar("Record", bound=msgspec.Struct)


class Evidence:
    """Records by kind. A kind that was observed but empty is an empty tuple; one that was not observed is ``None``."""

    def __init__(self) -> None:
        self._records: dict[type[msgspec.Struct], list[msgspec.Struct]] = {}

    def put(self, record: msgspec.Struct) -> None:
        """Add one record; its kind counts as observed from then on."""
        self._records.setdefault(type(record), []).append(record)

    def put_all(self, kind: type[Record], records: Iterable[Record]) -> None:
        """Add records of one kind; the kind counts as observed even when there are none."""
        self._records.setdefault(kind, []).extend(records)

    def get(self, kind: type[Record]) -> tuple[Record, ...] | None:
        """Return the records of a kind in order of arrival, or None when it was not observed."""
        found = self._records.get(kind)
        return None if found is None else cast("tuple[Record, ...]", tuple(found))

    def all(self, kind: type[Record]) -> tuple[Record, ...]:
        """Return the records of a kind, empty also when it was not observed: for displays, not for rules."""
        return self.get(kind) or ()

    def first(self, kind: type[Record]) -> Record | None:
        """Return the first record of a kind, None when there is none."""
        found = self.all(kind)
        return found[0] if found else None

    def gap(self, gap: Gap) -> None:
        """Note that something could not be seen."""
        self.put(gap)

    def observed(self) -> dict[str, int]:
        """Return the observed kinds by name, in the order of ``KINDS``, with their record counts."""
        return {name: len(self._records[kind]) for name, kind in KINDS.items() if kind in self._records}
