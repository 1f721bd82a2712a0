"""Births and deaths of descriptors as the kernel side counts them: attach, read, compare with the truth, detach.

This is the raw interface. Processes are keyed by ``tgid``, the process id in the initial pid namespace; ``pid_of`` and
``tgid_of`` translate for processes that were named by a pid of our own namespace. Times are CLOCK_MONOTONIC in ns.

Records (structured arrays; layouts in records.h beside this file):

``sites()``
    One exact place of birth each: ``id`` (key), ``tgid``, ``image`` (number of execs before it: addresses compare within one
    image only), ``kind`` (code: ``surface.kind_of``), ``nr`` (system call: ``surface.syscall_name``), ``stack``, ``caller1``,
    ``caller2`` (hashes for ``stack_ips``, 0 for none), ``gopc``, ``births``, ``deaths``, ``deaths_unseen`` (part of deaths,
    not in the histogram), ``deaths_foreign`` (part of deaths: closed by another goroutine or thread than the maker),
    ``first_ns``, ``last_ns`` (of births), ``lifetimes`` (histogram: ``surface.lifetime_bounds_ns``).
``alive()``
    One believed-open descriptor each: ``tgid``, ``fd``, ``state``, ``kind``, ``born_ns``, ``site`` (id), ``file``, ``owner``
    (goroutine id, or tid with the top bit: ``surface.owner_goid``), ``tid``, ``nr`` and the former life's ``died_ns``...
``table(pid)``
    The kernel's own table: ``tgid``, ``tid``, ``fd``, ``flags``, ``file`` (identity of the open file description),
    ``operations`` (equal for equal types), ``inode``, ``device``, ``mode``, ``rdev``, ``kind``, ``cloexec``.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from leadline.contracts.bpf import Bpf, BpfObject, ProgramCost, Rows, UprobeAttachment
from leadline.model import NotPermitted, TargetGone, Unsupported
from leadline.probes.trace_descriptors.reconcile import Comparison, Seen, compare, with_lives
from leadline.probes.trace_descriptors.surface import syscall_tables

__all__ = ["ASKERS", "RELAYS", "STARTERS", "GoOffsets", "JoinPlace", "Reconciled", "Tracker"]

ASKERS: Final = ("net/http.(*Transport).queueForDial",)
"""Functions whose entry shows which goroutine wants a connection; queueForDial runs only when a new one is needed."""
RELAYS: Final = ("net.(*Dialer).DialContext",)
"""Functions that dial for others and start goroutines of their own (one per address family)."""
STARTERS: Final = (
    "net/http.(*Transport).queueForDial",
    "net/http.(*Transport).startDialConnForLocked",
    "net.(*sysDialer).dialParallel",
)
"""Functions whose ``go`` statements start a goroutine that dials for the caller."""

_OBJECT: Final = "descriptors"
_ALWAYS: Final = ("on_sys_enter", "on_sys_exit", "on_exec", "on_exit")
_CALLER_ASKS: Final = 1
_CALLER_RELAYS: Final = 2
_MIN_FDS: Final = 4096
_FD_ALIVE: Final = 1
_FD_AT_EXIT: Final = 2
_MORE_READINGS: Final = 3
_READING_PAUSE_S: Final = 0.002


class GoOffsets(NamedTuple):
    """Offsets into Go's ``runtime.g`` in bytes; 0 where the release has no such field.

    ``self_at`` is ``sched`` + ``gobuf.g``, which points back at its own g: it tells a g from garbage in threads of C code.
    """

    goid: int
    parent_goid: int
    gopc: int
    self_at: int


class JoinPlace(NamedTuple):
    """A function entry to probe: offset in the file, and whether its goroutine works for another one.

    ``relays`` is True for ``net.(*Dialer).DialContext`` (its goroutine may itself have been started for the dial) and False
    for ``net/http.(*Transport).queueForDial`` (its goroutine is the one that asks).
    """

    offset: int
    relays: bool


class Reconciled(NamedTuple):
    """One comparison of belief and truth.

    Attributes:
        rows: the kernel's table (as of ``Tracker.table``) with ``origin`` (``reconcile.Seen``, never TRANSIENT), ``site``,
            ``born_ns``, ``owner``, ``nr``, ``birth_tid`` of traced descriptors and ``seen_since_ns``. Without a life in the
            stream a descriptor is BEFORE when the first table of a named process had it, INHERITED in that of a child,
            else UNKNOWN.
        stale: numbers that were believed open, are not, and were dropped; counted in ``stale`` of their site.
        unknown: numbers that came by a way the stream does not see, since the last comparison.
    """

    rows: Rows
    stale: tuple[int, ...]
    unknown: tuple[int, ...]


class Tracker:
    """The programs at work. Use as a context manager, or close it.

    Args:
        bpf: the machine's BPF subsystem.
        folder: where the built objects are; default: this package.
    """

    def __init__(self, bpf: Bpf, folder: Traversable | None = None) -> None:
        self._bpf = bpf
        self._folder = folder or resources.files(__package__)
        self._object: BpfObject | None = None
        self._tgids: dict[int, int] = {}
        self._pids: dict[int, int] = {}
        self._stacks: dict[int, tuple[int, ...]] = {}
        self._seen: dict[int, dict[tuple[int, int], tuple[Seen, int]]] = {}
        self._stale: dict[int, int] = {}
        self._ended: dict[int, Rows] = {}
        self._ended_sites: list[Rows] = []
        self._ended_rows: list[Rows] = []
        self._only = 0
        self.reconciles = 0
        self.stale_dropped = 0
        self.unknown_found = 0
        self._measuring = False

    # -- start and stop ---------------------------------------------------------------------------------------------

    def start(
        self,
        pids: Sequence[int],
        *,
        follow: bool = False,
        go: GoOffsets | None = None,
        go_after_exec: GoOffsets | None = None,
        max_fds: int = 65536,
        measure: bool = False,
    ) -> None:
        """Load, name the processes, attach. What happens from the return on is seen; ``reconcile`` tells what was before.

        Args:
            pids: processes, in our pid namespace.
            follow: also their children, from the fork on. Without it, a single pid is compared in the fewest ns.
            go: where g's fields are in these processes; None: not Go, owners are threads.
            go_after_exec: the same for the program that they will exec next.
            max_fds: numbers that can be tracked over all processes; births beyond are counted as lost.
            measure: keep run time statistics on (host-wide, 20-30 ns per run of any BPF program).

        Raises:
            NotPermitted, Unsupported: BPF is not available. TargetGone: a pid does not exist.
        """
        if measure:
            self.measure()
        try:
            self._start(pids, follow, go, go_after_exec, max_fds)
        except BaseException:
            self.close()
            raise

    def _start(
        self,
        pids: Sequence[int],
        follow: bool,  # noqa: FBT001  private, named by its one caller
        go: GoOffsets | None,
        go_after_exec: GoOffsets | None,
        max_fds: int,
    ) -> None:
        self._object = self._bpf.load(
            self._folder, _OBJECT, settings=syscall_tables(), max_entries={"fds": max(max_fds, _MIN_FDS)}
        )
        for pid in pids:
            self.add(pid, go=go, go_after_exec=go_after_exec)
        only = self._tgids[pids[0]] if len(pids) == 1 and not follow else 0
        self._aim(only_tgid=only)
        for program in (*_ALWAYS, *(("on_fork",) if follow else ())):
            self._object.attach_tracepoint(program)
        for pid in pids:
            self.reconcile(pid)

    def add(self, pid: int, *, go: GoOffsets | None = None, go_after_exec: GoOffsets | None = None) -> int:
        """Name one more process, or tell anew where its g's fields are; return its tgid.

        Raises:
            TargetGone: no such process (or one without any open descriptor).
        """
        rows = self._object_now.iterate("on_table", "table_row", pid=pid)
        tgid = self._tgid_in(rows, pid)
        self._tgids[pid], self._pids[tgid] = tgid, pid
        processes = self._object_now.map("processes")
        known = processes.lookup(_u32(tgid))
        record = np.zeros(1, processes.value) if known is None else known
        record["go"] = _go_record(go)
        record["go_next"] = _go_record(go_after_exec)
        if known is None:
            record["highest_fd"] = rows["fd"].max(initial=0)
            record["seen_ns"] = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        processes.update(_u32(tgid), record.tobytes())
        if self._only and self._only != tgid:
            self._aim(only_tgid=0)
        return tgid

    def _tgid_in(self, rows: Rows, pid: int) -> int:
        """Return the tgid of a pid from its table; without filtered iterators only the initial namespace can be told."""
        tgids = np.unique(rows["tgid"])
        if len(tgids) == 1:
            return int(tgids[0])
        if pid in tgids:
            return pid
        raise TargetGone(f"process {pid} is gone, or has no open descriptor")

    def _aim(self, **changes: int) -> None:
        aims = self._object_now.map("aims")
        record = aims.lookup(_u32(0))
        if record is None:
            raise Unsupported("the settings of the BPF programs are gone")
        for field, value in changes.items():
            record[field] = value
        aims.update(_u32(0), record.tobytes())
        self._only = changes.get("only_tgid", self._only)

    @property
    def _object_now(self) -> BpfObject:
        if self._object is None:
            raise Unsupported("the tracker is not attached")
        return self._object

    def add_join_uprobes(
        self,
        pid: int | None,
        path: str,
        places: Sequence[JoinPlace],
        starters: Mapping[int, Sequence[tuple[int, int]]],
    ) -> UprobeAttachment:
        """Probe the entries of functions in which goroutines ask others to open connections.

        Args:
            pid: only this process (our namespace); None: all processes of the file that are traced (for ``follow``).
            path: the executable as we can open it, such as ``/proc/PID/exe``.
            places: function entries as file offsets.
            starters: by pid, the run-time addresses [first, end) of the functions of ``STARTERS`` that the program has (at most
                8). Only goroutines that these start are joined to their callers.

        Raises:
            Unsupported, NotPermitted, TargetGone: no probe is attached; births are seen without their callers.
        """
        roles = [(place.offset, _CALLER_RELAYS if place.relays else _CALLER_ASKS) for place in places]
        attached = self._object_now.attach_uprobes("on_join", path, roles, pid=pid)
        for starter_pid, ranges in starters.items():
            self._set_starters(self.tgid_of(starter_pid), ranges)
        self._aim(join=1)
        return attached

    def remove_join_uprobes(self, attached: UprobeAttachment) -> None:
        """Detach entry probes that are hit too often; births are then seen without the callers that they showed."""
        self._object_now.detach_uprobes(attached)

    def _set_starters(self, tgid: int, ranges: Sequence[tuple[int, int]]) -> None:
        processes = self._object_now.map("processes")
        record = processes.lookup(_u32(tgid))
        if record is None:
            raise TargetGone(f"process {tgid} is not traced")
        slots = record["starters"][0]
        slots[:] = (0, 0)
        for slot, (first, end) in zip(range(len(slots)), ranges, strict=False):
            slots[slot] = (first, end)
        processes.update(_u32(tgid), record.tobytes())

    def close(self) -> None:
        """Detach and unload; the last readings stay with the caller. May be called twice."""
        if self._object is not None:
            self._object.close()
            self._object = None
        self.stop_measuring()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- read ---------------------------------------------------------------------------------------------------------

    def pid_of(self, tgid: int) -> int:
        """Return the pid in our namespace of a process that was named by it; for others the tgid itself."""
        return self._pids.get(tgid, tgid)

    def tgid_of(self, pid: int) -> int:
        """Return the tgid of a pid of our namespace; the pid itself when it was not named."""
        return self._tgids.get(pid, pid)

    def sites(self) -> Rows:
        """Return every exact place of birth with ``id`` and ``stale`` (lives that ``reconcile`` dropped)."""
        keys, values = self._object_now.map("sites").dump()
        live = _joined(values, id=keys["value"], stale=self._stale_of(keys["value"]))
        if not self._ended_sites:
            return live
        return np.concatenate([live, *self._ended_sites])

    def _stale_of(self, ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return np.array([self._stale.get(int(site), 0) for site in ids], np.uint64)

    def alive(self) -> Rows:
        """Return the descriptors that are believed open, of all processes that still run."""
        return self._lives(_FD_ALIVE)

    def _lives(self, state: int) -> Rows:
        keys, values = self._object_now.map("fds").dump()
        wanted = values["state"] == state
        return _joined(values[wanted], tgid=keys["tgid"][wanted], fd=keys["fd"][wanted])

    def ended(self) -> Rows:
        """Return the descriptors that were open in the moment before their process ended, as rows of ``alive``."""
        self.harvest()
        rows = self._lives(_FD_ALIVE)[:0]
        return np.concatenate([rows, *self._ended_rows])

    def reconcile(self, pid: int) -> Reconciled:
        """Compare belief and truth for one process: drop what is gone, name what came unseen.

        Both are read several times within some milliseconds when they differ, because a descriptor that is made or closed
        between the two readings looks wrong once.

        Raises:
            TargetGone: no such process (any more).
        """
        self.reconciles += 1
        rows, suspects = self._compared(pid)
        for _ in range(_MORE_READINGS):
            if not suspects.stale and not suspects.unknown:
                break
            time.sleep(_READING_PAUSE_S)
            rows, again = self._compared(pid)
            suspects = Comparison(
                again.life_of, again.stale & suspects.stale, again.unknown & suspects.unknown
            )
        stale = self._drop_stale(pid, suspects.stale)
        unknown = self._name_unseen(pid, rows, suspects.unknown)
        return Reconciled(rows[rows["origin"] != Seen.TRANSIENT], stale, unknown)

    def _compared(self, pid: int) -> tuple[Rows, Comparison]:
        """Read belief, then truth; what was known to be there unseen is no suspect."""
        alive = self.alive()
        lives = alive[alive["tgid"] == self.tgid_of(pid)]
        table = self.table(pid)
        found = compare(table, lives)
        unexplained = found.unknown - self._seen.get(pid, {}).keys()
        return with_lives(table, lives, found.life_of), found._replace(unknown=unexplained)

    def _drop_stale(self, pid: int, stale: frozenset[tuple[int, int]]) -> tuple[int, ...]:
        fds = self._object_now.map("fds")
        dropped = []
        for fd, born_ns in sorted(stale):
            key = _u32(self.tgid_of(pid)) + _u32(fd)
            life = fds.lookup(key)
            if life is None or life["born_ns"][0] != born_ns or life["state"][0] != _FD_ALIVE:
                continue
            if fds.delete(key):
                dropped.append(fd)
                site = int(life["site"][0])
                self._stale[site] = self._stale.get(site, 0) + 1
        self.stale_dropped += len(dropped)
        return tuple(dropped)

    def _name_unseen(self, pid: int, rows: Rows, unknown: frozenset[tuple[int, int]]) -> tuple[int, ...]:
        """Give every row without a life its origin; return the numbers that came unseen since the last time."""
        first = pid not in self._seen
        seen = self._seen.setdefault(pid, {})
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        fresh = (Seen.BEFORE if pid in self._tgids else Seen.INHERITED) if first else Seen.UNKNOWN
        seen.update(dict.fromkeys(unknown, (fresh, now)))
        there = set(zip(rows["fd"].tolist(), rows["file"].tolist(), strict=True))
        for gone in seen.keys() - there:
            del seen[gone]
        for index in np.flatnonzero(rows["origin"] == Seen.TRANSIENT):
            known = seen.get((int(rows["fd"][index]), int(rows["file"][index])))
            if known is not None:
                rows["origin"][index], rows["seen_since_ns"][index] = known
        came = tuple(sorted(fd for fd, _ in unknown)) if fresh is Seen.UNKNOWN else ()
        self.unknown_found += len(came)
        return came

    def harvest(self, *, thorough: bool = False) -> int:
        """Take ended processes out of the kernel's maps and keep what they left here; return how many there were.

        ``sites``, ``ended`` and ``processes`` still tell of them. Call it now and then when following children, so that the
        maps do not fill up with the dead.

        Args:
            thorough: also find processes whose end was overwritten, because ``add`` wrote their record in that very moment:
                their descriptors are marked as open at exit. It reads all lives, so it is for the end of a window.
        """
        processes = self.processes()
        if thorough:
            keys, values = self._object_now.map("fds").dump()
            left = keys["tgid"][values["state"] == (_FD_ALIVE | _FD_AT_EXIT)]
            overwritten = (processes["ended_ns"] == 0) & np.isin(processes["tgid"], left)
            processes["ended_ns"][overwritten] = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        gone = processes[(processes["ended_ns"] != 0) & ~np.isin(processes["tgid"], list(self._ended))]
        if not len(gone):
            return 0
        keys, values = self._object_now.map("fds").dump()
        theirs = np.isin(keys["tgid"], gone["tgid"])
        rows = _joined(values[theirs], tgid=keys["tgid"][theirs], fd=keys["fd"][theirs])
        self._object_now.map("fds").delete_many(keys[theirs])
        self._ended_rows.append(rows[rows["state"] == (_FD_ALIVE | _FD_AT_EXIT)])
        ids, sites = self._object_now.map("sites").dump()
        ended = np.isin(sites["tgid"], gone["tgid"])
        if ended.any():
            kept = _joined(sites[ended], id=ids["value"][ended], stale=self._stale_of(ids["value"][ended]))
            self._ended_sites.append(kept)
            self._object_now.map("sites").delete_many(ids[ended])
        for process in gone:
            tgid = int(process["tgid"])
            self._ended[tgid] = process.copy()
            self._seen.pop(self.pid_of(tgid), None)
            self._object_now.map("processes").delete(_u32(tgid))
        return len(gone)

    def stack_ips(self, stack: int) -> tuple[int, ...]:
        """Return the addresses of a stack, leaf first (the first is exact, the others are return addresses); () when unknown."""
        known = self._stacks.get(stack)
        if known is None and stack:
            value = self._object_now.map("stacks").lookup(stack.to_bytes(8, "little"))
            if value is None:
                return ()
            known = tuple(value["ips"][0][: int(value["count"][0])].tolist())
            self._stacks[stack] = known
        return known or ()

    def table(self, pid: int | None = None) -> Rows:
        """Return the kernel's table of descriptors of a process (or of all), one row each.

        Raises:
            TargetGone: no such process.
        """
        rows = self._object_now.iterate("on_table", "table_row", pid=pid)
        if pid is not None:
            rows = rows[rows["tgid"] == self.tgid_of(pid)]
        found: Rows = rows[rows["tgid"] == rows["tid"]]
        if pid is not None and len(rows) and not len(found):
            # The first thread has ended; each of the others shows the table that they share.
            found = rows[rows["tid"] == rows["tid"].min()]
        if pid is not None and not len(found) and self._has_ended(self.tgid_of(pid)):
            raise TargetGone(f"process {pid} has ended")
        return found

    def _has_ended(self, tgid: int) -> bool:
        if tgid in self._ended:
            return True
        record = self._object_now.map("processes").lookup(_u32(tgid))
        return record is not None and bool(record["ended_ns"][0])

    def failures(self) -> Rows:
        """Return failing closes, with the flags of ``enum failed``."""
        keys, values = self._object_now.map("failures").dump()
        return _joined(values, **{name: keys[name] for name in keys.dtype.names or ()})

    @property
    def failed_flags(self) -> dict[str, int]:
        """Return the bits of ``flags`` in ``failures`` by name (records.h, enum failed)."""
        return dict(self._object_now.enums["failed"])

    def refusals(self) -> Rows:
        """Return calls that were refused a descriptor (EMFILE, ENFILE)."""
        keys, values = self._object_now.map("refusals").dump()
        return _joined(values, **{name: keys[name] for name in keys.dtype.names or ()})

    def processes(self) -> Rows:
        """Return the traced processes, harvested ones too.

        Fields: ``tgid``, ``parent`` (tgid; 0 for named ones), ``image`` (execs seen), ``flags``, ``start_boot_ns``, ``seen_ns``,
        ``ended_ns`` (0 while it runs), ``exit_code`` (as wait(2) has it), ``open_at_exit`` (count, untraced ones included),
        ``comm``...
        """
        keys, values = self._object_now.map("processes").dump()
        live = _joined(values, tgid=keys["value"])
        again = [record for tgid, record in self._ended.items() if tgid not in live["tgid"]]
        return np.concatenate([live, np.array(again, live.dtype)]) if again else live

    def counters(self) -> dict[str, int]:
        """Return events and losses since the start: names of ``enum counter`` in lower case."""
        counters = self._object_now.map("counters")
        sites = self.sites()
        found = {"count_births": int(sites["births"].sum()), "count_deaths": int(sites["deaths"].sum())}
        for name, index in self._object_now.enums["counter"].items():
            value = counters.lookup(_u32(index)) if name != "COUNTERS" else None
            if value is not None:
                found[name.lower()] = int(value["value"].sum())
        return found

    def measure(self) -> bool:
        """Count run times from now on; return whether that is allowed (it takes CAP_SYS_ADMIN, tracing does not)."""
        with contextlib.suppress(NotPermitted):
            self._bpf.measure()
            self._measuring = True
        return self._measuring

    def stop_measuring(self) -> None:
        """Count run times no longer; what was counted stays."""
        if self._measuring:
            self._bpf.stop_measuring()
            self._measuring = False

    def cost(self) -> tuple[ProgramCost, ...]:
        """Return run time and runs per program; zero unless ``measure`` was asked for."""
        return self._object_now.cost()


def _u32(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


def _go_record(go: GoOffsets | None) -> tuple[int, int, int, int]:
    return (0, 0, 0, 0) if go is None else (go.self_at, go.goid, go.parent_goid, go.gopc)


def _joined(values: Rows, **columns: NDArray[Any]) -> Rows:
    """Return the records with key columns in front."""
    dtype = np.dtype(
        [(name, column.dtype) for name, column in columns.items()]
        + [(name, values.dtype[name]) for name in values.dtype.names or ()]
    )
    out = np.empty(len(values), dtype)
    for name, column in columns.items():
        out[name] = column
    for name in values.dtype.names or ():
        out[name] = values[name]
    return out
