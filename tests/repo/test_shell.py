"""The reader of tutorials runs what is written, and notices what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from house.shell import Block, Reader, blocks, expect_in_order, readers


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Return a reader with an empty directory."""
    yield from readers(tmp_path)


def test_blocks_are_taken_in_order_and_others_left_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "a\n\n```sh\nls\n```\n\n```yaml\nx: 1\n```\n\n```sh terminal\nsleep 9\n```\n\n```text\nout\n```\n"
    )
    assert blocks(page) == [Block("sh", "ls\n"), Block("sh terminal", "sleep 9\n"), Block("text", "out\n")]


def test_a_block_is_run_without_sudo_and_its_failure_is_a_failure(reader: Reader) -> None:
    assert reader.run(Block("sh", "sudo echo one\necho two >&2\n")) == "one\ntwo\n"
    with pytest.raises(AssertionError, match="exit 3"):
        reader.run(Block("sh", "(exit 3)\necho never\n"))


def test_a_terminal_stays_open_until_the_next_one(reader: Reader) -> None:
    reader.start(Block("sh terminal", "sh -c 'echo pid $$; while :; do sleep 1; done'"))
    (first, said), *_ = reader._terminals
    assert first.poll() is None
    assert said.read_text().startswith("pid ")
    reader.start(Block("sh terminal", "sh -c 'echo pid $$; while :; do sleep 1; done'"))
    assert first.poll() is not None
    with pytest.raises(AssertionError, match="ended with 4"):
        reader.start(Block("sh terminal", "sh -c 'exit 4'"))


def test_shown_lines_must_occur_in_order() -> None:
    expect_in_order("a b\nc\n", "x a   b y\nz\nc\n")
    with pytest.raises(AssertionError, match="'a'"):
        expect_in_order("c\na\n", "a\nc\n")
