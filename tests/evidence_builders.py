"""Evidence of simulated processes: say when descriptors are born and die, and get what a trace of it would record.

Times are seconds from the beginning of the window; a birth below 0 was before it. Randomness comes from the caller's seeded
``random.Random`` only.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    BirthSample,
    CloseFailure,
    Descriptor,
    DescriptorKind,
    LifetimeBucket,
    Listener,
    Origin,
    ProcessInfo,
    Refusal,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.model import SiteFrame

__all__ = ["HTTP_DIAL", "Life", "Place", "Scene", "poisson", "steady"]

S = 10**9
T0 = 1_000 * S
FOREVER = math.inf
PID = 4242

HTTP_DIAL = (
    "net.(*sysDialer).dialTCP",
    "net/http.(*Transport).dialConn",
    "net/http.(*Transport).dialConnFor",
)
"""Frames of a connection that net/http dials, below the application's."""


@dataclass(slots=True)
class Life:
    """One descriptor's life; socket fields matter for sockets only.

    Attributes:
        last_data_s: when data last moved on it; None is soon after its birth.
    """

    born_s: float
    died_s: float = FOREVER
    state: str = "ESTABLISHED"
    peer: tuple[str, int] = ("10.0.0.9", 8080)
    local_port: int = 40000
    last_data_s: float | None = None
    received: int | None = 1500
    sent: int | None = 300
    rqueue: int = 0
    since_ack_s: float | None = None
    path: str = "/srv/page.tmpl"
    peer_inode: int | None = None


@dataclass(slots=True)
class Place:
    """A birthplace to be."""

    kind: DescriptorKind
    role: str
    syscall: str
    function: str
    line: int
    below: tuple[str, ...]
    frame_role: str = "app"
    lives: list[Life] = field(default_factory=list)

    def live(self, born_s: float, died_s: float = FOREVER, **facts: Any) -> Life:
        """Add one life and return it."""
        life = Life(born_s, died_s, **facts)
        self.lives.append(life)
        return life

    def all(self, births: Iterable[float], **facts: Any) -> None:
        """Add a life that never ends for each time of birth."""
        for born_s in births:
            self.live(born_s, **facts)


