"""Who owns a descriptor, as far as the Go runtime of its process tells. Pure: a join of what was recorded, by (pid, fd).

Rules ask it what keeps a descriptor, reports say it in one sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Pool,
    Retention,
    RetentionRoot,
    SocketState,
    Stack,
)
from leadline.model import Site, SiteFrame, format_duration

if TYPE_CHECKING:
    from leadline.evidence.store import Evidence

__all__ = ["Hold", "Owner", "OwnerBook", "reading_frame", "waiting_frame"]

_ON_CPU = frozenset({"running", "runnable"})
_CODE_OF_GO = frozenset({"std", "runtime", "native"})
_BELOW_NET = ("runtime.", "internal/", "syscall.", "sync.runtime_", "sync.(*Mutex).lockSlow", "net.(*netFD).")
_WORKING = frozenset(
    {"in-use", "awaiting-response", "body-reading", "handler", "writing", "reading", "body", "blocked"}
)
_STARTING = frozenset({"first-byte", "tls-handshake", "headers"})


class Hold(StrEnum):
    """How a descriptor is held, by what the goroutines of its process do."""

    POOLED = "pooled"  # idle in a pool of connections, or kept alive between two requests
    LISTENING = "listening"  # a goroutine accepts from it
    STARTING = "starting"  # a goroutine waits for the handshake or the head of a request
    WORKING = "working"  # a goroutine works with it, or waits for an answer on it
    PARKED = "parked"  # a goroutine is parked on it; what for was not recognised
    HELD = "held"  # answered, and its body or rows neither read to the end nor closed
    HIJACKED = "hijacked"  # taken over from net/http by the program, such as a websocket
    NOBODY = "nobody"  # goroutines were read, and none waits on it or was seen to work with it
    UNKNOWN = "unknown"  # the runtime was not read, or tells nothing of this descriptor


@dataclass(frozen=True, slots=True)
class Owner:
    """What is known of one descriptor; each part None when it is not known.

    Attributes:
        pid, fd: the descriptor.
        use: who is parked on it.
        connection: what the program does with it.
        goroutine: the goroutine to name: the program's own that uses it, else the one that is parked on it.
        goroutines: all that belong to it, that one first.
        frames: stack of ``goroutine``, leaf first; empty when it was not read.
        pool: the pool that it belongs to.
        retention: what keeps it reachable.
        descriptor: its record in the final table.
        socket: its socket at the end of the window.
        birthplace: where it was made.
        looked_mono_ns: when goroutines were read last.
        known_to: goroutines that may still read the answer of a connection whose body is held.
        keeper: the goroutine whose stack refers to it, by a search of the heap, where none of ``goroutines`` is known.
        keeper_frames: stack of ``keeper``, leaf first.
    """

    pid: int
    fd: int
    use: DescriptorUse | None = None
    connection: Connection | None = None
    goroutine: Goroutine | None = None
    goroutines: tuple[Goroutine, ...] = ()
    frames: tuple[SiteFrame, ...] = ()
    pool: Pool | None = None
    retention: Retention | None = None
    descriptor: Descriptor | None = None
    socket: SocketState | None = None
    birthplace: Birthplace | None = None
    looked_mono_ns: int | None = None
    known_to: tuple[Goroutine, ...] = ()
    keeper: Goroutine | None = None
    keeper_frames: tuple[SiteFrame, ...] = ()

    @property
    def hold(self) -> Hold:
        """Return how it is held: what the connection's layers tell, else who is parked on it."""
        activity = "" if self.connection is None else self.connection.activity
        by_activity = {
            "idle": Hold.POOLED,
            "keep-alive": Hold.POOLED,
            "accepting": Hold.LISTENING,
            "body-held": Hold.HELD,
            "hijacked": Hold.HIJACKED,
        }
        if activity in by_activity:
            return by_activity[activity]
        if self.connection is not None and self.connection.role == "listener":
            return Hold.LISTENING
        if activity in _STARTING:
            return Hold.STARTING
        if activity in _WORKING:
            return Hold.WORKING
        if self.use is not None and (self.use.reader_goid is not None or self.use.writer_goid is not None):
            return Hold.PARKED
        if self.goroutine is not None:
            return Hold.WORKING
        if activity == "no-goroutine" or (self.use is not None and not self.use.syscall_goids):
            return Hold.NOBODY
        return Hold.UNKNOWN

    @property
    def moved(self) -> bool | None:
        """Return whether any of its goroutines ran between two looks: False none of them, None unknown (or one look only)."""
        told = [one.moved for one in self.goroutines]
        if any(told):
            return True
        return False if told and all(one is False for one in told) else None

    @property
    def is_handed_on(self) -> bool:
        """Return whether a goroutine that has a held answer works, or is parked on another descriptor, as in a proxy."""
        goid = None if self.connection is None else self.connection.owner_goid
        holders = (*(one for one in self.goroutines if one.goid == goid), *self.known_to)
        return any(
            one.state in _ON_CPU or one.state in {"IO wait", "syscall"} or one.moved is True
            for one in holders
        )

    @property
    def with_keeper(self) -> Owner:
        """Return the same with the goroutine whose stack refers to it in the place of one that is not known."""
        if self.goroutine is not None or self.keeper is None:
            return self
        return replace(
            self, goroutine=self.keeper, goroutines=(self.keeper,), frames=self.keeper_frames, connection=None
        )

    @property
    def waits_to_read(self) -> bool:
        """Return whether a goroutine is parked until something can be read."""
        return self.use is not None and self.use.reader_goid is not None

    @property
    def has_no_read_deadline(self) -> bool | None:
        """Return whether reads may wait for ever; None when it is not known whether a deadline is set."""
        if self.use is None or self.use.read_deadline_mono_ns is None:
            return None
        return self.use.read_deadline_mono_ns == 0

    @property
    def peer_has_gone(self) -> bool:
        """Return whether the peer has closed its side, by the socket's state."""
        return self.socket is not None and self.socket.state in {"CLOSE_WAIT", "CLOSE", "LAST_ACK", "CLOSING"}

    @property
    def silent_ns(self) -> int | None:
        """Return for how long no data has moved either way, at the end of the window; None when unknown."""
        if self.socket is None:
            return None
        told = [
            value
            for value in (self.socket.last_data_recv_ms, self.socket.last_data_sent_ms)
            if value is not None
        ]
        return min(told) * 1_000_000 if told else None

    @property
    def frame(self) -> SiteFrame | None:
        """Return the frame of the program to read first: of the connection, else of the goroutine's stack."""
        if self.connection is not None and self.connection.site is not None:
            return self.connection.site
        return reading_frame(self.frames)

    @property
    def parked(self) -> Site | None:
        """Return the place where its goroutine waits; None without a goroutine or a stack."""
        found = self.frame or waiting_frame(self.frames)
        if found is None or self.goroutine is None:
            return None
        return Site(
            function=found.function, file=found.file, line=found.line, role="parked", stack=self.frames
        )

    def describe(self) -> str:
        """Return one plain clause without a full stop: who owns it, doing what, since when, until when.

        Such as ``goroutine 34 has been parked in net.(*conn).Read at main.go:42, no read deadline``; ``nothing is known of its
        owner`` when the runtime was not read.
        """
        kept = self._kept()
        if self.hold is Hold.UNKNOWN:
            return kept or "nothing is known of its owner"
        if self.hold is Hold.NOBODY:
            return f"no goroutine waits on it{'; ' + kept if kept else ''}"
        doing = self._doing()
        waits = self._waits()
        return "; ".join(part for part in (doing, waits) if part) or "a goroutine uses it"

    @property
    def kept(self) -> str:
        """Return what keeps it reachable, such as ``reachable from global main.registry``; "" when that was not searched."""
        return self._kept()

    def _doing(self) -> str:
        """Return what the connection is doing, "" where only the parked goroutine tells."""
        found = self.connection
        if found is None:
            return ""
        host = f" for {found.scheme}://{found.host}" if found.scheme and found.host else ""
        kind = f" of {self.pool.kind}" if self.pool is not None else ""
        handler = f" {found.handler.function}" if found.handler is not None else ""
        by = found.held_by or "something"
        words = {
            "idle": f"idle in the pool{kind}{host}",
            "awaiting-response": f"a request was sent{host}, and its answer has not begun",
            "body-held": f"answered{host}, and the body is neither read to its end nor closed",
            "body-reading": f"the answer{host} is being read",
            "in-use": f"in use by {by}" if found.held_by else "in use",
            "tls-handshake": "in its TLS handshake",
            "first-byte": "waits for the first byte of a request",
            "headers": "waits for the rest of a request's headers",
            "body": "waits for the rest of a request's body",
            "handler": f"a request is with its handler{handler}",
            "keep-alive": "kept alive between two requests",
            "hijacked": "taken over from net/http",
            "accepting": "accepts connections",
        }
        return words.get(found.activity, "")

    def _waits(self) -> str:
        """Return what its goroutine does, where and until when."""
        found = self.goroutine
        if found is None:
            return ""
        leaf, site = waiting_frame(self.frames), self.frame
        where = "" if leaf is None else f" in {leaf.function}"
        if site is not None and site.file is not None:
            name = site.file.rpartition("/")[2] + ("" if site.line is None else f":{site.line}")
            own = "" if leaf is None or site.function == leaf.function or where else f" in {site.function}"
            where += f"{own} at {name}"
        elif site is not None and leaf is None:
            where = f" in {site.function}"
        if found.state in _ON_CPU:
            return f"goroutine {found.goid} is in state {found.state}{where}"
        if found.state == "syscall":
            call = f" {found.syscall}" if found.syscall else ""
            return f"goroutine {found.goid} is in the system call{call}{where}"
        verb = {False: "has been parked", True: "waits again and again", None: "is parked"}[found.moved]
        since = f" for at least {format_duration(found.waited_ns)}" if found.waited_ns else ""
        reason = "" if found.state == "IO wait" else f" ({found.state})"
        return f"goroutine {found.goid} {verb}{where}{reason}{since}{self._deadline()}"

    def _deadline(self) -> str:
        if self.use is None:
            return ""
        words = []
        for kind, goid, at_ns in (
            ("read", self.use.reader_goid, self.use.read_deadline_mono_ns),
            ("write", self.use.writer_goid, self.use.write_deadline_mono_ns),
        ):
            if goid is None or at_ns is None:
                continue
            if at_ns == 0:
                words.append(f"no {kind} deadline")
            elif at_ns < 0:
                words.append(f"{kind} deadline expired")
            elif self.looked_mono_ns is None:
                words.append(f"with a {kind} deadline")
            else:
                words.append(f"{kind} deadline in {format_duration(max(at_ns - self.looked_mono_ns, 0))}")
        return "".join(f", {word}" for word in words)

    def _kept(self) -> str:
        """Return what keeps it reachable, "" when that was not searched."""
        found = self.retention
        if found is None or found.verdict == "not-found":
            return ""
        if found.verdict == "unreachable":
            return "nothing was found that reaches it: the next garbage collection closes it"
        if not found.roots:
            return "something still reaches it"
        return f"reachable from {_root_words(found.roots[0])}"


