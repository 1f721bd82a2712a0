from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from leadline.evidence import Evidence
from leadline.evidence.bundle import (
    FORMAT_VERSION,
    MAX_TEXT_BYTES,
    decode_bundle,
    encode_bundle,
    read_manifest,
)
from leadline.evidence.kinds import KINDS, Birthplace, ProcessInfo, Refusal, SocketState
from leadline.evidence.redaction import redacted
from leadline.model import BundleError, Gap
from report_samples import sample_evidence

OLD = Path(__file__).parents[2] / "fixtures" / "bundles" / "format-1" / "case.leadline"
CASE = encode_bundle(sample_evidence())


def same(one: Evidence, two: Evidence) -> bool:
    return one.observed() == two.observed() and all(one.get(kind) == two.get(kind) for kind in KINDS.values())


def rebuilt(content: bytes, change: dict[str, bytes | None], **manifest: Any) -> bytes:
    """Return the case with members replaced, dropped or added and its manifest made to match, apart from ``manifest``."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    head = json.loads(files["manifest.json"] or b"")
    files |= change
    for member in head["members"]:
        packed = files[member["name"]]
        if packed is not None:
            member |= {"size_bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
    files["manifest.json"] = json.dumps(head | manifest).encode()
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name, packed in files.items():
            if packed is not None:
                archive.writestr(name, packed)
    return into.getvalue()


def test_what_is_written_is_read_back_equal() -> None:
    evidence = sample_evidence()
    assert same(decode_bundle(encode_bundle(evidence)), redacted(evidence))


def test_the_same_evidence_gives_the_same_bytes_and_reading_loses_nothing() -> None:
    assert encode_bundle(sample_evidence()) == CASE == encode_bundle(decode_bundle(CASE))


def test_empty_and_unobserved_kinds_stay_apart() -> None:
    back = decode_bundle(CASE)
    assert back.get(Refusal) == ()
    empty = Evidence()
    empty.put_all(SocketState, [])
    back = decode_bundle(encode_bundle(empty))
    assert (back.get(SocketState), back.get(Refusal)) == ((), None)
    assert decode_bundle(encode_bundle(Evidence())).observed() == {}


def test_the_manifest_says_what_is_inside() -> None:
    manifest = read_manifest(CASE)
    assert manifest.format_version == FORMAT_VERSION
    assert manifest.host["kernel_release"] == "6.1.0-18-amd64"
    assert manifest.clocks["begin_mono_ns"] == 100 * 10**9
    assert manifest.redactions
    assert {member.kind: member.records for member in manifest.members} == sample_evidence().observed()


def test_a_case_of_the_first_format_is_still_read() -> None:
    """The file was written once by tools of format 1 and is never written again."""
    back = decode_bundle(OLD.read_bytes())
    process = back.first(ProcessInfo)
    assert process is not None
    assert (process.comm, process.nofile_soft) == ("quotes", 1024)
    assert [place.births for place in back.all(Birthplace)] == [25, 100]
    assert len(back.all(SocketState)) == 28


def test_a_newer_format_is_refused_with_a_way_out() -> None:
    with pytest.raises(BundleError, match="format version 2") as caught:
        decode_bundle(rebuilt(CASE, {}, format_version=2))
    assert "upgrade" in caught.value.remedy


def test_a_kind_from_the_future_becomes_a_gap() -> None:
    packed = zstandard.compress(b"{}\n")
    members = [
        *json.loads(msgspec.json.encode(read_manifest(CASE).members)),
        {
            "kind": "weather",
            "name": "weather.jsonl.zst",
            "records": 1,
            "size_bytes": len(packed),
            "text_bytes": 3,
            "sha256": hashlib.sha256(packed).hexdigest(),
        },
    ]
    back = decode_bundle(rebuilt(CASE, {"weather.jsonl.zst": packed}, members=members))
    assert [gap.what for gap in back.all(Gap)][-1] == "evidence of kind weather"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a leadline case"),
        (b"hello", "not a leadline case"),
        (CASE[: len(CASE) // 2], "damaged or cut short"),
        (rebuilt(CASE, {"extra.txt": b"x"}), "does not list"),
        (rebuilt(CASE, {"../../etc/passwd": b"x"}), "does not list"),
        (rebuilt(CASE, {"window.jsonl.zst": None}), "lacks some"),
        (rebuilt(CASE, {"window.jsonl.zst": zstandard.compress(b'{"type":"gap"}\n' * 5)}), "another size"),
        (rebuilt(CASE, {"window.jsonl.zst": b"not zstd"}), "decompress"),
        (rebuilt(CASE, {}, members="x"), "manifest"),
        (
            rebuilt(
                CASE,
                {},
                members=[
                    {
                        "kind": "../x",
                        "name": "../x.jsonl.zst",
                        "records": 0,
                        "size_bytes": 0,
                        "text_bytes": 0,
                        "sha256": "",
                    }
                ],
            ),
            "no case has",
        ),
    ],
)
def test_damage_is_named(content: bytes, says: str) -> None:
    with pytest.raises(BundleError, match=says):
        decode_bundle(content)


def _member(name: str, packed: bytes, text_bytes: int, records: int) -> bytes:
    members = [
        json.loads(msgspec.json.encode(member))
        | (
            {
                "size_bytes": len(packed),
                "sha256": hashlib.sha256(packed).hexdigest(),
                "text_bytes": text_bytes,
                "records": records,
            }
            if member.kind == name
            else {}
        )
        for member in read_manifest(CASE).members
    ]
    return rebuilt(CASE, {f"{name}.jsonl.zst": packed}, members=members)


def test_decompression_is_bounded() -> None:
    bomb = zstandard.compress(b"\n" * (64 << 20))
    assert len(bomb) < 10_000
    with pytest.raises(BundleError, match="another size"):
        decode_bundle(_member("window", bomb, 10, 1))
    with pytest.raises(BundleError, match="would decompress"):
        decode_bundle(_member("window", bomb, MAX_TEXT_BYTES + 1, 1))


def test_records_of_another_form_or_number_are_refused() -> None:
    wrong = b'{"type":"gap","what":"x","reason":"timeout"}\n'
    with pytest.raises(BundleError, match="expected form"):
        decode_bundle(_member("window", zstandard.compress(wrong), len(wrong), 1))
    right = b'{"type":"window","begin_mono_ns":1,"end_mono_ns":2,"begin_unix_ns":3,"mode":"bpf"}\n'
    with pytest.raises(BundleError, match="1 records, but the manifest says 2"):
        decode_bundle(_member("window", zstandard.compress(right), len(right), 2))


def test_zip_compressed_members_are_refused() -> None:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * (32 << 20))
    with pytest.raises(BundleError, match="packed in another way"):
        decode_bundle(into.getvalue())


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_evidence_or_a_bundle_error(content: bytes, zip_like: bool) -> None:
    try:
        decode_bundle(b"PK\x03\x04" + content if zip_like else content)
    except BundleError:
        return


@given(st.integers(0, len(CASE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_harmless(place: int, difference: int) -> None:
    changed = bytearray(CASE)
    changed[place] ^= difference
    try:
        back = decode_bundle(bytes(changed))
    except BundleError:
        return
    assert same(back, decode_bundle(CASE))


@given(st.integers(0, len(CASE)))
def test_a_cut_file_is_refused(length: int) -> None:
    if length < len(CASE):
        with pytest.raises(BundleError):
            decode_bundle(CASE[:length])
