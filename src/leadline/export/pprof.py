"""Open descriptors by the stack that acquired them, as a profile for ``go tool pprof``.

Two sample types: ``open_fds/count`` (the default) and ``age/nanoseconds`` (ages added up; of a descriptor older than the
watch, the time it was watched). Labels: ``kind``, ``state`` (of its socket) and ``origin``. The stack of a connection that a
helper goroutine dialled goes on with the stack of the goroutine that asked. What was open before the watch stands under
``(open before the watch)``.

The protobuf is written by hand: the message is small and stable (google/pprof, proto/profile.proto).
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterable

from leadline import __version__
from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, Origin, Window
from leadline.evidence.queries import end_mono_ns, joined, stacks, target, whole_stack
from leadline.model import SiteFrame, printable

__all__ = ["ORIGIN_FRAMES", "encode"]

ORIGIN_FRAMES = {
    Origin.TRACED: "(stack unknown)",
    Origin.BEFORE: "(open before the watch)",
    Origin.INHERITED: "(inherited)",
    Origin.UNKNOWN: "(origin unknown)",
}
"""What stands for a stack where there is none."""

Frames = tuple[SiteFrame, ...]
Labels = tuple[tuple[str, str], ...]


def encode(evidence: Evidence, verdicts: Verdicts) -> bytes:  # noqa: ARG001  every exporter has this signature
    """Return a gzip-compressed profile; without descriptors it has no samples."""
    window = evidence.first(Window)
    process = target(evidence)
    strings = _Strings()
    functions = _Table()
    locations = _Table()
    body = bytearray()
    for kind, unit in (("open_fds", "count"), ("age", "nanoseconds")):
        body += _message(1, _number(1, strings.id(kind)) + _number(2, strings.id(unit)))
    for (frames, labels), (count, age_ns) in _samples(evidence).items():
        sample = _packed(
            1, (_location(group, locations, functions, strings) for group in _inlined_groups(frames))
        )
        sample += _packed(2, (count, age_ns))
        for key, value in labels:
            sample += _message(3, _number(1, strings.id(key)) + _number(2, strings.id(value)))
        body += _message(2, sample)
    exe = "" if process is None else printable(process.exe or process.comm)
    build_id = "" if process is None else printable(process.build_id or "")
    names = b"".join(_number(field, 1) for field in (7, 8, 9, 10))
    # One mapping without addresses, with everything resolved: pprof then looks for no binary.
    body += _message(
        3, _number(1, 1) + _number(5, strings.id(exe)) + _number(6, strings.id(build_id)) + names
    )
    body += b"".join(_message(4, entry) for entry in locations.entries)
    body += b"".join(_message(5, entry) for entry in functions.entries)
    comment = strings.id(
        f"leadline {__version__}: descriptors open at the end of the watch, by the stack that acquired them"
    )
    default = strings.id("open_fds")
    body += b"".join(_message(6, text.encode()) for text in strings.texts)
    if window is not None:
        body += _number(9, window.begin_unix_ns) + _number(10, max(window.duration_ns, 0))
    body += _number(13, comment) + _number(14, default)
    return gzip.compress(bytes(body), mtime=0)


def _samples(evidence: Evidence) -> dict[tuple[Frames, Labels], tuple[int, int]]:
    """Return (descriptors, nanoseconds of age) by stack and labels, in order of pid and number."""
    known = stacks(evidence)
    end_ns = end_mono_ns(evidence) or 0
    found: defaultdict[tuple[Frames, Labels], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for descriptor, socket, place in joined(evidence):
        frames = whole_stack(place, known) if place is not None else ()
        labels = [("kind", descriptor.kind.value), ("origin", descriptor.origin.value)]
        if socket is not None:
            labels.append(("state", printable(socket.state)))
        key = (
            frames or (SiteFrame(function=ORIGIN_FRAMES[descriptor.origin], role="runtime"),),
            tuple(labels),
        )
        count, age_ns = found[key]
        found[key] = (count + 1, age_ns + _age_ns(descriptor, end_ns))
    return dict(found)


def _age_ns(descriptor: Descriptor, end_ns: int) -> int:
    since = descriptor.seen_since_mono_ns if descriptor.born_mono_ns is None else descriptor.born_mono_ns
    return max(end_ns - since, 0)


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
