"""Columns and texts out of rows of raw bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import GoProcess, Words

__all__ = ["signed_at", "texts", "words_at"]

_MAX_TEXT = 4096


def words_at(rows: NDArray[np.uint8], place: int) -> Words:
    """Return the unsigned 64-bit words at an offset of rows of bytes."""
    return np.ascontiguousarray(rows[:, place : place + 8]).view(np.uint64).reshape(-1)


def signed_at(rows: NDArray[np.uint8], place: int) -> NDArray[np.int64]:
    """Return the signed 64-bit words at an offset of rows of bytes."""
    return np.ascontiguousarray(rows[:, place : place + 8]).view(np.int64).reshape(-1)


def texts(process: GoProcess, pointers: Words, sizes: Words) -> list[str | None]:
    """Return Go strings by their data pointers and lengths; None where unreadable, over 4 KiB or not printable text."""
    answer: list[str | None] = ["" if not size else None for size in sizes.tolist()]
    for size in np.unique(sizes).tolist():
        if not 0 < size <= _MAX_TEXT:
            continue
        places = np.flatnonzero(sizes == np.uint64(size))
        rows, are_read = process.memory.gather(pointers[places], int(size))
        for place, row, is_read in zip(places.tolist(), rows, are_read.tolist(), strict=True):
            if is_read:
                answer[place] = _printable(row.tobytes())
    return answer


def _printable(raw: bytes) -> str | None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
