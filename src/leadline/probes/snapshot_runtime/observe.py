"""Looks at the Go runtime at the beginning and at the end of a window, and puts what was seen.

The heap is searched only when some socket has no goroutine, or when it was asked for; before the last look, so that the last
look, the socket states and the descriptor table are of nearly one moment.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from leadline.contracts import ProbeInfo, gap_of
from leadline.evidence.kinds import (
    Connection,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Pool,
    Retention,
    Stack,
    WaitObject,
)
from leadline.model import AccessError, Gap, GapReason, LeadlineError
from leadline.probes.snapshot_runtime.evidence import runnable_count, runtime_evidence
from leadline.probes.snapshot_runtime.gc_state import read_gc
from leadline.probes.snapshot_runtime.http_ports import ports_at
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.process import NotGo, open_process
from leadline.probes.snapshot_runtime.readers import read_all
from leadline.probes.snapshot_runtime.retention import retain

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadline.contracts import Host
    from leadline.evidence import Evidence
    from leadline.probes.snapshot_runtime.gc_state import GcState
    from leadline.probes.snapshot_runtime.look import Moment
    from leadline.probes.snapshot_runtime.looks import Look
    from leadline.probes.snapshot_runtime.process import OpenedProcess

__all__ = ["DEFAULT_CAP_BYTES", "FIRST_STACK", "SnapshotRuntime"]

NAME = "snapshot_runtime"
FIRST_STACK = 1_000_001
"""Number of this probe's first stack: stacks of births have the numbers below."""
MAX_SEARCHED = 64
"""Connections without a goroutine whose holders are looked for; many of one kind are held alike."""
MAX_ASKED = 256
"""Channels for which the heap is searched for somebody else; those at places where most goroutines stand are asked first."""
CONFIRMING = 3
"""Looks at each of which a socket must be without a goroutine before the heap is searched for it."""
MIN_UNSERVED = 10
"""Goroutines that wait for channels which nobody else has at hand, from which on the heap is searched for somebody."""
DEFAULT_CAP_BYTES = 512 << 20
LOOK_EVERY_NS = 2_000_000_000
PACES = (1.0, 1.35, 0.75, 1.2, 0.7)
"""Times LOOK_EVERY_NS, in turn: work that comes in bursts of an even beat is not met at each look."""
MAX_BETWEEN = 7
"""Looks in between that are kept to tell who has not run since; then every second one is dropped."""
COST_FACTOR = 50
"""Between the first and the last look at most 2 % of one core go into looking."""
_KINDS = (GoRuntime, Goroutine, DescriptorUse, Connection, Pool, WaitObject)


