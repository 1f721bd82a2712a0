"""What the Go runtime tells of a simulated process: say what each connection of a Scene does, and get the evidence.

Connections are named by their ``Life`` in the scene; their descriptors are those that the scene gives them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from evidence_builders import PID, T0, Life, S, Scene
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Connection,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Pool,
    Retention,
    RetentionRoot,
    Stack,
    WaitObject,
)
from leadline.model import SiteFrame

__all__ = [
    "BODY_HELD",
    "CLIENT_IDLE",
    "HANDSHAKE",
    "RAW_READ",
    "READ_REQUEST",
    "Runtime",
    "frame",
    "frames",
]

_POLL = (
    "internal/poll.runtime_pollWait",
    "internal/poll.(*FD).Read",
    "net.(*netFD).Read",
    "net.(*conn).Read",
)
RAW_READ = _POLL
READ_REQUEST = (
    *_POLL,
    "net/http.(*connReader).Read",
    "bufio.(*Reader).ReadLine",
    "net/http.readRequest",
    "net/http.(*conn).serve",
)
HANDSHAKE = (
    *_POLL,
    "crypto/tls.(*Conn).readFromUntil",
    "crypto/tls.(*Conn).serverHandshake",
    "crypto/tls.(*Conn).HandshakeContext",
    "net/http.(*conn).serve",
)
CLIENT_IDLE = (
    *_POLL,
    "net/http.(*persistConn).Read",
    "bufio.(*Reader).Peek",
    "net/http.(*persistConn).readLoop",
)
BODY_HELD = ("runtime.gopark", "runtime.selectgo", "net/http.(*persistConn).readLoop")


def frame(text: str) -> SiteFrame:
    """Return the frame of ``main.serve:42``; the role follows from the name, the line is 1 without a number."""
    function, _, line = text.partition(":")
    if function.startswith("main."):
        role, file = "app", "/src/app/main.go"
    elif function.startswith("runtime."):
        role, file = "runtime", "/go/src/runtime/proc.go"
    elif "." in function.partition("/")[0] and "/" in function:
        role, file = "module", "/mod/x.go"
    else:
        role, file = "std", "/go/src/x.go"
    return SiteFrame(function=function, file=file, line=int(line or 1), role=role)


def frames(*names: str) -> tuple[SiteFrame, ...]:
    """Return frames from the leaf to the root."""
    return tuple(frame(name) for name in names)


@dataclass(slots=True)
class Runtime:
    """The Go runtime of a scene's process.

    Attributes:
        passes: looks at the goroutines; with one look nobody knows who has moved.
        first_goroutines: how many there were at the first look; None is as many as at the last.
        facts: further fields of GoRuntime.
    """

    scene: Scene
    passes: int = 2
    first_goroutines: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    goroutines: list[Goroutine] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    objects: list[WaitObject] = field(default_factory=list)
    _uses: list[tuple[Life, DescriptorUse]] = field(default_factory=list)
    _connections: list[tuple[Life, Connection]] = field(default_factory=list)
    _retentions: list[tuple[Life, Retention]] = field(default_factory=list)
    _pooled: list[tuple[int, list[Life]]] = field(default_factory=list)
    _stacks: dict[tuple[SiteFrame, ...], int] = field(default_factory=dict)

    def go(
        self, *names: str, state: str = "IO wait", moved: bool | None = False, goid: int = 0, **facts: Any
    ) -> int:
        """Add a goroutine with that stack, leaf first, and return its number."""
        goid = goid or 100 + len(self.goroutines)
        stack = self._stacks.setdefault(frames(*names), 1000 + len(self._stacks)) if names else None
        told = None if self.passes == 1 else moved
        self.goroutines.append(Goroutine(pid=PID, goid=goid, state=state, stack=stack, moved=told, **facts))
        return goid

    def use(self, life: Life, **facts: Any) -> None:
        """Say who is parked on a descriptor; without facts nobody is."""
        self._uses.append((life, DescriptorUse(**{"pid": PID, "fd": 0, "is_polled": True, **facts})))

    def connection(self, life: Life, role: str, protocol: str, activity: str, **facts: Any) -> None:
        """Say what the program does with a connection; ``since_s`` is in seconds of the scene."""
        since_s = facts.pop("since_s", None)
        since_ns = None if since_s is None else T0 + round(since_s * S)
        self._connections.append(
            (
                life,
                Connection(
                    pid=PID,
                    fd=0,
                    role=role,
                    protocol=protocol,
                    activity=activity,
                    since_mono_ns=since_ns,
                    **facts,
                ),
            )
        )

    def reader(
        self,
        life: Life,
        *names: str,
        moved: bool | None = False,
        deadline_s: float | None = 0.0,
        **facts: Any,
    ) -> int:
        """Park a goroutine on the descriptor until it can read; ``deadline_s`` 0 is none, None is not known."""
        goid = self.go(*(names or (*RAW_READ, "main.serve:42")), moved=moved, **facts)
        deadline_ns = None if deadline_s is None else round(deadline_s and T0 + deadline_s * S)
        self.use(life, reader_goid=goid, read_deadline_mono_ns=deadline_ns)
        return goid

    def client(self, life: Life, activity: str, *, moved: bool | None = False, **facts: Any) -> None:
        """Add a connection of net/http's client with its readLoop."""
        if activity in {"body-held", "body-reading"}:
            goid = self.go(*BODY_HELD, state="select", moved=moved)
            self.use(life)
        else:
            goid = self.reader(life, *CLIENT_IDLE, moved=moved)
        told = {"scheme": "http", "host": "api.test:80", **facts}
        goids = tuple(one for one in (told.get("owner_goid"), goid) if one is not None)
        self.connection(life, "client", "http/1.1", activity, goids=goids, **told)

    def server(
        self,
        life: Life,
        activity: str,
        *,
        moved: bool | None = False,
        deadline_s: float | None = 0.0,
        **facts: Any,
    ) -> None:
        """Add a connection of net/http's server with the goroutine that serves it."""
        names = HANDSHAKE if activity == "tls-handshake" else READ_REQUEST
        if activity == "handler":
            goid = self.go("runtime.gopark", "main.poll:50", *names[-1:], state="select", moved=moved)
            self.use(life)
        else:
            goid = self.reader(life, *names, moved=moved, deadline_s=deadline_s)
        self.connection(life, "server", "http/1.1", activity, owner_goid=goid, goids=(goid,), **facts)

    def pool(self, kind: str, lives: list[Life], **facts: Any) -> int:
        """Add a pool that has these connections and return its number."""
        number = 1 + len(self.pools)
        self.pools.append(Pool(id=number, pid=PID, kind=kind, **facts))
        self._pooled.append((number, lives))
        return number

    def retain(self, life: Life, verdict: str = "reachable", *roots: RetentionRoot, **facts: Any) -> None:
        """Say what keeps a descriptor reachable."""
        self._retentions.append((life, Retention(pid=PID, fd=0, verdict=verdict, roots=roots, **facts)))

    def fds(self) -> dict[int, int]:
        """Return the number that the scene gives to each life that is open at the end, by ``id(life)``."""
        living = [
            life
            for place in self.scene.places
            for life in place.lives
            if life.died_s > self.scene.window_s >= life.born_s
        ]
        return {id(life): 3 + index for index, life in enumerate(living)}

    def evidence(self) -> Evidence:
        """Return what the scene's trace and the looks at the runtime have recorded."""
        evidence = self.scene.evidence()
        fds = self.fds()
        end_ns = T0 + round(self.scene.window_s * S)
        count = len(self.goroutines)
        told = {"gc_cycles": 3, "gc_percent": 100, **self.facts}
        evidence.put(
            GoRuntime(
                pid=PID,
                source="memory",
                go_version=self.scene.go_version,
                first_mono_ns=T0 if self.passes > 1 else end_ns,
                last_mono_ns=end_ns,
                passes=self.passes,
                goroutines=count,
                first_goroutines=None
                if self.passes == 1
                else (count if self.first_goroutines is None else self.first_goroutines),
                **told,
            )
        )
        evidence.put_all(Goroutine, self.goroutines)
        evidence.put_all(
            Stack, [Stack(id=number, pid=PID, frames=known) for known, number in self._stacks.items()]
        )
        replace = msgspec.structs.replace
        evidence.put_all(DescriptorUse, [replace(one, fd=fds[id(life)]) for life, one in self._uses])
        evidence.put_all(Connection, [replace(one, fd=fds[id(life)]) for life, one in self._connections])
        evidence.put_all(
            Pool,
            [
                replace(pool, fds=tuple(fds[id(life)] for life in lives))
                for pool, (_, lives) in zip(self.pools, self._pooled, strict=True)
            ],
        )
        evidence.put_all(WaitObject, self.objects)
        if self._retentions:
            evidence.put_all(Retention, [replace(one, fd=fds[id(life)]) for life, one in self._retentions])
        return evidence
