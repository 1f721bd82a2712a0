"""Goroutine profiles as ``go tool pprof`` reads them (``debug=0``): goroutines counted by stack, as protobuf.

Wire form: google/pprof, proto/profile.proto; written by runtime/pprof/proto.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leadline.model import Malformed

__all__ = ["CountedStack", "parse_goroutine_profile"]

SOURCE = "goroutine profile"
MAX_RECORDS = 1_000_000
MAX_FRAMES = 1_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Frame = tuple[str, str | None, int | None, bool]
"""Function, file, line, whether it was inlined."""


@dataclass(frozen=True, slots=True)
class CountedStack:
    """Goroutines with the same stack; ``frames`` are leaf first."""

    count: int
    frames: tuple[Frame, ...]
    labels: dict[str, str]


def parse_goroutine_profile(content: bytes) -> tuple[CountedStack, ...]:
    """Return the stacks of a goroutine profile, uncompressed.

    Raises:
        Malformed: damaged, not a profile, or a profile of something else.
    """
    samples: list[bytes] = []
    locations: list[bytes] = []
    functions: list[bytes] = []
    texts: list[str] = []
    types: list[bytes] = []
    lists = {1: types, 2: samples, 4: locations, 5: functions}
    for number, value in _fields(content):
        if number == 6 and isinstance(value, bytes):
            texts.append(value.decode("utf-8", errors="backslashreplace"))
        elif isinstance(value, bytes) and number in lists:
            lists[number].append(value)
        if len(texts) + len(samples) + len(locations) + len(functions) > MAX_RECORDS:
            raise Malformed(SOURCE, f"more than {MAX_RECORDS:,} records")
    kinds = [_text(texts, _first(one, 1)) for one in types]
    if not kinds or kinds[0] not in ("goroutine", "goroutineleak"):
        raise Malformed(
            SOURCE,
            f"a profile of {kinds[0] if kinds else 'nothing'!r}, not of goroutines",
            sample=content[:64],
        )
    names = {
        _first(one, 1): (_text(texts, _first(one, 2)), _text(texts, _first(one, 4)) or None)
        for one in functions
    }
    places = {_first(one, 1): _lines(one, names) for one in locations}
    return tuple(_stack(one, places, texts) for one in samples)


def _stack(sample: bytes, places: dict[int, tuple[Frame, ...]], texts: list[str]) -> CountedStack:
    count, frames, labels = 0, list[Frame](), {}
    is_counted = False
    for number, value in _fields(sample):
        if number == 1:
            for location in _numbers(value):
                frames += places.get(location, (("?", None, None, False),))
                if len(frames) > MAX_FRAMES:
                    raise Malformed(SOURCE, f"a stack of more than {MAX_FRAMES} frames")
        elif number == 2 and not is_counted:
            count, is_counted = next(iter(_numbers(value)), 0), True
        elif number == 3 and isinstance(value, bytes) and _first(value, 2):
            labels[_text(texts, _first(value, 1))] = _text(texts, _first(value, 2))
    return CountedStack(count if count < 1 << 62 else 0, tuple(frames), labels)


def _lines(location: bytes, names: dict[int, tuple[str, str | None]]) -> tuple[Frame, ...]:
    """Return the frames of one machine frame, leaf first: all but the last were inlined."""
    lines = [value for number, value in _fields(location) if number == 4 and isinstance(value, bytes)]
    frames = []
    for place, line in enumerate(lines[:MAX_FRAMES]):
        name, file = names.get(_first(line, 1), ("?", None))
        frames.append((name or "?", file, _first(line, 2) or None, place + 1 < len(lines)))
    return tuple(frames) or (("?", None, None, False),)


def _text(texts: list[str], number: int) -> str:
    return texts[number] if number < len(texts) else ""


def _first(message: bytes, wanted: int) -> int:
    """Return the first number of a field; 0 when there is none, as protobuf means it."""
    return next(
        (value for number, value in _fields(message) if number == wanted and isinstance(value, int)), 0
    )


def _numbers(value: int | bytes) -> Iterator[int]:
    """Yield the numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        yield value
        return
    place = 0
    while place < len(value):
        number, place = _varint(value, place)
        yield number


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        form = key & 7
        if form == _VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if form == _BYTES:
            size, place = _varint(message, place)
        elif form in (_FIXED64, _FIXED32):
            size = 8 if form == _FIXED64 else 4
        else:
            raise Malformed(SOURCE, f"unknown wire type {form}", offset_bytes=place)
        if size > end - place:
            raise Malformed(SOURCE, "cut off", offset_bytes=place)
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise Malformed(SOURCE, "cut off", offset_bytes=place)
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise Malformed(SOURCE, "a number of more than 70 bits", offset_bytes=place)