def _root_words(root: RetentionRoot) -> str:
    """Return ``global main.registry (map → *main.session → net.Conn)`` and the like."""
    if root.kind == "goroutine":
        in_function = f" in {root.function}" if root.function else ""
        name = f"goroutine {root.goid}{in_function}"
    elif root.name:
        name = f"global {root.name}"
    elif root.users:
        name = f"a global used by {', '.join(root.users)}"
    else:
        name = "a global"
    return f"{name} ({' → '.join(root.path)})" if root.path else name


def waiting_frame(frames: Iterable[SiteFrame]) -> SiteFrame | None:
    """Return the frame that says what is waited for: the leaf without the runtime and what lies below the net package."""
    frames = tuple(frames)
    telling = (frame for frame in frames if not frame.function.startswith(_BELOW_NET))
    return next(telling, frames[0] if frames else None)


def reading_frame(frames: Iterable[SiteFrame]) -> SiteFrame | None:
    """Return the frame a person should read first: the program's own nearest to the leaf, else a module's; None without."""
    frames = tuple(frames)
    own = next((frame for frame in frames if frame.role == "app"), None)
    return own or next((frame for frame in frames if frame.role not in _CODE_OF_GO), None)


class OwnerBook:
    """Owners of the descriptors of one body of evidence. Build it with :meth:`of` or :meth:`of_evidence`."""

    def __init__(self, owners: dict[tuple[int, int], Owner], pids: frozenset[int]) -> None:
        self._owners = owners
        self._pids = pids

    @classmethod
    def of(
        cls,
        *,
        runtimes: Iterable[GoRuntime] | None = None,
        goroutines: Iterable[Goroutine] | None = None,
        uses: Iterable[DescriptorUse] | None = None,
        connections: Iterable[Connection] | None = None,
        stacks: Iterable[Stack] | None = None,
        pools: Iterable[Pool] | None = None,
        retentions: Iterable[Retention] | None = None,
        descriptors: Iterable[Descriptor] | None = None,
        sockets: Iterable[SocketState] | None = None,
        birthplaces: Iterable[Birthplace] | None = None,
    ) -> OwnerBook:
        """Return the owners of what was observed; None counts as not observed.

        Asked again for the same records it answers with the same book: all rules of one diagnosis share it.
        """
        parts = (
            runtimes, goroutines, uses, connections, stacks, pools, retentions, descriptors, sockets, birthplaces,
        )  # fmt: skip
        if all(part is None for part in parts):
            return cls({}, frozenset())
        return _book(_Parts(None if part is None else tuple(part) for part in parts))

    @classmethod
    def of_evidence(cls, evidence: Evidence) -> OwnerBook:
        """Return the owners of a whole body of evidence: for reports; rules name what they need."""
        return cls.of(
            runtimes=evidence.get(GoRuntime),
            goroutines=evidence.get(Goroutine),
            uses=evidence.get(DescriptorUse),
            connections=evidence.get(Connection),
            stacks=evidence.get(Stack),
            pools=evidence.get(Pool),
            retentions=evidence.get(Retention),
            descriptors=evidence.get(Descriptor),
            sockets=evidence.get(SocketState),
            birthplaces=evidence.get(Birthplace),
        )

    def __iter__(self) -> Iterator[Owner]:
        """Yield the owners of all descriptors that are known from any source, by process and number."""
        return iter(self._owners[key] for key in sorted(self._owners))

    def __len__(self) -> int:
        """Return how many descriptors are known."""
        return len(self._owners)

    def was_read(self, pid: int) -> bool:
        """Return whether goroutines of a process were read, so that the absence of an owner means something."""
        return pid in self._pids

    def get(self, pid: int, fd: int) -> Owner:
        """Return what is known of one descriptor; an empty record when nothing is."""
        found = self._owners.get((pid, fd))
        return Owner(pid=pid, fd=fd) if found is None else found

    def describe(self, pid: int, fd: int) -> str:
        """Return :meth:`Owner.describe` of one descriptor."""
        return self.get(pid, fd).describe()


