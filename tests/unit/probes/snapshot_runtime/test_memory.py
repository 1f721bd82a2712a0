"""Words, rows and texts of this very process's memory, and of addresses where nothing is."""

from __future__ import annotations

import ctypes
import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leadline.host import LiveHost
from leadline.probes.snapshot_runtime.memory import ProcessMemory


def own() -> ProcessMemory:
    return ProcessMemory(LiveHost(), os.getpid())


def test_words_rows_and_texts_are_read() -> None:
    memory = own()
    words = np.arange(1, 33, dtype=np.uint64)
    at = words.ctypes.data
    assert memory.word(at + 8) == 2
    assert memory.words(at, 4).tolist() == [1, 2, 3, 4]
    rows, is_read = memory.gather(np.array([at, 16, at + 64], np.uint64), 16)
    assert rows.view(np.uint64).tolist() == [[1, 2], [0, 0], [9, 10]]
    assert is_read.tolist() == [True, False, True]
    found, is_read = memory.gather_words(np.array([at + 16, 0], np.uint64))
    assert (found.tolist(), is_read.tolist()) == ([3, 0], [True, False])
    text = "größe".encode()
    buffer = ctypes.create_string_buffer(text)
    assert memory.text(ctypes.addressof(buffer), len(text)) == "größe"
    assert memory.text(ctypes.addressof(buffer), 3) is None
    assert memory.bytes_read > 0


def test_texts_that_are_none_are_not_made_up() -> None:
    memory = own()
    assert memory.text(0, 0) == ""
    assert [memory.text(16, 4), memory.text(16, -1), memory.text(16, 5000)] == [None] * 3


@given(st.integers(0, (1 << 64) - 1), st.integers(-8, 1 << 40))
def test_any_address_and_size_gives_an_answer(address: int, size: int) -> None:
    memory = own()
    if size > 1 << 20:
        assert len(memory.read(1 << 60 | address, size)) == 0
        return
    assert len(memory.read(address, size)) <= max(size, 0)
    assert memory.word(address) >= 0
    _, is_read = memory.gather(np.array([address], np.uint64), max(size, 0))
    assert len(is_read) == 1


def test_nothing_asked_is_nothing_read() -> None:
    rows, is_read = own().gather(np.zeros(0, np.uint64), 8)
    assert (len(rows), len(is_read)) == (0, 0)
