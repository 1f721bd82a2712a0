"""Case files: evidence as bytes, and back.

A case file (``*.leadline``) is a zip archive, stored without zip compression, with

- ``manifest.json``: ``format_version``, ``leadline`` (version of the writer), ``host``, ``clocks``, ``redactions`` and
  ``members`` (per member: ``kind``, ``name``, ``records``, ``size_bytes`` and ``sha256`` as stored, ``text_bytes`` when
  decompressed);
- ``<kind>.jsonl.zst`` for every observed kind: zstd-compressed JSON, one record per line, in order of arrival. A kind that was
  observed but has no record has an empty member; a kind that was not observed has none.

The same evidence gives the same bytes. Reading checks names, sizes, digests and counts before it believes anything, and bounds
what decompression may yield. Secrets are removed on writing (:mod:`leadline.evidence.redaction`).
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib

import msgspec
import zstandard

from leadline import __version__
from leadline.evidence.kinds import KINDS, HostInfo, Window
from leadline.evidence.redaction import RULES, redacted
from leadline.evidence.store import Evidence
from leadline.model import BundleError, Gap, GapReason

__all__ = [
    "FORMAT_VERSION",
    "MAX_TEXT_BYTES",
    "Manifest",
    "Member",
    "decode_bundle",
    "encode_bundle",
    "read_manifest",
]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_TEXT_BYTES = 1 << 30
"""Most bytes that all members together may decompress to; 18,000 sockets with their stacks need about 20 MiB."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NOT_A_CASE = "this is not a leadline case file"
_AGAIN = "record or copy the case again"
_UNZIP_ERRORS = (
    zipfile.BadZipFile, struct.error, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError, KeyError, OSError,
    OverflowError, MemoryError,
)  # fmt: skip


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of evidence in a case; ``sha256`` (hex) and ``size_bytes`` are of the compressed bytes."""

    kind: str
    name: str
    records: int
    size_bytes: int
    text_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a case file says of itself.

    Attributes:
        format_version: 1.
        leadline: version of the writer.
        host: kernel release, machine and features; empty when the host was not observed.
        clocks: clock name to its meaning; the window's beginning on both clocks, so that one can be turned into the other.
        redactions: what was taken out, in words.
        members: in the order of ``KINDS``.
    """

    format_version: int
    leadline: str
    host: dict[str, str | dict[str, str]] = {}
    clocks: dict[str, str | int] = {}
    redactions: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()


class _Versioned(msgspec.Struct):
    format_version: int


def encode_bundle(evidence: Evidence) -> bytes:
    """Return the bytes of a case file: redacted, deterministic, with a digest per member."""
    evidence = redacted(evidence)
    encoder = msgspec.json.Encoder(order="deterministic")
    compressor = zstandard.ZstdCompressor(level=10)
    members: list[Member] = []
    stored: list[tuple[str, bytes]] = []
    for kind in evidence.observed():
        records = evidence.all(KINDS[kind])
        text = b"".join(encoder.encode(record) + b"\n" for record in records)
        packed = compressor.compress(text)
        name = f"{kind}.jsonl.zst"
        digest = hashlib.sha256(packed).hexdigest()
        members.append(
            Member(
                kind=kind, name=name, records=len(records), size_bytes=len(packed), text_bytes=len(text), sha256=digest
            )
        )  # fmt: skip
        stored.append((name, packed))
    manifest = _manifest(evidence, tuple(members))
    text = msgspec.json.format(encoder.encode(manifest), indent=1) + b"\n"
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [(MANIFEST, text), *stored]:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)
    return into.getvalue()


def decode_bundle(content: bytes) -> Evidence:
    """Return the evidence of a case file.

    A member of a kind that this version does not know is left out and noted as a gap.

    Raises:
        BundleError: not a case file, of an unknown version, or damaged in any way.
    """
    archive, manifest = _open(content)
    evidence = Evidence()
    budget = MAX_TEXT_BYTES
    strange: list[str] = []
    for member in manifest.members:
        packed = _stored(archive, member.name, limit_bytes=member.size_bytes)
        if len(packed) != member.size_bytes or hashlib.sha256(packed).hexdigest() != member.sha256:
            raise BundleError(f"{member.name}: size or digest differs from the manifest", remedy=_AGAIN)
        if not 0 <= member.text_bytes <= budget:
            raise BundleError(
                f"{member.name}: would decompress to more than {MAX_TEXT_BYTES} bytes", remedy=_AGAIN
            )
        budget -= member.text_bytes
        if member.kind not in KINDS:
            strange.append(member.kind)
            continue
        kind = KINDS[member.kind]
        evidence.put_all(kind, _records(kind, _text(member, packed), member))
    for name in sorted(strange):
        evidence.gap(_strange_kind(name, manifest.leadline))
    return evidence


