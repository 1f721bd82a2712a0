"""Whatever carried a dump, its lines come out as Go printed them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.dumptext import is_binary, plain_text, unpacked
from leadline.model import Gap, Malformed

DUMPS = Path(__file__).resolve().parents[2] / "fixtures" / "dumps"
PLAIN = (DUMPS / "go1.27-debug2.txt").read_bytes()
CRASH = gzip.decompress((DUMPS / "go1.26-crash.txt.gz").read_bytes())


def carried_text(content: bytes) -> tuple[bytes, list[Gap]]:
    text, gaps = unpacked(content)
    return plain_text(text), gaps


def prefixed(text: bytes, *prefixes: bytes) -> bytes:
    lines = text.splitlines()
    return b"".join(prefixes[number % len(prefixes)] + line + b"\n" for number, line in enumerate(lines))


@pytest.mark.parametrize("text", [PLAIN, CRASH], ids=["debug2", "crash"])
@pytest.mark.parametrize(
    "prefixes",
    [
        (b"2026-01-02T03:04:05.123456789Z stderr F ", b"2026-01-02T03:04:06.1Z stdout F "),
        (b"Nov  9 19:12:01 host-7 api[4711]: ", b"Nov 10 00:00:00 host-7 api[4711]: "),
        (b"api-1  | ",),
        (b"    ",),
        (b"2026/01/02 15:04:05 ",),
        (b"[2026-01-02 03:04:05,006] INFO (srv/7) ",),
        (b"\x1b[36mweb-1   |\x1b[0m ",),
    ],
    ids=["kubernetes", "journald", "compose", "indented", "log", "brackets", "colours"],
)
def test_prefixes_of_every_line_are_taken_off(text: bytes, prefixes: tuple[bytes, ...]) -> None:
    assert carried_text(prefixed(text, *prefixes)) == (text, [])


def test_a_line_without_the_prefix_stays() -> None:
    text = b"pod-1 goroutine 1 [running]:\nelsewhere\npod-1 main.main()\n"
    assert carried_text(text)[0] == b"goroutine 1 [running]:\nelsewhere\nmain.main()\n"


def test_empty_lines_may_have_lost_the_space_behind_their_prefix() -> None:
    text = b"t: goroutine 1 [running]:\nt: main.main()\nt:\nt: goroutine 2 [select]:\n"
    assert carried_text(text)[0] == b"goroutine 1 [running]:\nmain.main()\n\ngoroutine 2 [select]:\n"


def test_json_lines_of_docker_are_unpacked() -> None:
    lines = [
        json.dumps(
            {"log": f"{line}\n", "stream": "stderr", "time": f"2026-01-02T03:04:05.{number}Z"},
            separators=(",", ":"),
        )
        for number, line in enumerate(PLAIN.decode().split("\n")[:-1])
    ]
    assert carried_text("\n".join([*lines, ""]).encode())[0] == PLAIN


def test_a_stack_in_one_string_of_a_structured_log_is_unpacked() -> None:
    line = json.dumps({"level": "error", "stack": "x\ngoroutine 7 [running]:\nmain.f(...)\n\t/a.go:3 +0x1\n"})
    assert b"\ngoroutine 7 [running]:\nmain.f(...)\n\t/a.go:3 +0x1\n" in carried_text(line.encode())[0]


@pytest.mark.parametrize(
    "carried",
    [
        PLAIN.replace(b"\n", b"\r\n"),
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:999]) + gzip.compress(PLAIN[999:]),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.decode().encode("utf-16"),
        PLAIN.replace(b"\t", b"#011"),
        PLAIN.replace(b"goroutine", b"\x1b[1;31mgoroutine\x1b[0m"),
    ],
    ids=["CRLF", "gzip", "gzip-members", "BOM", "UTF-16", "rsyslog", "colours"],
)
def test_encodings_are_undone(carried: bytes) -> None:
    assert carried_text(carried) == (PLAIN, [])


@pytest.mark.parametrize(
    "damaged", [gzip.compress(PLAIN)[:-500], gzip.compress(PLAIN)[:-600] + b"\xff" * 600]
)
def test_damaged_gzip_gives_what_came_before_and_a_gap(damaged: bytes) -> None:
    text, gaps = carried_text(damaged)
    assert len(text) > 1000
    assert PLAIN.startswith(text[:1000])
    assert [gap.what for gap in gaps] == ["the rest of the dump"]


def test_gzip_damaged_from_its_beginning_is_malformed() -> None:
    with pytest.raises(Malformed, match="damaged gzip"):
        carried_text(b"\x1f\x8b\x08\x00garbage garbage")


def test_a_binary_profile_is_told_from_text() -> None:
    profile = gzip.decompress((DUMPS / "go1.27-debug0.pb.gz").read_bytes())
    assert is_binary(profile)
    assert not any(
        is_binary(text) for text in (PLAIN, CRASH, b"\n" + PLAIN, b"", PLAIN.decode().encode("utf-16"))
    )


@given(st.binary(max_size=400) | st.binary(max_size=100).map(lambda some: b"\x1f\x8b" + some))
def test_any_bytes_give_text_or_malformed(content: bytes) -> None:
    try:
        text, gaps = carried_text(content)
    except Malformed:
        return
    assert isinstance(text, bytes)
    assert len(gaps) <= 1
