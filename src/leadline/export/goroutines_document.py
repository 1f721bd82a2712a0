"""Goroutines as one JSON document with a stable form (``leadline goroutines --json``, ``leadline dump --json``).

Fields are added, never changed in meaning, within one ``schema_version``. Times are nanoseconds, ``null`` is unknown. A stack is
a list of frames, leaf first, as in the report document.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import msgspec

from leadline import __version__
from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Connection,
    DescriptorUse,
    Goroutine,
    GoroutineGroup,
    GoRuntime,
    ProcessInfo,
    Stack,
)
from leadline.evidence.owners import reading_frame
from leadline.evidence.queries import stacks, target
from leadline.export.json_document import document, encode_value
from leadline.model import Gap, SiteFrame

__all__ = ["SCHEMA_VERSION", "encode", "goroutines_document"]

SCHEMA_VERSION = 1
_OF_THE_REPORT = ("findings", "cleared", "not_judged")


def encode(
    evidence: Evidence,
    verdicts: Verdicts | None = None,
    *,
    full: bool = False,
    more: dict[str, Any] | None = None,
) -> bytes:
    """Return the document as indented UTF-8 text, ending with a newline.

    Args:
        evidence: with goroutines.
        verdicts: judged with it; None leaves findings out.
        full: also each goroutine by itself.
        more: further fields of the document.
    """
    value = goroutines_document(evidence, full=full)
    if verdicts is not None:
        report = document(evidence, verdicts)
        value |= {name: report[name] for name in _OF_THE_REPORT}
    return encode_value(value | (more or {}))


def goroutines_document(evidence: Evidence, *, full: bool = False) -> dict[str, Any]:
    """Return the document as plain values."""
    runtime = evidence.first(GoRuntime)
    process = target(evidence)
    value: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "leadline": __version__,
        "process": None if process is None else _process(process),
        "runtime": None if runtime is None else _plain(runtime),
        "groups": _groups(evidence),
        "descriptors": [_plain(use) for use in evidence.all(DescriptorUse)],
        "connections": [_plain(one) for one in evidence.all(Connection)],
        "gaps": [_plain(gap) for gap in evidence.all(Gap)],
    }
    if full:
        value["stacks"] = [
            {"id": stack.id, "frames": _frames(stack.frames), "truncated": stack.truncated}
            for stack in evidence.all(Stack)
        ]
        value["goroutines"] = [_plain(one) for one in evidence.all(Goroutine)]
    return value


def _process(process: ProcessInfo) -> dict[str, Any]:
    return {"pid": process.pid, "comm": process.comm, "exe": process.exe, "go_version": process.go_version}


def _plain(record: msgspec.Struct) -> dict[str, Any]:
    """Return a record with all its fields, also those that have their default."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    value: dict[str, Any] = msgspec.to_builtins(fields)
    return value


def _frames(frames: tuple[SiteFrame, ...]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(frame) for frame in frames]


def _groups(evidence: Evidence) -> list[dict[str, Any]]:
    known = stacks(evidence)
    members: defaultdict[tuple[str, int | None, bool], list[Goroutine]] = defaultdict(list)
    for one in evidence.all(Goroutine):
        members[one.state, one.stack, one.is_leaked].append(one)
    groups = [_group(state, stack, known, group) for (state, stack, _), group in members.items()]
    groups += [_counted(group, known) for group in evidence.all(GoroutineGroup)]
    return sorted(groups, key=lambda group: -group["count"])


def _group(
    state: str | None, number: int | None, known: dict[int, Stack], members: list[Goroutine]
) -> dict[str, Any]:
    stack = None if number is None else known.get(number)
    creators = Counter(one.created_by for one in members if one.created_by is not None)
    labels = Counter((key, value) for one in members for key, value in one.labels.items())
    first = None if stack is None else reading_frame(stack.frames)
    return {
        "count": len(members),
        "state": state,
        "leaked": bool(members) and members[0].is_leaked,
        "longest_known_wait_ns": max(
            (one.waited_ns for one in members if one.waited_ns is not None), default=None
        ),
        "parked": sum(one.moved is False for one in members),
        "moved": sum(one.moved is True for one in members),
        "new": sum(one.is_new for one in members),
        "site": None if first is None else msgspec.to_builtins(first),
        "stack": None if stack is None else _frames(stack.frames),
        "stack_id": number,
        "truncated": stack is not None and stack.truncated,
        "created_by": [
            {**msgspec.to_builtins(frame), "count": count}
            for frame, count in sorted(
                creators.items(),
                key=lambda item: (-item[1], item[0].function, item[0].file or "", item[0].line or 0),
            )
        ],
        "labels": [
            {"key": key, "value": value, "count": count}
            for (key, value), count in sorted(labels.items(), key=lambda item: (-item[1], item[0]))
        ],
        "goroutines": sorted(one.goid for one in members),
    }


def _counted(group: GoroutineGroup, known: dict[int, Stack]) -> dict[str, Any]:
    value = _group(None, group.stack, known, [])
    labels = [{"key": key, "value": one, "count": group.count} for key, one in group.labels.items()]
    return {**value, "count": group.count, "labels": labels}
