"""Offsets of Go runtime structures for a release, from a table made from real builds.

An unknown minor release is refused, never guessed. A patch release that was not built for the table gets the fields in
which all built patch releases of its minor agree, without those known to move between patch releases (timers inside
pollDesc moved in 1.23).

Registers: at a function's entry the current ``g`` is in R14 on amd64 and in X28 on arm64 (Go 1.17+, ABIInternal).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from leadline.formats.gobinary import go_minor
from leadline.formats.gooffsets_table import OFFSETS, WAIT_REASONS
from leadline.model import Malformed

__all__ = ["GoOffsets", "lookup", "supported_minors", "wait_reasons"]


class GoOffsets(Mapping[str, int | None]):
    """Offsets in bytes by ``type.field``, such as ``g.goid``; None: this release has no such field.

    Asking for a field that is not in the table, or not sure for this patch release, raises KeyError; ``get`` gives
    None for these too.

    Attributes:
        go_version: what was asked for.
        is_exact: the table was built with this very release and nothing was added to it.
        uncertain: fields left out because they may differ in this patch release.
    """

    def __init__(
        self, go_version: str, fields: dict[str, int | None], *, is_exact: bool, uncertain: frozenset[str]
    ) -> None:
        self.go_version = go_version
        self.is_exact = is_exact
        self.uncertain = uncertain
        self._fields = fields

    def __getitem__(self, field: str) -> int | None:
        return self._fields[field]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def need(self, field: str) -> int:
        """Return an offset that this release must have.

        Raises:
            KeyError: it has not, or it is not sure.
        """
        offset = self._fields[field]
        if offset is None:
            raise KeyError(field)
        return offset


def lookup(go_version: str, machine: str) -> GoOffsets | None:
    """Return the offsets for a release on a machine, None when the table does not know them.

    Args:
        go_version: as in build info, such as ``go1.26.8``; suffixes (``X:experiment``, ``-custom``) are known to be
            other builds of the same release: the answer is then not exact.
        machine: as ``uname -m`` says: ``x86_64`` or ``aarch64``.

    >>> offsets = lookup("go1.26.8", "x86_64")
    >>> offsets["g.goid"], offsets["g.parentGoid"], lookup("go1.20.1", "x86_64")["g.parentGoid"]
    (152, 280, None)
    >>> lookup("go1.99.0", "x86_64"), lookup("devel go1.28-abcdef", "x86_64"), lookup("go1.26.8", "s390x")
    (None, None, None)
    """
    minor = go_minor(go_version)
    release = re.match(r"go(1\.\d+(?:\.\d+)?(?:rc\d+|beta\d+)?)", go_version)
    if minor is None or release is None:
        return None
    columns = {
        version: fields
        for (version, column_machine), fields in _columns().items()
        if column_machine == machine and go_minor(f"go{version}") == minor
    }
    if not columns:
        return None
    if release[1] in columns:
        return GoOffsets(
            go_version, columns[release[1]], is_exact=release[0] == go_version, uncertain=frozenset()
        )
    first, *others = columns.values()
    uncertain = _moving_fields() | {
        field for field in first for other in others if other.get(field) != first[field]
    }
    agreed = {field: offset for field, offset in first.items() if field not in uncertain}
    return GoOffsets(go_version, agreed, is_exact=False, uncertain=frozenset(uncertain))


def supported_minors() -> tuple[int, ...]:
    """Return the minor releases in the table, rising."""
    return tuple(sorted({go_minor(f"go{version}") or 0 for version, _ in _columns()}))


def wait_reasons(go_version: str) -> tuple[str, ...] | None:
    """Return the texts of wait reasons by number for a release, None when the table does not know it.

    >>> wait_reasons("go1.26.8")[2], wait_reasons("go1.99")
    ('IO wait', None)
    """
    minor = go_minor(go_version)
    for paragraph in WAIT_REASONS.strip().split("\n\n"):
        head, _, body = paragraph.replace("\n", " ").partition(" ")
        if head == f"1.{minor}":
            return tuple(body.split("|"))
    return None


@cache
def _columns() -> dict[tuple[str, str], dict[str, int | None]]:
    """Return the table: (version, machine) to offsets."""
    columns: dict[tuple[str, str], dict[str, int | None]] = {}
    for block in OFFSETS.strip().split("\n\n"):
        head, *lines = block.split("\n")
        keys = [
            (version, machine) for version, _, machine in (name.partition("/") for name in head.split()[1:])
        ]
        for key in keys:
            columns[key] = {}
        for line in lines:
            field, *cells = line.split()
            if len(cells) != len(keys):
                raise Malformed("gooffsets_table", f"{field} has {len(cells)} cells for {len(keys)} releases")
            for key, cell in zip(keys, cells, strict=True):
                columns[key][field] = None if cell == "-" else int(cell)
    return columns


@cache
def _moving_fields() -> frozenset[str]:
    """Return the fields that differ between two patch releases of any minor: not to be trusted in untested ones."""
    moving: set[str] = set()
    by_minor: dict[tuple[int | None, str], dict[str, int | None]] = {}
    for (version, machine), fields in _columns().items():
        first = by_minor.setdefault((go_minor(f"go{version}"), machine), fields)
        moving |= {field for field in fields if fields[field] != first.get(field)}
    return frozenset(moving)