def read_manifest(content: bytes) -> Manifest:
    """Return what a case file says of itself, without decompressing its members; raises as ``decode_bundle``."""
    return _open(content)[1]


def _manifest(evidence: Evidence, members: tuple[Member, ...]) -> Manifest:
    host = evidence.first(HostInfo)
    window = evidence.first(Window)
    clocks: dict[str, str | int] = {
        "mono": "CLOCK_MONOTONIC",
        "boot": "CLOCK_BOOTTIME",
        "unix": "CLOCK_REALTIME",
    }
    if window is not None:
        clocks |= {"begin_mono_ns": window.begin_mono_ns, "begin_unix_ns": window.begin_unix_ns}
    about: dict[str, str | dict[str, str]] = {}
    if host is not None:
        about = {"kernel_release": host.kernel_release, "machine": host.machine, "features": host.features}
    return Manifest(
        format_version=FORMAT_VERSION,
        leadline=__version__,
        host=about,
        clocks=clocks,
        redactions=RULES,
        members=members,
    )


def _open(content: bytes) -> tuple[zipfile.ZipFile, Manifest]:
    """Return the archive and its manifest, after checking that they name the same members and nothing twice."""
    if not content.startswith(b"PK\x03\x04"):
        raise BundleError(_NOT_A_CASE, remedy="give a file that leadline wrote with -o")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        names = archive.namelist()
    except _UNZIP_ERRORS as error:
        raise BundleError("the case file is damaged or cut short", remedy=_AGAIN) from error
    if MANIFEST not in names:
        raise BundleError(
            f"{_NOT_A_CASE}: it has no manifest", remedy="give a file that leadline wrote with -o"
        )
    text = _stored(archive, MANIFEST, limit_bytes=MAX_MANIFEST_BYTES)
    try:
        version = msgspec.json.decode(text, type=_Versioned).format_version
        if version != FORMAT_VERSION:
            raise BundleError(
                f"the case has format version {version}; this leadline ({__version__}) reads up to {FORMAT_VERSION}",
                remedy="read it with a newer leadline: pip install --upgrade leadline",
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"the manifest of the case is damaged: {error}", remedy=_AGAIN) from error
    wanted = [MANIFEST, *(member.name for member in manifest.members)]
    if any(
        member.name != f"{member.kind}.jsonl.zst" or not member.kind.isidentifier()
        for member in manifest.members
    ):
        raise BundleError("the manifest names a member that no case has", remedy=_AGAIN)
    if sorted(names) != sorted(wanted) or len(set(names)) != len(names):
        raise BundleError(
            "the case has members that its manifest does not list, or lacks some", remedy=_AGAIN
        )
    return archive, manifest


def _stored(archive: zipfile.ZipFile, name: str, *, limit_bytes: int) -> bytes:
    """Return a member's bytes; only members stored without zip compression are read, so sizes cannot explode here."""
    try:
        entry = archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > limit_bytes:
            raise BundleError(f"{name}: too large or packed in another way than leadline does", remedy=_AGAIN)
        return archive.read(entry)
    except _UNZIP_ERRORS as error:
        raise BundleError(f"{name}: damaged: {error}", remedy=_AGAIN) from error


def _text(member: Member, packed: bytes) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed)
    try:
        text = reader.read(member.text_bytes + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise BundleError(f"{member.name}: cannot be decompressed: {error}", remedy=_AGAIN) from error
    if len(text) != member.text_bytes:
        raise BundleError(
            f"{member.name}: decompresses to another size than the manifest says", remedy=_AGAIN
        )
    return text


def _records(kind: type[msgspec.Struct], text: bytes, member: Member) -> list[msgspec.Struct]:
    try:
        records: list[msgspec.Struct] = msgspec.json.Decoder(kind).decode_lines(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{member.name}: a record does not have the expected form: {error}", remedy=_AGAIN
        ) from error
    if len(records) != member.records:
        raise BundleError(
            f"{member.name}: {len(records)} records, but the manifest says {member.records}", remedy=_AGAIN
        )
    return records


def _strange_kind(name: str, writer: str) -> Gap:
    return Gap(
        what=f"evidence of kind {name}",
        reason=GapReason.UNSUPPORTED,
        detail=f"the case was written by leadline {writer}, this is {__version__}",
        remedy="replay the case with the version that wrote it",
        probe="case file",
    )
