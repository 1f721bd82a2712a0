"""Collect evidence of one process (and its children) for a window of time.

The order at the end matters: socket states are read first and the descriptor table last, so that nothing is reported which
the final table does not contain.
"""

from __future__ import annotations

import dataclasses
import resource
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from leadline.contracts import gap_of
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    KINDS,
    Connection,
    Descriptor,
    DescriptorUse,
    Retention,
    SelfCost,
    SocketState,
    TimelineSample,
    Window,
)
from leadline.model import Gap, GapReason, LeadlineError, TargetGone

if TYPE_CHECKING:
    from leadline.contracts import Host, Observation, Probe

__all__ = ["CollectOptions", "Collector", "Stopper"]

TICK_NS = 500_000_000
INTERIM_NS = 3_000_000_000
POLL_NS = 10_000_000
"""How often new children are looked for: they must be named while they live."""


class Stopper:
    """The way to end a window early: Ctrl-C, a test, or the end of a child."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason = "duration"

    def stop(self, reason: str) -> None:
        """End the window; the first reason given is kept."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    def wait(self, timeout_ns: int) -> bool:
        """Wait at most so long; return whether the window was ended."""
        return self._event.wait(max(timeout_ns, 0) / 1e9)


class LiveTracer(Protocol):
    """What the collector needs of a descriptor observation beyond ``Observation``."""

    @property
    def mode(self) -> str:
        """Return ``bpf`` or ``snapshots``."""

    def interim(self, evidence: Evidence) -> None:
        """Put birthplaces and series as they stand, without detaching."""

    def alive_now(self) -> TimelineSample | None:
        """Return the latest sample of the target's table."""

    def top(self, most: int) -> list[tuple[str, str, str, int, int, int]]:
        """Return (function, place, kind, alive, births, deaths) of the places with most alive."""


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How to collect.

    Attributes:
        duration_ns: length of the window; None until the target ends.
        follow: children, too.
        uprobes: join helper goroutines to their callers.
    """

    duration_ns: int | None
    follow: bool = False
    uprobes: bool = True
    probes: tuple[Probe, ...] = field(default=())


class Collector:
    """Runs probes on one process; each is fenced, so that one failure never stops another."""

    def __init__(self, host: Host, pid: int, options: CollectOptions) -> None:
        self.host = host
        self.pid = pid
        self.options = options
        self.evidence = Evidence()
        self._observations: list[tuple[str, Observation]] = []
        self._begin_mono_ns = 0
        self._begin_unix_ns = 0
        self._start_mark = b""
        self._fenced: set[str] = set()

    def begin(self) -> None:
        """Attach every probe.

        Raises:
            TargetGone: the process is not there at all.
        """
        self._start_mark = self._identity()
        self._begin_unix_ns = self.host.clock.unix_ns()
        self._begin_mono_ns = self.host.clock.mono_ns()
        for probe in self.options.probes:
            name = probe.INFO.name
            try:
                self._observations.append((name, probe.begin(self.host, self.pid, self.evidence)))
            except Exception as error:  # noqa: BLE001  the fence: one probe's failure is a gap, not the end
                self._fence(name, error)

    def run(
        self,
        stopper: Stopper,
        show: Callable[[Collector], None],
        decided: Callable[[Evidence], bool] | None = None,
    ) -> None:
        """Tick until the duration is over, ``stopper`` says so, the target is gone, or ``decided`` is satisfied."""
        clock = self.host.clock
        deadline_ns = (
            None if self.options.duration_ns is None else self._begin_mono_ns + self.options.duration_ns
        )
        next_tick_ns = clock.mono_ns() + TICK_NS
        next_interim_ns = clock.mono_ns() + INTERIM_NS
        while True:
            now_ns = clock.mono_ns()
            if deadline_ns is not None and now_ns >= deadline_ns:
                return
            until_ns = next_tick_ns if deadline_ns is None else min(next_tick_ns, deadline_ns)
            if stopper.wait(min(until_ns - now_ns, POLL_NS) if self.options.follow else until_ns - now_ns):
                return
            if self.options.follow:
                self.poll()
            if self._identity() != self._start_mark:
                stopper.stop("target-gone")
                return
            if clock.mono_ns() < next_tick_ns:
                continue
            next_tick_ns = clock.mono_ns() + TICK_NS
            self.tick()
            show(self)
            if decided is not None and clock.mono_ns() >= next_interim_ns:
                next_interim_ns = clock.mono_ns() + INTERIM_NS
                if decided(self.interim()):
                    stopper.stop("sure")
                    return

    def poll(self) -> None:
        """Let the tracer notice new children between ticks."""
        poll = getattr(self.tracer(), "poll", None)
        if poll is not None:
            poll()

    def tick(self) -> None:
        """Let every probe look again."""
        for name, observation in self._observations:
            try:
                observation.tick()
            except Exception as error:  # noqa: BLE001  the fence
                self._fence(name, error)

    def interim(self) -> Evidence:
        """Return evidence of births as it stands, for deciding whether to go on."""
        evidence = Evidence()
        for name, observation in self._observations:
            interim = getattr(observation, "interim", None)
            if interim is not None:
                try:
                    interim(evidence)
                except Exception as error:  # noqa: BLE001  the fence
                    self._fence(name, error)
        evidence.put(self._window("duration"))
        return evidence

    def finish(self, ended_by: str) -> Evidence:
        """Detach every probe and return the evidence, joined and pruned to the final table."""
        for name, observation in self._observations:
            try:
                observation.finish(self.evidence)
            except Exception as error:  # noqa: BLE001  the fence
                self._fence(name, error)
        self.evidence.put(self._window(ended_by))
        self._put_cost()
        return _pruned(self.evidence)

    def _put_cost(self) -> None:
        tracer_cost = getattr(self.tracer(), "cost", None)
        cost = None if tracer_cost is None else tracer_cost()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        fields = {} if cost is None else dataclasses.asdict(cost)
        self.evidence.put(
            SelfCost(
                cpu_ns=round((usage.ru_utime + usage.ru_stime) * 1e9),
                rss_bytes=usage.ru_maxrss * 1024,
                window_ns=self.elapsed_ns(),
                **fields,
            )
        )

    def tracer(self) -> LiveTracer | None:
        """Return the descriptor observation at work, None when there is none."""
        for _, observation in self._observations:
            if hasattr(observation, "interim"):
                return observation  # type: ignore[return-value]
        return None

    @property
    def is_traced(self) -> bool:
        """Return whether births and deaths are traced by BPF."""
        tracer = self.tracer()
        return tracer is not None and tracer.mode == "bpf"

    def elapsed_ns(self) -> int:
        """Return how long the window has lasted."""
        return self.host.clock.mono_ns() - self._begin_mono_ns

    def _window(self, ended_by: str) -> Window:
        tracer = self.tracer()
        return Window(
            begin_mono_ns=self._begin_mono_ns,
            end_mono_ns=self.host.clock.mono_ns(),
            begin_unix_ns=self._begin_unix_ns,
            mode="single" if tracer is None else tracer.mode,
            ended_by=ended_by,
        )

    def _identity(self) -> bytes:
        """Return pid and start time as proc tells them; empty when the process is gone or a zombie."""
        try:
            fields = self.host.read_proc(f"{self.pid}/stat").rpartition(b")")[2].split()
        except TargetGone:
            return b""
        return b"" if fields[0] in (b"Z", b"X") else fields[19]

    def _fence(self, name: str, error: Exception) -> None:
        """Note a failure of a probe, once: an expected one with its own remedy, another one as a fault of leadline."""
        if name in self._fenced:
            return
        self._fenced.add(name)
        what = f"the rest of what probe {name} sees"
        if isinstance(error, LeadlineError):
            self.evidence.gap(gap_of(error, what=what, probe=name))
            return
        if isinstance(error, MemoryError):
            remedy = "let leadline have more memory (ulimit -v, the limit of its cgroup)"
            detail = f"leadline had too little memory ({error})"
            self.evidence.gap(
                Gap(what=what, reason=GapReason.UNSUPPORTED, detail=detail, remedy=remedy, probe=name)
            )
            return
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        remedy = "please report this with the case file: it is a fault of leadline"
        self.evidence.gap(
            Gap(what=what, reason=GapReason.MALFORMED, detail=detail, remedy=remedy, probe=name)
        )


def _pruned(evidence: Evidence) -> Evidence:
    """Return the evidence without sockets and uses that the final descriptor table does not contain."""
    descriptors = evidence.get(Descriptor)
    if descriptors is None:
        return evidence
    inodes = {descriptor.inode for descriptor in descriptors}
    numbers = {(descriptor.pid, descriptor.fd) for descriptor in descriptors}
    kept = Evidence()
    for name in evidence.observed():
        kind = KINDS[name]
        records = evidence.all(kind)
        if kind is SocketState:
            records = tuple(record for record in records if record.inode in inodes or record.when == "begin")  # type: ignore[attr-defined]
        elif kind in (DescriptorUse, Connection, Retention):
            records = tuple(record for record in records if (record.pid, record.fd) in numbers)  # type: ignore[attr-defined]
        kept.put_all(kind, records)
    return kept
