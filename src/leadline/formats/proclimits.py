"""proc/PID/limits: resource limits of one process."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leadline.model import Malformed

__all__ = ["Limit", "parse_limits"]

_LINE = re.compile(rb"^(\S+(?: \S+)*)\s{2,}(unlimited|\d+)\s+(unlimited|\d+)(?:\s+(\S+))?\s*$")
_LARGEST = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Limit:
    """One resource limit; None is unlimited. ``unit`` as the kernel writes it, empty when it writes none."""

    soft: int | None
    hard: int | None
    unit: str


def parse_limits(text: bytes) -> dict[str, Limit]:
    """Return the limits by their names as the kernel writes them, such as ``Max open files``.

    >>> limits = parse_limits(b'''Limit                     Soft Limit           Hard Limit           Units
    ... Max cpu time              unlimited            unlimited            seconds
    ... Max open files            1024                 524288               files
    ... Max nice priority         0                    0
    ... ''')
    >>> limits["Max open files"], limits["Max cpu time"].soft
    (Limit(soft=1024, hard=524288, unit='files'), None)

    Raises:
        Malformed: no header, or a line is not a limit.

    Source: Linux fs/proc/base.c, proc_pid_limits.
    """
    lines = text.split(b"\n")
    if not lines[0].startswith(b"Limit "):
        raise Malformed("proc/PID/limits", "no header line", offset_bytes=0, sample=text)
    limits: dict[str, Limit] = {}
    for line in lines[1:]:
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None:
            raise Malformed("proc/PID/limits", "not a limit", sample=line)
        name, soft, hard, unit = match.groups()
        limits[name.decode("utf-8", "replace")] = Limit(
            _value(soft), _value(hard), (unit or b"").decode("utf-8", "replace")
        )
    return limits


def _value(word: bytes) -> int | None:
    if word == b"unlimited":
        return None
    if len(word) > 20 or int(word) > _LARGEST:
        raise Malformed("proc/PID/limits", "a limit is above 64 bits", sample=word)
    return int(word)
