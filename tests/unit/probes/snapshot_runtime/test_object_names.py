"""Names of types as they stand in paths; the shapes of real objects are tried in tests/live/test_retention.py."""

from __future__ import annotations

import pytest

from leadline.probes.snapshot_runtime.object_names import collapsed, is_of_map


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], ()),
        (["?", "?", "?"], ("?", "?", "?")),
        (["?"] * 4, ("? (4 times)",)),
        (["map", *["*main.node"] * 60, "*net.TCPConn"], ("map", "*main.node (60 times)", "*net.TCPConn")),
    ],
)
def test_many_alike_stand_as_one(names: list[str], shown: tuple[str, ...]) -> None:
    assert collapsed(names) == shown


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("map.bucket[string]*main.session", True),
        ("[]map.bucket[int]string", True),
        ("map.group[string]*main.session", True),
        ("*maps.table", True),
        ("map[string]int", False),
        ("main.bucket", False),
        ("[]main.group", False),
    ],
)
def test_what_a_map_consists_of_is_told_from_other_types(name: str, inside: bool) -> None:
    assert is_of_map(name) is inside
