"""Every field of every kind of evidence is documented, and nothing that is not there."""

from __future__ import annotations

import msgspec
import pytest

from house.tools import load_tool
from leadline.evidence import kinds

RECORDS = [
    value
    for value in vars(kinds).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_is_documented(record: type[msgspec.Struct]) -> None:
    prose, meanings = load_tool("gen_reference").split_docstring(record)
    fields = {field.name for field in msgspec.structs.fields(record)}
    assert prose.endswith((".", ")")) or "." in prose
    assert fields - set(meanings) == set(), "say meaning, unit, clock, and what None means"
    assert set(meanings) - fields == set(), "no such field"
    assert all(len(meaning) > 3 for meaning in meanings.values())


def test_every_record_is_frozen_and_tagged_by_its_kind() -> None:
    for name, kind in kinds.KINDS.items():
        assert kind.__struct_config__.frozen, name
        assert kind.__struct_config__.tag == name
