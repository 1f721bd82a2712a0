from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.host.bpf.skeleton import read_skeleton
from leadline.model import Malformed, Unsupported

BLOB = b"datainsns"
LAYOUT: dict[str, Any] = {
    "format": 1,
    "object": "tiny",
    "arch": "x86_64",
    "data_bytes": 4,
    "sha256": hashlib.sha256(BLOB).hexdigest(),
    "maps": [{"name": "m", "type": 1, "max_entries": 3, "key": "<u4", "value": "struct:pair"}],
    "programs": [{"name": "p", "attach_type_at": None}],
    "rodata": {"size": 12, "variables": {"flag": [0, 4], "table": [4, 8]}},
    "structs": {
        "inner": {"size": 4, "fields": [["x", 0, "<u2"], ["y", 2, "<u2"]]},
        "pair": {
            "size": 32,
            "fields": [
                ["many", 0, "<u4*3"],
                ["in", 12, "struct:inner"],
                ["both", 16, "struct:inner*2"],
                ["name", 24, "S8"],
            ],
        },
    },
    "enums": {"e": {"ONE": 1}},
}


def write(folder: Path, text: bytes, blob: bytes = BLOB) -> Path:
    (folder / "tiny.x86_64.json").write_bytes(text)
    (folder / "tiny.x86_64.lskel").write_bytes(blob)
    return folder


def test_blob_is_split_and_layouts_become_types(tmp_path: Path) -> None:
    found = read_skeleton(write(tmp_path, json.dumps(LAYOUT).encode()), "tiny", arch="x86_64")
    assert (found.data, found.instructions) == (b"data", b"insns")
    pair = found.dtype("struct:pair")
    assert pair.itemsize == 32
    raw = np.arange(32, dtype=np.uint8).tobytes()
    row = np.frombuffer(raw, pair)[0]
    assert row["many"].tolist() == [0x03020100, 0x07060504, 0x0B0A0908]
    assert row["in"]["y"] == 0x0F0E
    assert row["both"]["x"].tolist() == [0x1110, 0x1514]
    assert row["name"] == bytes(range(24, 32))
    assert found.dtype("<u4").names == ("value",)


def test_settings_are_placed_and_cut_to_their_size(tmp_path: Path) -> None:
    found = read_skeleton(write(tmp_path, json.dumps(LAYOUT).encode()), "tiny", arch="x86_64")
    assert found.settings({"flag": 258, "table": b"abcdefghij"}) == b"\2\1\0\0abcdefgh"
    assert found.settings({}) == bytes(12)
    with pytest.raises(KeyError):
        found.settings({"unheard": 1})


def test_a_blob_of_another_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="another one"):
        read_skeleton(write(tmp_path, json.dumps(LAYOUT).encode(), b"other"), "tiny", arch="x86_64")


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        read_skeleton(write(tmp_path, json.dumps({**LAYOUT, "format": 2}).encode()), "tiny", arch="x86_64")


def test_an_architecture_without_blob_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="riscv64"):
        read_skeleton(tmp_path, "tiny", arch="riscv64")


@given(st.binary(max_size=200))
def test_any_text_gives_a_layout_or_malformed(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    folder = write(tmp_path_factory.mktemp("skeleton"), text)
    with pytest.raises(Malformed):
        read_skeleton(folder, "tiny", arch="x86_64")