@dataclass(slots=True)
class Scene:
    """A process under observation for ``window_s`` seconds.

    Attributes:
        ended_by: as in ``Window``; when a command ended, its table is the one in the moment before: no sockets, no names.
    """

    window_s: float = 30.0
    nofile_soft: int | None = 1024
    go_version: str | None = "go1.26.8"
    main_package: str | None = None
    ended_by: str = "duration"
    listeners: tuple[Listener, ...] = ()
    has_sockets: bool = True
    kinds_at_begin: bool = True
    mode: str = "bpf"
    places: list[Place] = field(default_factory=list)
    more: list[Any] = field(default_factory=list)
    tick_s: float = 0.5

    def place(
        self,
        kind: str,
        role: str,
        *,
        syscall: str = "",
        function: str = "main.work",
        line: int = 42,
        below: tuple[str, ...] = (),
        frame_role: str = "app",
    ) -> Place:
        """Add a birthplace; ``below`` are frames nearer to the system call than the application's."""
        syscalls = {"accepted": "accept4", "dialed": "socket", "opened": "openat", "duplicated": "fcntl"}
        place = Place(
            DescriptorKind(kind), role, syscall or syscalls.get(role, kind), function, line, below, frame_role
        )
        self.places.append(place)
        return place

    def evidence(self) -> Evidence:
        """Return what a trace would have recorded."""
        evidence = Evidence()
        window = Window(
            begin_mono_ns=T0,
            end_mono_ns=self._ns(self.window_s),
            begin_unix_ns=10**18,
            mode=self.mode,
            ended_by=self.ended_by,
        )
        evidence.put(window)
        evidence.put(
            ProcessInfo(
                pid=PID,
                start_boot_ns=5 * S,
                comm="service",
                nofile_soft=self.nofile_soft,
                nofile_hard=self.nofile_soft,
                go_version=self.go_version,
                main_package=self.main_package,
                listeners=self.listeners,
                ended_mono_ns=self._ns(self.window_s) if self._is_over else None,
            )
        )
        descriptors: list[Descriptor] = []
        sockets: list[SocketState] = []
        for number, place in enumerate(self.places, 1):
            for life in place.lives:
                if life.died_s > self.window_s >= life.born_s:
                    self._put_living(place, life, number, descriptors, sockets)
        evidence.put_all(Stack, [self._stack(number, place) for number, place in enumerate(self.places, 1)])
        evidence.put_all(
            Birthplace, [self._birthplace(number, place) for number, place in enumerate(self.places, 1)]
        )
        evidence.put_all(Descriptor, descriptors)
        if self.has_sockets:
            evidence.put_all(SocketState, sockets)
        evidence.put_all(TimelineSample, self._timeline())
        evidence.put_all(CloseFailure, [])
        evidence.put_all(Refusal, [])
        for record in self.more:
            evidence.put(record)
        return evidence

    @property
    def _is_over(self) -> bool:
        return self.ended_by == "command-ended"

    @staticmethod
    def _ns(at_s: float) -> int:
        return T0 + round(at_s * S)

    def _put_living(
        self, place: Place, life: Life, number: int, descriptors: list[Descriptor], sockets: list[SocketState]
    ) -> None:
        fd = 3 + len(descriptors)
        inode = 100_000 + fd
        is_traced = life.born_s >= 0
        if self._is_over:
            descriptors.append(
                Descriptor(
                    pid=PID,
                    fd=fd,
                    kind=place.kind,
                    origin=Origin.TRACED if is_traced else Origin.UNKNOWN,
                    birthplace=number if is_traced else None,
                    born_mono_ns=self._ns(life.born_s) if is_traced else None,
                    seen_since_mono_ns=self._ns(max(life.born_s, 0.0)),
                    at_exit=True,
                )
            )
            return
        descriptors.append(
            Descriptor(
                pid=PID,
                fd=fd,
                kind=place.kind,
                origin=Origin.TRACED if is_traced else Origin.BEFORE,
                inode=inode,
                file_ref=fd,
                name=f"socket:[{inode}]" if place.kind.is_socket else life.path,
                birthplace=number if is_traced else None,
                born_mono_ns=self._ns(life.born_s) if is_traced else None,
                seen_since_mono_ns=self._ns(max(life.born_s, 0.0)),
            )
        )
        if not place.kind.is_socket:
            return
        silent_ms = round(
            1000 * (self.window_s - (life.born_s + 0.005 if life.last_data_s is None else life.last_data_s))
        )
        sockets.append(
            SocketState(
                inode=inode,
                protocol=place.kind.value,
                family="inet",
                state=life.state,
                laddr="10.0.0.1",
                lport=life.local_port,
                raddr="" if life.state == "LISTEN" else life.peer[0],
                rport=None if life.state == "LISTEN" else life.peer[1],
                rqueue_bytes=life.rqueue,
                last_data_sent_ms=max(silent_ms, 0),
                last_data_recv_ms=max(silent_ms, 0),
                last_ack_recv_ms=max(silent_ms, 0)
                if life.since_ack_s is None
                else round(1000 * life.since_ack_s),
                bytes_received=life.received,
                bytes_sent=life.sent,
                bytes_acked=life.sent,
                peer_inode=life.peer_inode,
            )
        )

    def _stack(self, number: int, place: Place) -> Stack:
        below = tuple(
            SiteFrame(function=name, file="/go/src/x.go", line=1, role="std") for name in place.below
        )
        return Stack(id=number, pid=PID, frames=(*below, self._site(place)))

    @staticmethod
    def _site(place: Place) -> SiteFrame:
        return SiteFrame(
            function=place.function, file="/src/app/main.go", line=place.line, role=place.frame_role
        )

    def _birthplace(self, number: int, place: Place) -> Birthplace:
        seen = [life for life in place.lives if 0 <= life.born_s <= self.window_s]
        dead = [life for life in seen if life.died_s <= self.window_s]
        living = [life for life in seen if life.died_s > self.window_s]
        return Birthplace(
            id=number,
            pid=PID,
            kind=place.kind,
            syscall=place.syscall,
            role=place.role,
            stack=number,
            stacks=(number,),
            site=self._site(place),
            births=len(seen),
            deaths=len(dead),
            alive=len(living),
            lifetimes=_buckets(life.died_s - life.born_s for life in dead),
            ages_ns=tuple(sorted(self._ns(self.window_s) - self._ns(life.born_s) for life in living)),
            series=self._series(seen),
        )

    def _times(self) -> list[float]:
        steps = round(self.window_s / self.tick_s)
        return [self.window_s * step / steps for step in range(steps + 1)]

    def _series(self, lives: list[Life]) -> tuple[BirthSample, ...]:
        births = sorted(life.born_s for life in lives)
        deaths = sorted(life.died_s for life in lives)
        samples, born, died = [], 0, 0
        for at_s in self._times():
            while born < len(births) and births[born] <= at_s:
                born += 1
            while died < len(deaths) and deaths[died] <= at_s:
                died += 1
            samples.append(BirthSample(self._ns(at_s), born, died, born - died))
        return tuple(samples)

    def _timeline(self) -> list[TimelineSample]:
        samples = []
        for index, at_s in enumerate(times := self._times()):
            by_kind: dict[str, int] = {}
            for place in self.places:
                alive = sum(life.born_s <= at_s < life.died_s for life in place.lives)
                by_kind[place.kind.value] = by_kind.get(place.kind.value, 0) + alive
            is_look = index == len(times) - 1 or (index == 0 and self.kinds_at_begin)
            samples.append(
                TimelineSample(
                    pid=PID,
                    mono_ns=self._ns(at_s),
                    alive=sum(by_kind.values()),
                    by_kind=by_kind if is_look else {},
                )
            )
        return samples


def _buckets(lifetimes_s: Iterable[float]) -> tuple[LifetimeBucket, ...]:
    """Return lifetimes in buckets of a quarter octave, as the trace counts them."""
    counts: dict[tuple[int, int], int] = {}
    for lifetime_s in lifetimes_s:
        ns = max(int(lifetime_s * S), 1)
        if ns < 1024:
            bounds = (0, 1024)
        else:
            octave = 1 << (ns.bit_length() - 1)
            quarter = (ns - octave) * 4 // octave
            bounds = (octave + quarter * octave // 4, octave + (quarter + 1) * octave // 4)
        counts[bounds] = counts.get(bounds, 0) + 1
    return tuple(LifetimeBucket(low, high, count) for (low, high), count in sorted(counts.items()))


def poisson(rng: random.Random, rate_per_s: float, begin_s: float, end_s: float) -> list[float]:
    """Return times of a Poisson process."""
    times, at_s = [], begin_s
    while (at_s := at_s + rng.expovariate(rate_per_s)) < end_s:
        times.append(at_s)
    return times


def steady(count: int, begin_s: float, end_s: float) -> list[float]:
    """Return evenly spaced times, the first at ``begin_s``."""
    return [begin_s + (end_s - begin_s) * index / count for index in range(count)]