class _Parts(tuple[Any, ...]):
    """Records of each kind, equal only to the very same ones: to compare them by value would cost more than to join them."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Parts) and all(
            mine is theirs for mine, theirs in zip(self, other, strict=True)
        )

    def __hash__(self) -> int:
        return hash(tuple(map(id, self)))


@lru_cache(maxsize=1)
def _book(parts: _Parts) -> OwnerBook:
    runtimes, goroutines, uses, connections, stacks, pools, retentions, descriptors, sockets, birthplaces = (
        parts
    )
    looked = {one.pid: one.last_mono_ns for one in runtimes or ()}
    goroutine_of = {(one.pid, one.goid): one for one in goroutines or ()}
    use_of = {(one.pid, one.fd): one for one in uses or ()}
    connection_of = {(one.pid, one.fd): one for one in connections or ()}
    frames_of = {(one.pid, one.id): one.frames for one in stacks or ()}
    pool_of = {one.id: one for one in pools or ()}
    retention_of = {(one.pid, one.fd): one for one in retentions or ()}
    descriptor_of = {(one.pid, one.fd): one for one in descriptors or () if not one.at_exit}
    socket_of = {one.inode: one for one in sockets or () if one.when == "end"}
    place_of = {one.id: one for one in birthplaces or ()}
    owners = {}
    for pid, fd in {**use_of, **connection_of, **retention_of, **descriptor_of}:
        use, connection = use_of.get((pid, fd)), connection_of.get((pid, fd))
        found = tuple(
            goroutine_of[pid, goid] for goid in _goids(use, connection) if (pid, goid) in goroutine_of
        )
        first = found[0] if found else None
        retention = retention_of.get((pid, fd))
        keeper = None if first is not None else goroutine_of.get((pid, _keeper(retention)))
        known_to = () if connection is None else connection.known_to_goids
        descriptor = descriptor_of.get((pid, fd))
        inode = (
            None
            if descriptor is None or descriptor.inode is None or not descriptor.kind.is_socket
            else descriptor.inode
        )
        place = None if descriptor is None else descriptor.birthplace
        owners[pid, fd] = Owner(
            pid=pid,
            fd=fd,
            use=use,
            connection=connection,
            goroutine=first,
            goroutines=found,
            frames=_frames(first, frames_of),
            pool=None if connection is None or connection.pool is None else pool_of.get(connection.pool),
            retention=retention,
            descriptor=descriptor,
            socket=None if inode is None else socket_of.get(inode),
            birthplace=None if place is None else place_of.get(place),
            looked_mono_ns=looked.get(pid),
            known_to=tuple(goroutine_of[pid, goid] for goid in known_to if (pid, goid) in goroutine_of),
            keeper=keeper,
            keeper_frames=_frames(keeper, frames_of),
        )
    return OwnerBook(owners, frozenset(looked))


def _keeper(retention: Retention | None) -> int:
    """Return the goroutine by which a connection is reached most directly, -1 when it is none."""
    if retention is None or not retention.roots or retention.roots[0].kind != "goroutine":
        return -1
    goid = retention.roots[0].goid
    return -1 if goid is None else goid


def _frames(
    goroutine: Goroutine | None, known: dict[tuple[int, int], tuple[SiteFrame, ...]]
) -> tuple[SiteFrame, ...]:
    if goroutine is None or goroutine.stack is None:
        return ()
    return known.get((goroutine.pid, goroutine.stack), ())


def _goids(use: DescriptorUse | None, connection: Connection | None) -> tuple[int, ...]:
    """Return the goroutines of a descriptor, the one to name first, each once."""
    found: dict[int | None, None] = {}
    if connection is not None:
        found[connection.owner_goid] = None
    if use is not None:
        found[use.reader_goid] = found[use.writer_goid] = None
        found.update(dict.fromkeys(use.syscall_goids))
    if connection is not None:
        found.update(dict.fromkeys(connection.goids))
    return tuple(goid for goid in found if goid is not None)
