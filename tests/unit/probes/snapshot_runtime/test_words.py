"""Columns and texts out of rows of raw bytes."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np

from leadline.probes.snapshot_runtime.words import signed_at, texts, words_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import GoProcess


class Mapped:
    """Memory with a few bytes at known addresses."""

    def __init__(self, pieces: dict[int, bytes]) -> None:
        self.pieces = pieces

    def gather(self, addresses: NDArray[np.uint64], size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        rows = np.zeros((len(addresses), size), np.uint8)
        known = np.zeros(len(addresses), np.bool_)
        for n, address in enumerate(addresses.tolist()):
            piece = self.pieces.get(address, b"")[:size]
            rows[n, : len(piece)] = np.frombuffer(piece, np.uint8)
            known[n] = len(piece) == size
        return rows, known


def test_words_lie_at_offsets_of_rows() -> None:
    raw = struct.pack("<qQq", -1, 1 << 63, 7)
    rows = np.frombuffer(raw * 2, np.uint8).reshape(2, 24)
    assert words_at(rows, 8).tolist() == [1 << 63] * 2
    assert signed_at(rows, 0).tolist() == [-1, -1]
    assert signed_at(rows, 16).tolist() == [7, 7]


def test_texts_that_cannot_be_are_none() -> None:
    memory = Mapped({8: b"https", 16: b"ab\ncd", 24: b"\xff\xfe\xfd\xfc\xfb", 32: b"http"})
    process = cast("GoProcess", SimpleNamespace(memory=memory))
    pointers = np.array([8, 16, 24, 32, 40, 0, 8], np.uint64)
    sizes = np.array([5, 5, 5, 4, 5, 0, 1 << 40], np.uint64)
    assert texts(process, pointers, sizes) == ["https", None, None, "http", None, "", None]
