"""A clock, a host and probes that tests own: time passes only when the code under test waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import msgspec

from leadline.app.collect import CollectOptions, Collector, Stopper
from leadline.contracts import ProbeInfo
from leadline.evidence import Evidence
from leadline.evidence.kinds import TimelineSample
from leadline.model import TargetGone

if TYPE_CHECKING:
    from leadline.contracts import Host

__all__ = ["PID", "FakeClock", "FakeHost", "FakeProbe", "FakeTracer", "SteppingStopper", "collector"]

PID = 4711
MS = 10**6


@dataclass
class FakeClock:
    """Stands still until somebody waits."""

    now_ns: int = 10**12

    def mono_ns(self) -> int:
        return self.now_ns

    def boot_ns(self) -> int:
        return self.now_ns

    def unix_ns(self) -> int:
        return self.now_ns + 10**18


@dataclass
class FakeHost:
    """One process; ``start`` None means that it is gone, ``state`` Z that nobody reaped it."""

    clock: FakeClock = field(default_factory=FakeClock)
    comm: str = "service"
    state: str = "S"
    start: int | None = 777

    def read_proc(self, path: str, *, limit_bytes: int = 0) -> bytes:
        if self.start is None:
            raise TargetGone(f"{path}: there is no such process")
        assert path == f"{PID}/stat"
        zeros = "0 " * 18
        return f"{PID} ({self.comm}) {self.state} {zeros}{self.start} 0 0\n".encode()


class SteppingStopper(Stopper):
    """Waits by moving the clock; ``at`` are (time since the beginning, what happens then)."""

    def __init__(self, clock: FakeClock, at: Mapping[int, Callable[[], None]] | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._at = {clock.now_ns + after_ns: action for after_ns, action in (at or {}).items()}
        self.waits: list[int] = []

    def wait(self, timeout_ns: int) -> bool:
        self.waits.append(timeout_ns)
        assert len(self.waits) < 10_000, "the window does not end"
        self._clock.now_ns += max(timeout_ns, 0)
        for due_ns in sorted(self._at):
            if due_ns <= self._clock.now_ns:
                self._at.pop(due_ns)()
        return super().wait(0)


@dataclass
class FakeProbe:
    """Puts ``records`` at its end; raises where it is told to."""

    name: str = "fake"
    records: tuple[msgspec.Struct, ...] = ()
    fails_in: Mapping[str, Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    @property
    def INFO(self) -> ProbeInfo:  # noqa: N802  its name in the contract
        return ProbeInfo(name=self.name, kinds=())

    def begin(self, host: Host, pid: int, evidence: Evidence) -> FakeProbe:
        self._called("begin")
        return self

    def tick(self) -> None:
        self._called("tick")

    def finish(self, evidence: Evidence) -> None:
        self._called("finish")
        for record in self.records:
            evidence.put(record)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if what in self.fails_in:
            raise self.fails_in[what]


@dataclass
class FakeTracer(FakeProbe):
    """A descriptor tracer as the collector knows it."""

    mode: str = "bpf"
    interims: tuple[msgspec.Struct, ...] = ()
    cost_record: Any = None

    def begin(self, host: Host, pid: int, evidence: Evidence) -> FakeTracer:
        self._called("begin")
        return self

    def interim(self, evidence: Evidence) -> None:
        self._called("interim")
        for record in self.interims:
            evidence.put(record)

    def poll(self) -> None:
        self._called("poll")

    def alive_now(self) -> TimelineSample | None:
        return None

    def top(self, most: int) -> list[tuple[str, str, str, int, int, int]]:
        return []

    def cost(self) -> Any:
        return self.cost_record


def collector(
    host: FakeHost, *probes: FakeProbe, duration_ns: int | None = 30 * 10**9, follow: bool = False
) -> Collector:
    """Return a collector of the fake process that has begun."""
    made = Collector(
        cast("Host", host),
        PID,
        CollectOptions(duration_ns=duration_ns, follow=follow, probes=cast("Any", probes)),
    )
    made.begin()
    return made
