"""Open descriptors by the stack that acquired them, as a profile for ``go tool pprof``.

Two sample types: ``open_fds/count`` (the default) and ``age/nanoseconds`` (ages added up; of a descriptor older than the
watch, the time it was watched). Labels: ``kind``, ``state`` (of its socket) and ``origin``. The stack of a connection that a
helper goroutine dialled goes on with the stack of the goroutine that asked. What was open before the watch stands under
``(open before the watch)``.
"""

from __future__ import annotations

from collections import defaultdict

from leadline import __version__
from leadline.contracts import Verdicts
from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, Origin, Window
from leadline.evidence.queries import end_mono_ns, joined, stacks, target, whole_stack
from leadline.export.profile import Frames, Labels, Profile
from leadline.model import SiteFrame, printable

__all__ = ["ORIGIN_FRAMES", "encode"]

ORIGIN_FRAMES = {
    Origin.TRACED: "(stack unknown)",
    Origin.BEFORE: "(open before the watch)",
    Origin.INHERITED: "(inherited)",
    Origin.UNKNOWN: "(origin unknown)",
}
"""What stands for a stack where there is none."""


def encode(evidence: Evidence, verdicts: Verdicts) -> bytes:  # noqa: ARG001  every exporter has this signature
    """Return a gzip-compressed profile; without descriptors it has no samples."""
    window = evidence.first(Window)
    process = target(evidence)
    profile = Profile((("open_fds", "count"), ("age", "nanoseconds")))
    for (frames, labels), (count, age_ns) in _samples(evidence).items():
        profile.add(frames, (count, age_ns), labels)
    return profile.encode(
        exe="" if process is None else process.exe or process.comm,
        build_id="" if process is None else process.build_id or "",
        comment=f"leadline {__version__}: descriptors open at the end of the watch, by the stack that acquired them",
        begin_unix_ns=None if window is None else window.begin_unix_ns,
        duration_ns=0 if window is None else max(window.duration_ns, 0),
    )


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
