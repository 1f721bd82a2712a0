"""What is shown of goroutines: groups by state and stack, descriptors with who waits on them, and the comparison of two dumps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Connection,
    Descriptor,
    DescriptorUse,
    Goroutine,
    GoroutineGroup,
    GoRuntime,
    ProcessInfo,
    SocketState,
    Stack,
)
from leadline.evidence.owners import reading_frame, waiting_frame
from leadline.evidence.queries import endpoint, final_sockets, stacks, target
from leadline.model import Gap, SiteFrame, format_duration, printable
from leadline.report.connections import ACTIVITIES
from leadline.report.frames import frame_groups
from leadline.report.view import FrameGroup, GroupView

__all__ = [
    "MEANINGS",
    "DescriptorRow",
    "DescriptorWait",
    "GoroutinesView",
    "GroupChange",
    "GroupRow",
    "GroupsDiff",
    "descriptor_notes",
    "diff_goroutines",
    "make_goroutines_view",
    "meaning_of",
    "most_frequent",
    "place_of",
    "shown_groups",
]

MAX_IDS = 6
MAX_LABELS = 4
MAX_CREATORS = 3
MAX_SHOWN = 200

MEANINGS = {
    "running": "on a CPU when the look was taken",
    "runnable": "ready to run, waits for a CPU",
    "syscall": "its thread is in a system call or in C code",
    "IO wait": "waits until a descriptor can be read or written",
    "chan receive": "waits for a value from a channel, or for its close",
    "chan send": "waits until somebody takes its value from a channel",
    "chan receive (nil chan)": "receives from a nil channel: can never go on",
    "chan send (nil chan)": "sends to a nil channel: can never go on",
    "select": "waits for the first of several channels",
    "select (no cases)": "an empty select: waits for ever",
    "sleep": "in time.Sleep",
    "semacquire": "waits for a semaphore: a lock, a WaitGroup, or the close of a descriptor in use",
    "sync.Mutex.Lock": "waits for a lock that another goroutine holds",
    "sync.RWMutex.RLock": "waits to read: a writer has the lock, or is waiting for it",
    "sync.RWMutex.Lock": "waits to write: others have the lock",
    "sync.WaitGroup.Wait": "waits until other goroutines are done",
    "sync.Cond.Wait": "waits for a signal",
    "coroutine": "a suspended iterator (iter.Pull)",
    "preempted": "stopped in the middle of its work by the scheduler",
    "copystack": "its stack is being moved",
    "finalizer wait": "runs finalizers, has none now",
    "cleanup wait": "runs cleanups, has none now",
    "trace reader (blocked)": "reads the execution trace, waits for more of it",
    "wait for GC cycle": "waits for the garbage collector to finish",
    "GC assist wait": "must help the garbage collector before it may allocate",
    "GC assist marking": "helps the garbage collector before it may allocate",
    "GC sweep wait": "waits for the garbage collector",
    "panicwait": "waits for a panic to end the process",
    "stopping the world": "waits until all goroutines have stopped",
    "synctest.Run": "waits for its synctest bubble to end",
    "synctest.Wait": "waits until its synctest bubble is idle",
    "debug call": "held by a debugger",
    "idle": "a thread without work",
}
"""What the runtime's words for states mean, in one line."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Goroutines with the same state and stack.

    Attributes:
        state: as Go prints it; "" when the dump does not tell it.
        meaning: what the state means; "" when it is not known.
        leaked: how many of them the garbage collector found to wait for ever.
        waited: longest known wait in words; "" when the runtime has noted none.
        waited_ns: the same as a number; None when none is known.
        moves: what two looks tell, in words, such as ``198 parked all the time, 2 have run``; "" after one look.
        function, place, path: the frame to read first; "" without a stack.
        role: its role as in SiteFrame; "" without a stack.
        frames: the whole stack.
        is_cut: frames are missing.
        stack: id of the stack; None when it was not read.
        creators: ``main.serve  server.go:12`` with counts, most first.
        labels: ``key=value`` with counts, most first.
        ids: the smallest goroutine numbers, at most six.
        fds: descriptors that they wait on, ascending, at most six; ``fd_count`` is all.
        locked: how many are locked to their thread.
        unstable: how many stacks did not hold still while they were read.
    """

    count: int
    state: str
    meaning: str
    leaked: int
    waited: str
    waited_ns: int | None
    moves: str
    function: str
    place: str
    path: str
    role: str
    frames: tuple[FrameGroup, ...]
    is_cut: bool
    stack: int | None
    creators: tuple[tuple[str, int], ...]
    labels: tuple[tuple[str, int], ...]
    ids: tuple[int, ...]
    fds: tuple[int, ...]
    fd_count: int
    locked: int
    unstable: int


@dataclass(frozen=True, slots=True)
class DescriptorWait:
    """One goroutine on a descriptor; ``how`` is ``reads``, ``writes`` or ``blocks`` (its thread is in a system call on it)."""

    how: str
    goid: int
    state: str
    waited: str
    function: str
    place: str
    deadline: str


@dataclass(frozen=True, slots=True)
class DescriptorRow:
    """One descriptor; ``what`` is its kind with both ends, ``doing`` what the program does with it as far as it is known."""

    fd: int
    what: str
    state: str
    doing: str
    waits: tuple[DescriptorWait, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GoroutinesView:
    """All that is shown.

    Attributes:
        title: the process or file.
        facts: labelled values of the header.
        summary: in one sentence.
        groups: largest first, then longest wait.
        descriptors: by number; empty for a dump.
        gaps: what could not be seen, as (what, why, remedy).
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    summary: str
    groups: tuple[GroupRow, ...]
    descriptors: tuple[DescriptorRow, ...]
    gaps: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class GroupChange:
    """One group in two dumps.

    Attributes:
        before, after: how many.
        still: goroutines with the same number in the same place in both dumps.
        new: goroutines whose number was not in the older dump.
        row: of the newer dump; of the older one when there is none left.
    """

    before: int
    after: int
    still: int
    new: int
    row: GroupRow

    @property
    def growth(self) -> int:
        """Return by how much it has grown."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class GroupsDiff:
    """Two dumps compared by the numbers of goroutines, which are never used again in one process.

    Attributes:
        before, after: goroutines in each.
        new, gone: numbers that are in one of them only.
        still: the same number, state and stack in both.
        moved: the same number elsewhere.
        groups: those that changed most first; groups without any goroutine in common and of equal size at the end.
        is_same_process: whether goroutines can be told apart by number; False for dumps that only count (``debug=1``), and when
            no number is in both.
        note: what to know of the comparison; "" for nothing.
    """

    before: int
    after: int
    new: int
    gone: int
    still: int
    moved: int
    groups: tuple[GroupChange, ...]
    is_same_process: bool
    note: str


def meaning_of(state: str) -> str:
    """Return what a state means; "" when it is not known.

    >>> meaning_of("chan send (durable)")
    'waits until somebody takes its value from a channel'
    """
    return MEANINGS.get(state.removesuffix(" (durable)").removesuffix(" (synctest)"), "")


def place_of(frame: SiteFrame | None, *, whole: bool = False) -> str:
    """Return ``server.go:12`` (with its folder when ``whole``); "" when unknown."""
    if frame is None or frame.file is None:
        return ""
    name = frame.file if whole else frame.file.replace("\\", "/").rpartition("/")[2]
    return printable(name if frame.line is None else f"{name}:{frame.line}")


def make_goroutines_view(evidence: Evidence, title: str = "") -> GoroutinesView:
    """Return the view of a look or of a dump.

    Args:
        evidence: with Goroutine or GoroutineGroup records.
        title: what was looked at; the process when empty.
    """
    runtime = evidence.first(GoRuntime)
    groups = _groups(evidence)
    process = target(evidence)
    return GoroutinesView(
        title=printable(title) or _title(process),
        facts=_facts(runtime, process),
        summary=_summary(evidence, runtime, groups),
        groups=groups,
        descriptors=_descriptors(evidence, runtime),
        gaps=tuple((printable(gap.what), _why(gap), printable(gap.remedy)) for gap in evidence.all(Gap)),
    )


def shown_groups(evidence: Evidence) -> tuple[GroupView, ...]:
    """Return the groups for a report about descriptors, largest first, at most so many as a page holds."""
    return tuple(
        GroupView(
            count=row.count,
            state=row.state,
            meaning=row.meaning,
            waited=row.waited,
            moves=row.moves,
            function=row.function,
            place=row.place,
            groups=row.frames,
            creators=tuple(f"{where} ({count:,})" for where, count in row.creators),
            fd_count=row.fd_count,
        )
        for row in _groups(evidence)[:MAX_SHOWN]
    )


def _title(process: ProcessInfo | None) -> str:
    return "" if process is None else f"{printable(process.comm)} (pid {process.pid})"


def _why(gap: Gap) -> str:
    detail = printable(gap.detail.partition("\n")[0])
    return f"{gap.reason.value} ({detail})" if detail else gap.reason.value


# Groups.


def _groups(evidence: Evidence) -> tuple[GroupRow, ...]:
    known = stacks(evidence)
    members: defaultdict[tuple[str, int | None, bool], list[Goroutine]] = defaultdict(list)
    for one in evidence.all(Goroutine):
        members[one.state, one.stack, one.is_leaked].append(one)
    fds = _fds_of(evidence)
    looks = _looks(evidence)
    rows = [
        _group(state, None if stack is None else known.get(stack), group, fds, looks=looks)
        for (state, stack, _), group in members.items()
    ]
    rows += [_counted(group, known.get(group.stack)) for group in evidence.all(GoroutineGroup)]
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                -row.count,
                -row.leaked,
                -(row.waited_ns or 0),
                row.state,
                row.function,
                row.place,
            ),
        )
    )


def _looks(evidence: Evidence) -> int:
    runtime = evidence.first(GoRuntime)
    return 1 if runtime is None else runtime.passes


def _fds_of(evidence: Evidence) -> dict[int, set[int]]:
    found: defaultdict[int, set[int]] = defaultdict(set)
    for use in evidence.all(DescriptorUse):
        for goid in (use.reader_goid, use.writer_goid, *use.syscall_goids):
            if goid is not None:
                found[goid].add(use.fd)
    for one in evidence.all(Goroutine):
        if one.syscall_fd is not None:
            found[one.goid].add(one.syscall_fd)
    return found


def _group(
    state: str, stack: Stack | None, members: list[Goroutine], fds: dict[int, set[int]], *, looks: int
) -> GroupRow:
    waits = [one.waited_ns for one in members if one.waited_ns is not None]
    longest = max(waits, default=None)
    creators: Counter[str] = Counter(
        _one_line(one.created_by) for one in members if one.created_by is not None
    )
    labels = Counter(f"{key}={value}" for one in members for key, value in one.labels.items())
    numbers = sorted({fd for one in members for fd in fds.get(one.goid, ())})
    frames = () if stack is None else stack.frames
    read_first = _first(frames)
    return GroupRow(
        count=len(members),
        state=printable(state),
        meaning=meaning_of(state),
        leaked=sum(one.is_leaked for one in members),
        waited=_waited(longest, len(waits), len(members)),
        waited_ns=longest,
        moves=_moves(members, looks),
        function="" if read_first is None else printable(read_first.function),
        place=place_of(read_first),
        path=place_of(read_first, whole=True),
        role="" if read_first is None else read_first.role,
        frames=frame_groups(frames),
        is_cut=stack is not None and stack.truncated,
        stack=None if stack is None else stack.id,
        creators=_most(creators),
        labels=_most(Counter({printable(text): count for text, count in labels.items()})),
        ids=tuple(sorted(one.goid for one in members)[:MAX_IDS]),
        fds=tuple(numbers[:MAX_IDS]),
        fd_count=len(numbers),
        locked=sum(one.is_locked for one in members),
        unstable=sum(not one.is_stable for one in members),
    )


def _counted(group: GoroutineGroup, stack: Stack | None) -> GroupRow:
    frames = () if stack is None else stack.frames
    read_first = _first(frames)
    return GroupRow(
        count=group.count,
        state="",
        meaning="",
        leaked=0,
        waited="",
        waited_ns=None,
        moves="",
        function="" if read_first is None else printable(read_first.function),
        place=place_of(read_first),
        path=place_of(read_first, whole=True),
        role="" if read_first is None else read_first.role,
        frames=frame_groups(frames),
        is_cut=stack is not None and stack.truncated,
        stack=group.stack,
        creators=(),
        labels=tuple((printable(f"{key}={value}"), group.count) for key, value in group.labels.items()),
        ids=(),
        fds=(),
        fd_count=0,
        locked=0,
        unstable=0,
    )


def _first(frames: tuple[SiteFrame, ...]) -> SiteFrame | None:
    return reading_frame(frames) or waiting_frame(frames)


def _one_line(frame: SiteFrame) -> str:
    return f"{printable(frame.function)}  {place_of(frame)}".rstrip()


def _most(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _waited(longest_ns: int | None, noted: int, count: int) -> str:
    if longest_ns is None:
        return ""
    if count == 1:
        return f"at least {format_duration(longest_ns)}"
    among = "" if noted == count else f" ({noted:,} of {count:,} are known to wait)"
    return f"longest at least {format_duration(longest_ns)}{among}"


def _moves(members: list[Goroutine], looks: int) -> str:
    if looks < 2:
        return ""
    new = sum(one.is_new for one in members)
    parked = sum(one.moved is False for one in members)
    moved = sum(one.moved is True for one in members)
    words = [
        f"{count:,} {word}"
        for count, word in ((parked, "parked all the time"), (moved, "ran in between"), (new, "new"))
        if count
    ]
    return ", ".join(words)


# Head.


def _facts(runtime: GoRuntime | None, process: ProcessInfo | None) -> tuple[tuple[str, str], ...]:
    facts = []
    version = (runtime.go_version if runtime is not None else None) or (
        process.go_version if process is not None else None
    )
    build = " ".join(
        word for word in (version or "", "" if process is None else process.main_module or "") if word
    )
    facts.append(("program", printable(build)))
    if runtime is None:
        return tuple((label, value) for label, value in facts if value)
    facts.append(("because", printable(runtime.cause)))
    if runtime.source == "memory" and runtime.passes > 1 and runtime.first_mono_ns is not None:
        span_ns = (runtime.last_mono_ns or runtime.first_mono_ns) - runtime.first_mono_ns
        facts.append(("looked", f"{runtime.passes} times in {format_duration(span_ns)}"))
    elif runtime.source == "dump" and runtime.passes > 1:
        facts.append(("dumps", f"{runtime.passes} in this file; the last one is shown"))
    elif runtime.source == "pprof":
        facts.append(("asked", "the process's own net/http/pprof"))
    if runtime.gomaxprocs is not None:
        threads = "" if runtime.threads is None else f"; {runtime.threads:,} threads"
        facts.append(("scheduler", f"GOMAXPROCS {runtime.gomaxprocs}{threads}"))
    return tuple((label, value) for label, value in facts if value)


def _summary(evidence: Evidence, runtime: GoRuntime | None, groups: tuple[GroupRow, ...]) -> str:
    total = (
        sum(row.count for row in groups)
        if runtime is None
        else max(runtime.goroutines, sum(row.count for row in groups))
    )
    if runtime is None and not groups:
        return "No goroutine was seen."
    places = len(groups)
    words = [
        f"{total:,} {_plural('goroutine', total)} in {places:,} {_plural('group', places)} of the same state and stack"
    ]
    if evidence.get(Goroutine) is None and groups:
        words = [f"{total:,} {_plural('goroutine', total)} on {places:,} {_plural('stack', places)}"]
    leaked = sum(row.leaked for row in groups)
    if leaked:
        words.append(f"{leaked:,} can never go on, as the garbage collector found")
    if runtime is not None:
        if runtime.first_goroutines is not None and runtime.first_goroutines != runtime.goroutines:
            words.append(f"{runtime.goroutines - runtime.first_goroutines:+,} since the first look")
        if runtime.running:
            words.append(f"{runtime.running:,} on a CPU")
        if runtime.unstable:
            words.append(f"{runtime.unstable:,} did not hold still")
        if runtime.system_goroutines:
            words.append(f"{runtime.system_goroutines:,} of the runtime itself left out")
    return "; ".join(words) + "."


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


# Descriptors.


def _descriptors(evidence: Evidence, runtime: GoRuntime | None) -> tuple[DescriptorRow, ...]:
    uses = evidence.all(DescriptorUse)
    if not uses:
        return ()
    known = stacks(evidence)
    goroutines = {one.goid: one for one in evidence.all(Goroutine)}
    sockets = final_sockets(evidence)
    table = {(one.pid, one.fd): one for one in evidence.all(Descriptor)}
    connections = {(one.pid, one.fd): one for one in evidence.all(Connection)}
    now_ns = None if runtime is None else runtime.last_mono_ns
    rows = []
    for use in sorted(uses, key=lambda one: (one.pid, one.fd)):
        descriptor = table.get((use.pid, use.fd))
        socket = None if descriptor is None or descriptor.inode is None else sockets.get(descriptor.inode)
        waits = []
        for how, goid, deadline_ns in (
            ("reads", use.reader_goid, use.read_deadline_mono_ns),
            ("writes", use.writer_goid, use.write_deadline_mono_ns),
            *(("blocks", goid, 0) for goid in use.syscall_goids),
        ):
            if goid is not None:
                deadline = "" if how == "blocks" else _deadline(deadline_ns, now_ns)
                waits.append(_wait(how, goid, goroutines.get(goid), known, deadline))
        notes = []
        if use.is_closing:
            notes.append("Close was called and has not finished")
        if not use.is_polled:
            notes.append("not in the network poller: blocking mode, or not opened by Go's own packages")
        rows.append(
            DescriptorRow(
                fd=use.fd,
                what=_what(descriptor, socket),
                state="" if socket is None else printable(socket.state),
                doing=_doing(connections.get((use.pid, use.fd))),
                waits=tuple(waits),
                notes=tuple(notes),
            )
        )
    return tuple(rows)


def _wait(
    how: str, goid: int, one: Goroutine | None, known: dict[int, Stack], deadline: str
) -> DescriptorWait:
    stack = None if one is None or one.stack is None else known.get(one.stack)
    frame = None if stack is None else _first(stack.frames)
    return DescriptorWait(
        how=how,
        goid=goid,
        state="" if one is None else printable(one.state),
        waited="" if one is None or one.waited_ns is None else f"at least {format_duration(one.waited_ns)}",
        function="" if frame is None else printable(frame.function),
        place=place_of(frame),
        deadline=deadline,
    )


def _deadline(mono_ns: int | None, now_ns: int | None) -> str:
    if mono_ns is None:
        return ""
    if mono_ns == 0:
        return "no deadline"
    if mono_ns < 0 or (now_ns is not None and mono_ns <= now_ns):
        return "deadline expired"
    return "deadline set" if now_ns is None else f"deadline in {format_duration(mono_ns - now_ns)}"


def _what(descriptor: Descriptor | None, socket: SocketState | None) -> str:
    if socket is not None:
        local, remote = endpoint(socket.laddr, socket.lport), endpoint(socket.raddr, socket.rport)
        if socket.protocol == "unix":
            return f"unix {printable(socket.name)}".rstrip()
        ends = local if socket.state == "LISTEN" or not socket.rport else f"{local} - {remote}"
        return f"{socket.protocol} {ends}"
    if descriptor is None:
        return ""
    name = printable(descriptor.name)
    return (
        name if name.startswith(f"{descriptor.kind.value}:") else f"{descriptor.kind.value} {name}".rstrip()
    )


def _doing(connection: Connection | None) -> str:
    if connection is None:
        return ""
    host = "" if not connection.host else f" {printable(connection.host)}"
    doing = ACTIVITIES.get(connection.activity, connection.activity)
    return f"{connection.role} {connection.protocol}{host}: {doing}"


def descriptor_notes(view: GoroutinesView) -> dict[int, str]:
    """Return what each goroutine waits on, by goroutine number, such as ``fd 7 (reads), tcp 10.0.0.1:80 - ..., no deadline``."""
    notes: defaultdict[int, list[str]] = defaultdict(list)
    for row in view.descriptors:
        for wait in row.waits:
            parts = [f"{wait.how} fd {row.fd}", row.what, row.state, wait.deadline]
            notes[wait.goid].append(", ".join(part for part in parts if part))
    return {goid: "; ".join(words) for goid, words in notes.items()}


# Comparison.

_Key = tuple[str, int]
"""State, and the number of a stack in both dumps."""


class _Numbers:
    """Numbers of stacks that are the same in both dumps; 0 stands for no stack."""

    def __init__(self) -> None:
        self._known: dict[tuple[SiteFrame, ...], int] = {(): 0}

    def of(self, evidence: Evidence) -> dict[int | None, int]:
        """Return the common number of each stack by its id."""
        found: dict[int | None, int] = {None: 0}
        for stack in evidence.all(Stack):
            found[stack.id] = self._known.setdefault(stack.frames, len(self._known))
        return found


def diff_goroutines(older: Evidence, newer: Evidence) -> GroupsDiff:
    """Return what has changed between two dumps of one process."""
    numbers = _Numbers()
    old_stacks, new_stacks = numbers.of(older), numbers.of(newer)
    before, after = _keyed(older, old_stacks), _keyed(newer, new_stacks)
    old_counts, new_counts = _counts(older, before, old_stacks), _counts(newer, after, new_stacks)
    common = before.keys() & after.keys()
    still = {goid for goid in common if before[goid] == after[goid]}
    rows_old, rows_new = _rows_by_key(older, old_stacks), _rows_by_key(newer, new_stacks)
    still_of = Counter(after[goid] for goid in still)
    new_of = Counter(after[goid] for goid in after.keys() - before.keys())
    changes = [
        GroupChange(
            before=old_counts[key],
            after=new_counts[key],
            still=still_of[key],
            new=new_of[key],
            row=rows_new.get(key) or rows_old[key],
        )
        for key in old_counts.keys() | new_counts.keys()
    ]
    changes.sort(
        key=lambda one: (-one.growth, -one.still, -one.after, one.row.state, one.row.function, one.row.place)
    )
    has_numbers = bool(before) and bool(after)
    note = ""
    if not has_numbers:
        note = "a dump that only counts (debug=1) tells no goroutine numbers: only the sizes of groups can be compared"
    elif not common:
        note = "no goroutine is in both dumps: are they of the same process, and is the older one first?"
    return GroupsDiff(
        before=sum(old_counts.values()),
        after=sum(new_counts.values()),
        new=len(after.keys() - before.keys()) if has_numbers else 0,
        gone=len(before.keys() - after.keys()) if has_numbers else 0,
        still=len(still),
        moved=len(common) - len(still),
        groups=tuple(changes),
        is_same_process=bool(common),
        note=note,
    )


def _keyed(evidence: Evidence, numbers: dict[int | None, int]) -> dict[int, _Key]:
    return {one.goid: (one.state, numbers.get(one.stack, 0)) for one in evidence.all(Goroutine)}


def _counts(evidence: Evidence, keyed: dict[int, _Key], numbers: dict[int | None, int]) -> Counter[_Key]:
    counts: Counter[_Key] = Counter(keyed.values())
    for group in evidence.all(GoroutineGroup):
        counts["", numbers.get(group.stack, 0)] += group.count
    return counts


def _rows_by_key(evidence: Evidence, numbers: dict[int | None, int]) -> dict[_Key, GroupRow]:
    return {(row.state, numbers.get(row.stack, 0)): row for row in _groups(evidence)}


def most_frequent(items: Iterable[tuple[str, int]], most: int) -> str:
    """Return ``a (3), b (2), and 4 more``; counts are left out where there is one item only."""
    listed = tuple(items)
    if len(listed) == 1:
        return listed[0][0]
    text = ", ".join(f"{name} ({count:,})" for name, count in listed[:most])
    return f"{text}, and {len(listed) - most:,} more" if len(listed) > most else text