class SnapshotRuntime:
    """Starts looking at the Go runtime of a process.

    Args:
        heap: ``never``, ``when-needed`` (some socket has no goroutine) or ``always``.
        cap_bytes: most memory of the target that a search of its heap may read.
        progress: told how much of the heap was searched, 0.0 to 1.0.
        is_single: look once, at the end, so that nothing is said about what moved.
    """

    INFO = ProbeInfo(
        name=NAME,
        kinds=(
            "go_runtime", "goroutine", "stack", "descriptor_use", "connection", "pool", "wait_object", "retention",
        ),
        capabilities=("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
    )  # fmt: skip

    def __init__(
        self,
        *,
        heap: str = "when-needed",
        cap_bytes: int = DEFAULT_CAP_BYTES,
        progress: Callable[[float], None] | None = None,
        is_single: bool = False,
    ) -> None:
        self.is_single = is_single
        self.heap = heap
        self.cap_bytes = cap_bytes
        self.progress = progress

    def begin(self, host: Host, pid: int, evidence: Evidence) -> RuntimeObservation:
        """Open the process and look for the first time. A program in another language has no goroutines: that is no gap."""
        try:
            process = open_process(host, pid)
            if process.variant:
                evidence.gap(_variant_gap(process))
            look = None if self.is_single else take_look(process)
            first = None if look is None else look.moment()
            observation = RuntimeObservation(self, host, process, first, read_gc(process))
            if look is not None:
                observation.note_ports(look)
        except NotGo:
            for kind in (*_KINDS, Retention):
                evidence.put_all(kind, ())
        except LeadlineError as error:
            evidence.gap(gap_of(error, what="goroutines and connections in the Go runtime", probe=NAME))
        else:
            return observation
        return RuntimeObservation(self, host)


class RuntimeObservation:
    """The runtime of one process under observation; it does nothing when the process could not be opened."""

    def __init__(
        self,
        probe: SnapshotRuntime,
        host: Host,
        process: OpenedProcess | None = None,
        first: Moment | None = None,
        first_gc: GcState | None = None,
    ) -> None:
        self._probe = probe
        self._host = host
        self._process = process
        self._first = first
        self._first_gc = first_gc
        self._runnable: list[int] = []
        self._between: list[Moment] = []
        self._next_look_ns = 0
        self._http_ports: frozenset[int] = frozenset()
        if first is not None:
            self._runnable.append(runnable_count(first))
            self._next_look_ns = host.clock.mono_ns() + LOOK_EVERY_NS

    def note_ports(self, look: Look) -> None:
        """Note on which ports servers of net/http accept at a look: they may have been shut down by the last one."""
        if self._process is not None:
            # What a release does not tell, the readers say at the last look.
            with suppress(KeyError, LeadlineError):
                self._http_ports |= ports_at(self._host, self._process, look)

    def tick(self) -> None:
        """Note now and then how many goroutines wait for a CPU and who has run, as long as that is cheap."""
        if self._process is None or self._first is None or self._host.clock.mono_ns() < self._next_look_ns:
            return
        begun_ns = self._host.clock.mono_ns()
        try:
            look = take_look(self._process)
        except AccessError:
            return  # the last look tells why
        self.note_ports(look)
        moment = look.moment()
        self._runnable.append(runnable_count(moment))
        self._between.append(moment)
        if len(self._between) > MAX_BETWEEN:
            del self._between[::2]
        now_ns = self._host.clock.mono_ns()
        pace_ns = round(LOOK_EVERY_NS * PACES[len(self._runnable) % len(PACES)])
        self._next_look_ns = now_ns + max(pace_ns, COST_FACTOR * (now_ns - begun_ns))

    def finish(self, evidence: Evidence) -> None:
        """Search the heap if that is called for, look for the last time, and put what was seen."""
        process = self._process
        if process is None:
            return
        try:
            process.check_same()
            reached: dict[int, str] = {}
            retentions = self._search(process, evidence, reached)
            last = take_look(process)
            found = Found(http_ports=self._http_ports)
            read_all(self._host, process, last, found)
            gc = read_gc(process)
        except LeadlineError as error:
            evidence.gap(
                gap_of(error, what="goroutines and connections at the end of the window", probe=NAME)
            )
            return
        self._runnable.append(runnable_count(last))
        runtime, goroutines, stacks = runtime_evidence(
            self._host,
            process,
            last,
            self._first,
            found,
            first_id=FIRST_STACK,
            gc=gc,
            first_gc=self._first_gc,
            runnable=tuple(self._runnable),
            between=self._between,
        )
        evidence.put(runtime)
        evidence.put_all(Goroutine, goroutines)
        evidence.put_all(Stack, stacks)
        evidence.put_all(DescriptorUse, found.uses.values())
        evidence.put_all(Connection, found.connections.values())
        evidence.put_all(Pool, found.pools)
        evidence.put_all(WaitObject, [_reached(one, found, reached) for one in found.objects])
        if retentions is not None:
            evidence.put_all(Retention, retentions)
        for gap in found.gaps:
            evidence.gap(gap)

    def _search(
        self, process: OpenedProcess, evidence: Evidence, reached: dict[int, str]
    ) -> list[Retention] | None:
        """Return what keeps sockets reachable that no goroutine uses; None when that was not searched.

        Who else can reach the channels that goroutines wait for is put into ``reached``, by address.
        """
        if self._probe.heap == "never":
            return None
        wanted: set[int] | None = None
        # A goroutine that is at work with a socket just now is no reason to search.
        for _ in range(CONFIRMING):
            look = take_look(process)
            found = Found()
            read_all(self._host, process, look, found)
            unused = set(self._unused(process.pid, found))
            wanted = unused if wanted is None else wanted & unused
            if not wanted:
                break
        found.gaps.clear()  # the last look says the same
        waits = _unserved(found, look)
        if not wanted and (sum(map(len, waits.values())) < MIN_UNSERVED):
            return []  # every socket has a goroutine: there is nothing to search for
        try:
            return retain(
                process,
                look,
                _spread(sorted(wanted or ())),
                cap_bytes=self._probe.cap_bytes,
                progress=self._probe.progress,
                gaps=found.gaps,
                waits=waits,
                reached=reached,
            )
        except LeadlineError as error:
            evidence.gap(gap_of(error, what="what keeps connections reachable", probe=NAME))
            return None
        finally:
            for gap in found.gaps:
                evidence.gap(gap)

    def _unused(self, pid: int, found: Found) -> list[int]:
        """Return the sockets that no goroutine waits on or was seen to work with."""
        busy = {
            fd
            for fd, use in found.uses.items()
            if use.reader_goid is not None or use.writer_goid is not None or use.syscall_goids
        }
        busy |= {fd for fd, one in found.connections.items() if one.activity != "no-goroutine"}
        return [
            link.fd
            for link in self._host.fd_links(pid)
            if link.name.startswith("socket:") and link.fd not in busy
        ]


def _variant_gap(process: OpenedProcess) -> Gap:
    return Gap(
        what="proof of the Go runtime's layout",
        reason=GapReason.UNSUPPORTED,
        detail=f"built with {process.go_version}: the release was measured, this variant of it was not",
        remedy="what was read was checked as far as it can be; compare with a dump of the program where something looks wrong",
        probe=NAME,
    )


def _unserved(found: Found, look: Look) -> dict[int, tuple[int, ...]]:
    """Return who waits for channels that nobody else has at hand, by the channel's address.

    Those come first for which most wait, or whose waiters stand where most goroutines stand: what leaks is many of one kind.
    """
    waits = {
        found.addresses[one.id]: (*one.receivers, *one.senders)
        for one in found.objects
        if one.kind == "chan"
        and one.stacks_searched
        and not one.holders
        and not one.name
        and one.reachable is None
    }
    stack_of = dict(zip(look.goids.tolist(), look.stack_of.tolist(), strict=True))
    sizes = Counter(stack_of.values())

    def crowd(goids: tuple[int, ...]) -> int:
        return max((len(goids), *(sizes[stack_of.get(goid, -1)] for goid in goids)))

    ordered = sorted(waits.items(), key=lambda item: crowd(item[1]), reverse=True)
    return dict(ordered[:MAX_ASKED])


def _reached(one: WaitObject, found: Found, reached: dict[int, str]) -> WaitObject:
    """Return an object with what the search told of who else can reach it."""
    answer = reached.get(found.addresses.get(one.id, 0))
    return (
        one if answer is None or one.reachable is not None else msgspec.structs.replace(one, reachable=answer)
    )


def _spread(fds: list[int]) -> list[int]:
    """Return at most so many of the descriptors as are searched for, old and young ones alike."""
    step = max(len(fds) / MAX_SEARCHED, 1)
    return [fds[int(step * number)] for number in range(min(len(fds), MAX_SEARCHED))]


PROBE = SnapshotRuntime()
