r"""The text of a dump without what carried it: compression, encodings, line prefixes of loggers and container engines.

>>> line = b"2026-01-02T03:04:05.123Z stderr F goroutine 1 [running]:\n2026-01-02T03:04:05.9Z stderr F main.main()\n"
>>> plain_text(line)
b'goroutine 1 [running]:\nmain.main()\n'
"""

from __future__ import annotations

import re
import zlib
from collections import Counter

from leadline.model import Gap, GapReason, Malformed

__all__ = ["MAX_TEXT_BYTES", "is_binary", "plain_text", "unpacked"]

MAX_TEXT_BYTES = 2 << 30
SOURCE = "goroutine dump"
MAX_PREFIX_BYTES = 256
MAX_SHAPES = 8

_GZIP = b"\x1f\x8b"
_ANSI = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")
_HEAD = re.compile(rb"goroutine \d{1,19}(?: gp=\w+ m=[\w-]+(?: mp=\w+)?)? \[[^\]\n]{1,200}\][^\n]{0,1000}?:")
_COUNTS = re.compile(rb"goroutine(?:leak)? profile: total \d{1,12}")
_DOCKER = re.compile(rb'^\{"log":"((?:[^"\\\n]|\\.)*?)(?:\\r)?(?:\\n)?","[^\n]*\}$', re.MULTILINE)
_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x1a]")
_ONE_LINE = re.compile(rb"goroutine \d{1,19} \[[^\]\n]{1,200}\]:\\n")
_JSON_ESCAPE = re.compile(rb'\\(u00[0-7][0-9a-fA-F]|[nrt"\\/])')
_JSON_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_WORDS = re.compile(rb"\d+|[ \t]+|[A-Z][a-z]{2}(?![A-Za-z])|[^\d \tA-Z]+|[A-Z]")
_MONTH_OR_DAY = re.compile(
    rb"^(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun)$"
)


def unpacked(content: bytes) -> tuple[bytes, list[Gap]]:
    """Return what gzip holds, or the content itself, and what is damaged.

    Raises:
        Malformed: compressed data that is damaged from its beginning on.
    """
    gaps: list[Gap] = []
    return (_decompressed(content, gaps) if content.startswith(_GZIP) else content), gaps


def is_binary(content: bytes) -> bool:
    """Return whether unpacked content is a binary profile rather than text."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    return _CONTROL.search(content, 0, 4096) is not None and not _has_head(content)


def plain_text(text: bytes) -> bytes:
    """Return the lines of a dump as Go printed them, UTF-8 with LF."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):  # PowerShell writes it for `>`
        text = text.decode("utf-16", errors="replace").encode()
    text = text.removeprefix(b"\xef\xbb\xbf")
    if b"\x1b" in text:
        text = _ANSI.sub(b"", text)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b'{"log":"' in text:
        text = _DOCKER.sub(lambda match: _unescaped(match[1]), text)
    if b"\\n" in text and _ONE_LINE.search(text):  # a whole stack as one string of a structured log
        text = b"\n".join(
            _unescaped(line) if b"goroutine " in line and b"\\n" in line else line
            for line in text.split(b"\n")
        )
    if b"#011" in text:  # how rsyslog writes a tab
        text = text.replace(b"#011", b"\t")
    return _without_prefixes(text)


def _decompressed(content: bytes, gaps: list[Gap]) -> bytes:
    parts: list[bytes] = []
    room = MAX_TEXT_BYTES
    rest = content
    while rest.startswith(_GZIP):  # several members may follow each other
        unpacker = zlib.decompressobj(wbits=31)
        try:
            part = unpacker.decompress(rest, room)
        except zlib.error as error:
            part = _decompressed_stepwise(rest)
            if not part and not parts:
                raise Malformed(
                    SOURCE, f"damaged gzip data: {error}", offset_bytes=0, sample=content[:64]
                ) from error
            parts.append(part)
            gaps.append(_cut(f"damaged gzip data: {error}"))
            break
        parts.append(part)
        room -= len(part)
        if room <= 0:
            gaps.append(_cut(f"more than {MAX_TEXT_BYTES >> 30} GiB of text"))
            break
        if not unpacker.eof:
            gaps.append(_cut("the gzip data ends early"))
            break
        rest = unpacker.unused_data.lstrip(b"\x00")
    return b"".join(parts)


def _decompressed_stepwise(content: bytes) -> bytes:
    """Return what comes before the damage."""
    unpacker = zlib.decompressobj(wbits=31)
    found = bytearray()
    for start in range(0, len(content), 512):
        try:
            found += unpacker.decompress(content[start : start + 512], MAX_TEXT_BYTES - len(found) + 1)
        except zlib.error:
            break
    return bytes(found)


def _cut(detail: str) -> Gap:
    return Gap(
        what="the rest of the dump",
        reason=GapReason.MALFORMED,
        detail=detail,
        remedy="copy the file again",
        probe=SOURCE,
    )


def _has_head(text: bytes) -> bool:
    return _HEAD.search(text) is not None or _COUNTS.search(text) is not None


def _unescaped(text: bytes) -> bytes:
    return _JSON_ESCAPE.sub(_json_character, text)


def _json_character(match: re.Match[bytes]) -> bytes:
    word = match[1]
    return bytes([int(word[1:], 16)]) if word.startswith(b"u") else _JSON_ESCAPES.get(word, word)


def _without_prefixes(text: bytes) -> bytes:
    """Take off what stands before each line when it stands before the headers of goroutines, too."""
    shapes: Counter[bytes] = Counter()
    for pattern in (_HEAD, _COUNTS):
        for match in pattern.finditer(text):
            start = match.start()
            if start == 0 or text[start - 1] == 10:
                continue
            begin = text.rfind(b"\n", max(0, start - MAX_PREFIX_BYTES - 1), start) + 1
            if begin == 0 and start > MAX_PREFIX_BYTES:
                continue
            shapes[_shape(text[begin:start])] += 1
    if not shapes:
        return text
    patterns = [shape for shape, _ in shapes.most_common(MAX_SHAPES)]
    return re.sub(rb"(?m)^(?:" + b"|".join(patterns) + rb")", b"", text)


def _shape(prefix: bytes) -> bytes:
    """Return a pattern of prefixes like this one: other numbers, other widths of space, the other stream."""
    parts = []
    for word in _WORDS.findall(prefix):
        if word[:1].isdigit():
            parts.append(rb"\d+")
        elif word.isspace():
            parts.append(rb"[ \t]+")
        elif _MONTH_OR_DAY.match(word):
            parts.append(rb"[A-Z][a-z]{2}")
        else:
            parts.append(re.escape(word))
    pattern = b"".join(parts)
    pattern = pattern.replace(b"stderr", b"std(?:err|out)").replace(b"stdout", b"std(?:err|out)")
    # The last space may be missing on lines that are empty, and must not eat the indent of others.
    if pattern.endswith(rb"[ \t]+"):
        pattern = pattern.removesuffix(rb"[ \t]+") + rb"(?: {1,%d}|$)" % (
            len(prefix) - len(prefix.rstrip(b" \t"))
        )
    return pattern or rb"(?!)"
