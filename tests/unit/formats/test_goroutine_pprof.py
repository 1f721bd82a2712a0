"""Binary goroutine profiles give the stacks that the text forms give."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.formats.godump import parse_dumps
from leadline.formats.goroutine_pprof import parse_goroutine_profile
from leadline.model import Malformed

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"
PACKED = (DUMPS / "go1.27-debug0.pb.gz").read_bytes()
PROFILE = gzip.decompress(PACKED)
TRIMMED = (DUMPS / "go1.27-trimpath.txt").read_bytes()


def test_stacks_have_counts_lines_inlining_and_labels() -> None:
    stacks = parse_goroutine_profile(PROFILE)
    assert sum(stack.count for stack in stacks) == 21
    largest = max(stacks, key=lambda stack: stack.count)
    assert largest.count == 3
    assert ("main.(*session).read", "/src/states/main.go", 20, False) in largest.frames
    assert any(inlined for stack in stacks for _, _, _, inlined in stack.frames)
    assert [stack.labels for stack in stacks if stack.labels] == [{"task": "t1", "user name": 'a"b'}]


def test_a_dump_of_it_has_the_places_of_debug_2() -> None:
    dump = parse_dumps(PACKED).dumps[0]
    assert (dump.form, dump.total, len(dump.groups)) == ("counts", 21, 19)

    def own(frames: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
        return tuple(name for name, role in frames if role == "app")

    ours = sorted(own(tuple((f.function, f.role) for f in stack.frames)) for stack in dump.stacks)
    theirs = parse_dumps(TRIMMED).dumps[0]
    assert ours == sorted(own(tuple((f.function, f.role) for f in stack.frames)) for stack in theirs.stacks)
    assert not any(frame.function == "runtime.gopark" for stack in dump.stacks for frame in stack.frames)


def test_profiles_of_something_else_are_refused() -> None:
    with pytest.raises(Malformed, match="not of goroutines"):
        parse_goroutine_profile(PROFILE.replace(b"goroutine", b"inuse_spc"))


@pytest.mark.parametrize(
    "content", [PROFILE[:-3], PROFILE[: len(PROFILE) // 2], b"\x0b", b"\x08" + b"\xff" * 11, b""]
)
def test_damage_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        parse_goroutine_profile(content)


@given(st.integers(0, len(PROFILE) - 1), st.binary(min_size=1, max_size=8))
@settings(max_examples=200)
def test_any_damage_gives_stacks_or_malformed(place: int, damage: bytes) -> None:
    try:
        parse_dumps(gzip.compress(PROFILE[:place] + damage + PROFILE[place + len(damage) :], compresslevel=1))
    except Malformed:
        return


@given(st.binary(max_size=200))
def test_any_bytes_give_stacks_or_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        parse_goroutine_profile(content)
