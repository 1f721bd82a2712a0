"""Goroutines by stack, as a profile for ``go tool pprof``.

Two sample types: ``goroutine/count`` (the default, as in Go's own goroutine profile) and ``waited/nanoseconds`` (known waits
added up). Labels: ``state``, ``leaked`` where the garbage collector found that they wait for ever, ``created_by`` (the function
with the ``go`` statement), and the goroutines' own pprof labels. A goroutine on a CPU has no stack and stands under
``(on a CPU)``.
"""

from __future__ import annotations

from collections import defaultdict

from leadline import __version__
from leadline.evidence import Evidence
from leadline.evidence.kinds import Goroutine, GoroutineGroup, Window
from leadline.evidence.queries import stacks, target
from leadline.export.profile import Frames, Labels, Profile
from leadline.model import SiteFrame

__all__ = ["encode"]

_ON_CPU = SiteFrame(function="(on a CPU)", role="runtime")
_UNREAD = SiteFrame(function="(stack not read)", role="runtime")


def encode(evidence: Evidence) -> bytes:
    """Return a gzip-compressed profile; without goroutines it has no samples."""
    process = target(evidence)
    window = evidence.first(Window)
    profile = Profile((("goroutine", "count"), ("waited", "nanoseconds")))
    for (frames, labels), (count, waited_ns) in _samples(evidence).items():
        profile.add(frames, (count, waited_ns), labels)
    return profile.encode(
        exe="" if process is None else process.exe or process.comm,
        build_id="" if process is None else process.build_id or "",
        comment=f"leadline {__version__}: goroutines by stack",
        begin_unix_ns=None if window is None else window.begin_unix_ns,
    )


def _samples(evidence: Evidence) -> dict[tuple[Frames, Labels], tuple[int, int]]:
    """Return (goroutines, nanoseconds of known wait) by stack and labels."""
    known = {number: stack.frames for number, stack in stacks(evidence).items()}
    found: defaultdict[tuple[int | None, Labels], list[int]] = defaultdict(lambda: [0, 0])
    for one in evidence.all(Goroutine):
        labels = [("state", one.state)]
        if one.is_leaked:
            labels.append(("leaked", "yes"))
        if one.created_by is not None:
            labels.append(("created_by", one.created_by.function))
        labels += sorted(one.labels.items())
        counts = found[one.stack, tuple(labels)]
        counts[0] += 1
        counts[1] += one.waited_ns or 0
    for group in evidence.all(GoroutineGroup):
        found[group.stack, tuple(sorted(group.labels.items()))][0] += group.count
    return {
        (_frames(number, known, labels), labels): (count, waited_ns)
        for (number, labels), (count, waited_ns) in found.items()
    }


def _frames(number: int | None, known: dict[int, Frames], labels: Labels) -> Frames:
    frames = () if number is None else known.get(number, ())
    return frames or ((_ON_CPU,) if ("state", "running") in labels else (_UNREAD,))
