"""Profiles for ``go tool pprof``: stacks with values and labels, as gzip-compressed protobuf.

The protobuf is written by hand: the message is small and stable (google/pprof, proto/profile.proto).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable

from leadline.model import SiteFrame, printable

__all__ = ["Frames", "Labels", "Profile"]

Frames = tuple[SiteFrame, ...]
"""A stack, leaf first."""
Labels = tuple[tuple[str, str], ...]
"""Keys and values."""


class Profile:
    """A profile in the making; numbers are given in the order in which things come, so that equal input gives equal bytes.

    Args:
        kinds: sample types as (kind, unit); the first one is the default.
    """

    def __init__(self, kinds: tuple[tuple[str, str], ...]) -> None:
        self._kinds = kinds
        self._strings = _Strings()
        self._functions = _Table()
        self._locations = _Table()
        self._samples = bytearray()
        self._types = b"".join(
            _message(1, _number(1, self._strings.id(kind)) + _number(2, self._strings.id(unit)))
            for kind, unit in kinds
        )

    def add(self, frames: Frames, values: tuple[int, ...], labels: Labels = ()) -> None:
        """Add a sample: one value for each sample type."""
        groups = _inlined_groups(frames)
        sample = _packed(
            1, (_location(group, self._locations, self._functions, self._strings) for group in groups)
        )
        sample += _packed(2, values)
        for key, value in labels:
            sample += _message(
                3,
                _number(1, self._strings.id(printable(key))) + _number(2, self._strings.id(printable(value))),
            )
        self._samples += _message(2, sample)

    def encode(
        self,
        *,
        exe: str,
        build_id: str,
        comment: str,
        begin_unix_ns: int | None = None,
        duration_ns: int = 0,
    ) -> bytes:
        """Return the profile.

        Args:
            exe: path of the program, "" when unknown.
            build_id: of the program, "" when unknown.
            comment: what it holds, in one sentence.
            begin_unix_ns: when it was taken; None when unknown.
            duration_ns: over how long.
        """
        body = bytearray(self._types + self._samples)
        program = self._strings.id(printable(exe))
        build = self._strings.id(printable(build_id))
        names = b"".join(_number(field, 1) for field in (7, 8, 9, 10))
        # One mapping without addresses, with everything resolved: pprof then looks for no binary.
        body += _message(3, _number(1, 1) + _number(5, program) + _number(6, build) + names)
        body += b"".join(_message(4, entry) for entry in self._locations.entries)
        body += b"".join(_message(5, entry) for entry in self._functions.entries)
        said = self._strings.id(comment)
        default = self._strings.id(self._kinds[0][0])
        body += b"".join(_message(6, text.encode()) for text in self._strings.texts)
        if begin_unix_ns is not None:
            body += _number(9, begin_unix_ns) + _number(10, duration_ns)
        body += _number(13, said) + _number(14, default)
        return gzip.compress(bytes(body), mtime=0)


def _inlined_groups(frames: Frames) -> list[Frames]:
    """Return the frames in groups of one machine frame each: inlined ones with the function that holds them, leaf first."""
    groups: list[Frames] = []
    current: list[SiteFrame] = []
    for frame in frames:
        current.append(frame)
        if not frame.inlined:
            groups.append(tuple(current))
            current = []
    if current:
        groups.append(tuple(current))
    return groups


class _Strings:
    """The string table; number 0 is the empty string."""

    def __init__(self) -> None:
        self.texts = [""]
        self._ids = {"": 0}

    def id(self, text: str) -> int:
        if text not in self._ids:
            self._ids[text] = len(self.texts)
            self.texts.append(text)
        return self._ids[text]


class _Table:
    """Messages that are referred to by number, counted from 1."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self._ids: dict[object, int] = {}

    def find(self, key: object) -> int | None:
        return self._ids.get(key)

    def add(self, key: object, entry: bytes) -> int:
        self.entries.append(entry)
        self._ids[key] = len(self.entries)
        return len(self.entries)


def _location(group: Frames, locations: _Table, functions: _Table, strings: _Strings) -> int:
    found = locations.find(group)
    if found is not None:
        return found
    lines = b"".join(
        _message(4, _number(1, _function(frame, functions, strings)) + _number(2, frame.line or 0))
        for frame in group
    )
    number = len(locations.entries) + 1
    return locations.add(group, _number(1, number) + _number(2, 1) + lines)


def _function(frame: SiteFrame, functions: _Table, strings: _Strings) -> int:
    key = (frame.function, frame.file)
    found = functions.find(key)
    if found is not None:
        return found
    name = strings.id(printable(frame.function))
    file = strings.id(printable(frame.file or ""))
    number = len(functions.entries) + 1
    return functions.add(key, _number(1, number) + _number(2, name) + _number(3, name) + _number(4, file))


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _message(field, b"".join(_varint(value) for value in values))
