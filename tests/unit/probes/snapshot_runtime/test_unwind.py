"""Walks of stacks: many at once as one by one, on amd64 and arm64, whole, cut and lost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elf_samples import GoFunctionSample, make_go_table
from leadline.formats.gopclntab import GoLineTable
from leadline.probes.snapshot_runtime.unwind import Ending, StackWalker, Starts

TEXT = 0x401000
BIAS = 0x10000


def sample(name: str, stack: int, flags: int = 0, *, has_table: bool = True) -> GoFunctionSample:
    ranges = [(4, 0), (64, stack)] if stack else [(64, 0)]
    return GoFunctionSample(
        name, 64, files=[(64, 0)], lines=[(64, 1)], stack=ranges if has_table else [], flags=flags
    )


FUNCTIONS = [
    sample("runtime.goexit", 0, 1),
    sample("main.leaf", 0),
    sample("main.small", 16),
    sample("main.large", 160),
    sample("main.switcher", 32, 2),
    sample("runtime.cgocallback", 32, 2),
    sample("main.foreign", 0, has_table=False),
    sample("runtime.asyncPreempt", 8),
]
NAMES = [each.name for each in FUNCTIONS]
EXIT = "runtime.goexit"


def pc(name: str, offset: int = 20) -> int:
    return TEXT + BIAS + 64 * NAMES.index(name) + offset


def walker(*, uses_link: bool = False) -> StackWalker:
    raw, _ = make_go_table(FUNCTIONS, ["/main.go"], quantum=1)
    return StackWalker(GoLineTable(memoryview(raw), TEXT), BIAS, uses_link=uses_link)


def amd64(*names: str) -> list[int]:
    """Return the words of a stack: of each frame its own room, then the return address."""
    words: list[int] = []
    for name, caller in pairwise(names):
        size = FUNCTIONS[NAMES.index(name)].stack[-1][1] // 8
        words += [0xDEAD] * size + [pc(caller)]
    return words


def arm64(*names: str) -> list[int]:
    """Return the words of a stack: of each frame the return address, then its room."""
    words: list[int] = []
    for name, caller in pairwise(names):
        size = FUNCTIONS[NAMES.index(name)].stack[-1][1] // 8
        words += [pc(caller), *[0xDEAD] * (size - 1)] if size else []
        words += [0xDEAD] * 2 if name == "runtime.asyncPreempt" else []
    return words


def walk(
    target: StackWalker, *stacks: tuple[list[int], int], link: int = 0
) -> tuple[list[int], list[Ending]]:
    words = np.array([word for stack, _ in stacks for word in stack] or [], np.uint64)
    counts = np.array([len(stack) for stack, _ in stacks], np.int64)
    starts = Starts(
        np.array([first for _, first in stacks], np.uint64),
        np.full(len(stacks), link, np.uint64),
        np.cumsum(counts) - counts,
        counts,
    )
    walked = target.walk(words, starts)
    return walked.hashes.tolist(), [Ending(each) for each in walked.endings.tolist()]


CHAIN = ("main.small", "main.large", "main.leaf", "main.small", EXIT)


def test_a_stack_is_walked_to_its_first_function() -> None:
    target = walker()
    words = np.array(amd64(*CHAIN), np.uint64)
    pcs, places, ending = target.walk_one(words, pc(CHAIN[0]))
    assert pcs == tuple(pc(name) for name in CHAIN)
    assert places == (0, 3, 24, 25, 28)
    assert ending is Ending.WHOLE


def test_many_are_told_apart_and_end_as_one_alone_does() -> None:
    target = walker()
    whole = (amd64(*CHAIN), pc(CHAIN[0]))
    other = (amd64("main.large", "main.large", EXIT), pc("main.large"))
    cut = (amd64(*CHAIN)[:-1], pc(CHAIN[0]))
    lost = ([*amd64("main.small", EXIT)[:-1], 12345], pc("main.small"))
    stacks = [whole, other, cut, lost] * 3
    hashes, endings = walk(target, *stacks)
    assert hashes[:4] == hashes[4:8] == hashes[8:]
    assert len(set(hashes[:2])) == 2
    assert endings[:4] == [Ending.WHOLE, Ending.WHOLE, Ending.CUT, Ending.LOST]
    one_by_one = [walk(target, stack) for stack in stacks]
    assert [each for found, _ in one_by_one for each in found] == hashes
    assert [each for _, found in one_by_one for each in found] == endings


def test_a_goroutine_that_has_not_begun_stands_at_an_entry() -> None:
    pcs, _, ending = walker().walk_one(np.array([pc(EXIT, 1)], np.uint64), pc("main.large", 0))
    assert pcs == (pc("main.large", 0), pc(EXIT, 1))
    assert ending is Ending.WHOLE


def test_functions_that_change_stacks_end_a_walk_but_where_it_begins() -> None:
    target = walker()
    assert walk(target, (amd64("main.switcher", EXIT), pc("main.switcher")))[1] == [Ending.WHOLE]
    assert walk(target, (amd64("main.small", "main.switcher", EXIT), pc("main.small")))[1] == [Ending.LOST]
    through = amd64("main.small", "runtime.cgocallback", EXIT)
    assert walk(target, (through, pc("main.small")))[1] == [Ending.WHOLE]
    assert walk(target, ([pc(EXIT)], pc("main.foreign")))[1] == [Ending.LOST]


def test_arm64_takes_return_addresses_from_below_and_from_the_register() -> None:
    target = walker(uses_link=True)
    chain = ("main.small", "main.large", "main.small", EXIT)
    words = np.array(arm64(*chain), np.uint64)
    pcs, places, ending = target.walk_one(words, pc(chain[0]))
    assert pcs == tuple(pc(name) for name in chain)
    assert (places, ending) == ((0, 2, 22, 24), Ending.WHOLE)
    assert walk(target, *[(words.tolist(), pc(chain[0]))] * 6)[1] == [Ending.WHOLE] * 6
    leaf = arm64("main.small", EXIT)
    pcs, _, ending = target.walk_one(np.array(leaf, np.uint64), pc("main.leaf"), pc("main.small"))
    assert pcs == (pc("main.leaf"), pc("main.small"), pc(EXIT))
    hashes, endings = walk(target, *[(leaf, pc("main.leaf"))] * 6, link=pc("main.small"))
    assert (endings, len(set(hashes))) == ([Ending.WHOLE] * 6, 1)


def test_arm64_skips_what_a_signal_pushed() -> None:
    chain = ("runtime.asyncPreempt", "main.small", EXIT)
    pcs, _, ending = walker(uses_link=True).walk_one(np.array(arm64(*chain), np.uint64), pc(chain[0]))
    assert (pcs, ending) == (tuple(pc(name) for name in chain), Ending.WHOLE)


def test_frame_pointers_lead_to_the_top_where_tables_do_not() -> None:
    target, base = walker(), 0xC000
    words = np.array([1, 2, base + 8 * 5, pc("main.small"), 9, 0, pc(EXIT)], np.uint64)
    assert target.walk_frames(words, pc("main.leaf"), base, base + 16) == (
        pc("main.leaf"), pc("main.small"), pc(EXIT),
    )  # fmt: skip
    assert target.walk_frames(words, pc("main.leaf"), base, base + 8) == ()
    assert target.walk_frames(words, pc("main.leaf"), base, 0) == ()


def test_no_stacks_are_no_work() -> None:
    assert walk(walker()) == ([], [])


@pytest.mark.parametrize("uses_link", [False, True])
@given(
    st.lists(st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from(NAMES).map(pc)), max_size=80),
    st.lists(st.integers(0, 90), min_size=1, max_size=12),
    st.sampled_from(NAMES),
)
def test_any_words_give_an_ending_and_both_walks_agree(
    uses_link: bool, words: list[int], begins: list[int], first: str
) -> None:
    target = walker(uses_link=uses_link)
    flat = np.array(words, np.uint64)
    starts = np.minimum(np.array(begins, np.int64), len(words))
    count = len(starts)
    walked = target.walk(
        flat,
        Starts(np.full(count, pc(first), np.uint64), np.zeros(count, np.uint64), starts, len(words) - starts),
    )
    for index, begin in enumerate(starts.tolist()):
        pcs, places, ending = target.walk_one(flat[begin:], pc(first))
        assert ending == walked.endings[index]
        assert len(pcs) == len(places) <= len(words) + 2
        same = [each for each in range(count) if walked.hashes[each] == walked.hashes[index]]
        assert all(target.walk_one(flat[int(starts[each]) :], pc(first))[0] == pcs for each in same)
