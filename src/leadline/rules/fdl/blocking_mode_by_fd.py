"""Connections are in blocking mode, so their deadlines and Close do not work (FDL403, blocking-mode-by-fd).

What it finds: sockets of Go's net package, and pipes that the program made, that are not in non-blocking mode, while goroutines
sit in a system call on them.

Why it matters: File().Fd() of a connection switches the shared open file to blocking mode, for the connection too. From then on
a read is a system call that holds a thread until data comes: a deadline is not kept, and Close waits for the read. One
silent peer costs a thread, a descriptor and two goroutines.

Needs: the Go runtime (which goroutine is in which system call), the descriptor table with its flags (O_NONBLOCK). Helps:
births (the line that acquired them).

How it decides: a socket without O_NONBLOCK, or one that the runtime's poller does not know, on which a goroutine is in a
system call below internal/poll or net; pipes only when their birth was traced or the poller knows them, since inherited
ones block by design. One is a finding, low; medium from 5, or when a deadline has passed unkept or a goroutine waits in Close;
confidence 0.95 with such a sign, 0.8 without.

When it is wrong: programs that put a connection into blocking mode on purpose, with a thread for each.

What to do: use SyscallConn().Control or SyscallConn().Read to reach the descriptor; they leave its mode alone. After File().Fd()
is unavoidable, call syscall.SetNonblock(fd, true) on it.

References: os/file_unix.go (Fd calls SetBlocking); internal/poll/fd_unix.go (Close waits on csema); open(2) O_NONBLOCK.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Descriptor, DescriptorKind, DescriptorUse, Goroutine, Stack
from leadline.evidence.owners import Owner, reading_frame, waiting_frame
from leadline.model import (
    Because,
    Cleared,
    Finding,
    Layer,
    Severity,
    Site,
    SiteFrame,
    Verdict,
    format_duration,
)
from leadline.rules.connections import ConnectionNeeds, Group, Seen, at, connections

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("FDL403", "blocking-mode-by-fd", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.MEDIUM)
MEDIUM_COUNT = 5
STANDARD_FDS = 2
SIGN_CONFIDENCE = 0.95
CONFIDENCE = 0.8
O_NONBLOCK = 0o4000
_BELOW = ("internal/poll.(*FD).", "net.(*netFD).")
_CLOSE = "internal/poll.(*FD).Close"
_RAN_OUT_NS = 10**9
"""A deadline that passed this long ago was not kept: the runtime's timers are late by milliseconds at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(ConnectionNeeds):
    """Who is in a system call on what, and the flags of the descriptors."""

    uses: tuple[DescriptorUse, ...]
    goroutines: tuple[Goroutine, ...]
    stacks: tuple[Stack, ...]
    descriptors: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class _Blocked:
    """One descriptor in blocking mode with the stack of the goroutine in its system call."""

    owner: Owner
    goroutine: Goroutine
    frames: tuple[SiteFrame, ...]


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place whose connections are in blocking mode, else Cleared."""
    joined = seen.joined()
    frames = {(one.pid, one.id): one.frames for one in seen.stacks}
    goroutines = {(one.pid, one.goid): one for one in seen.goroutines}
    blocked = {
        (found.owner.pid, found.owner.fd): found
        for one in joined.book
        if (found := _blocked(one, goroutines, frames)) is not None
    }
    closing = _closers(seen.goroutines, frames)
    groups = joined.groups([found.owner for found in blocked.values()], lambda _: "")
    verdicts: list[Verdict] = [
        _finding(joined, group, [blocked[one.pid, one.fd] for one in group.members], closing)
        for group in groups
    ]
    return verdicts or [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="connections in blocking mode",
            reason="no goroutine is in a system call on a connection",
            pattern="none",
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _blocked(
    owner: Owner,
    goroutines: dict[tuple[int, int], Goroutine],
    frames: dict[tuple[int, int], tuple[SiteFrame, ...]],
) -> _Blocked | None:
    use, descriptor = owner.use, owner.descriptor
    if (
        use is None
        or descriptor is None
        or not use.syscall_goids
        or not _may_block_by_mistake(use, descriptor)
    ):
        return None
    for goid in use.syscall_goids:
        goroutine = goroutines.get((owner.pid, goid))
        stack = (
            ()
            if goroutine is None or goroutine.stack is None
            else frames.get((owner.pid, goroutine.stack), ())
        )
        if goroutine is not None and any(frame.function.startswith(_BELOW) for frame in stack):
            return _Blocked(owner, goroutine, stack)
    return None


def _may_block_by_mistake(use: DescriptorUse, descriptor: Descriptor) -> bool:
    """Return whether a descriptor blocks that Go makes non-blocking."""
    if descriptor.fd <= STANDARD_FDS:
        return False
    is_flagged = descriptor.flags_raw is not None and not descriptor.flags_raw & O_NONBLOCK
    if descriptor.flags_raw is not None and not is_flagged:
        return False  # non-blocking: the call ends at once, and was met by chance
    if descriptor.kind.is_socket:
        return is_flagged or not use.is_polled
    is_own = descriptor.birthplace is not None or use.is_polled
    return descriptor.kind is DescriptorKind.PIPE and is_own and (is_flagged or not use.is_polled)


def _closers(
    goroutines: tuple[Goroutine, ...], frames: dict[tuple[int, int], tuple[SiteFrame, ...]]
) -> dict[int, list[tuple[Goroutine, tuple[SiteFrame, ...]]]]:
    """Return by process the goroutines that wait in Close until a read has ended."""
    found: dict[int, list[tuple[Goroutine, tuple[SiteFrame, ...]]]] = {}
    for one in goroutines:
        stack = () if one.stack is None else frames.get((one.pid, one.stack), ())
        if one.state.startswith(("semacquire", "sync.")) and any(frame.function == _CLOSE for frame in stack):
            found.setdefault(one.pid, []).append((one, stack))
    return found


def _finding(
    seen: Seen,
    group: Group,
    blocked: list[_Blocked],
    closing: dict[int, list[tuple[Goroutine, tuple[SiteFrame, ...]]]],
) -> Finding:
    closers = closing.get(group.pid, [])
    late = [ran_out for one in blocked if (ran_out := _ran_out_ns(one.owner)) is not None]
    acquired = seen.acquired(group)
    readers = [_parked(one.frames) for one in blocked]
    waiting = [_parked(stack) for _, stack in closers]
    sites = (*acquired[:1], *_commonest(readers), *_commonest(waiting), *acquired[1:])
    sample = blocked[0]
    has_sign = bool(late or closers)
    says = f"Descriptor {sample.owner.fd}: goroutine {sample.goroutine.goid} is in {sample.goroutine.syscall or 'a system call'}"
    is_known = sample.owner.use is not None and sample.owner.use.is_polled
    says += f", and the descriptor is in blocking mode{', although the poller knows it' if is_known else ''}."
    because = [Because(evidence=f"descriptor_use:{sample.owner.fd}", layer=Layer.RUNTIME, says=says)]
    if late:
        longest = f", one {format_duration(max(late))} ago" if max(late) > 0 else ""
        because.append(
            Because(
                evidence=f"descriptor_use:{sample.owner.fd}",
                layer=Layer.RUNTIME,
                says=f"The read deadline of {len(late)} has passed{longest}, and the read has not ended.",
            )
        )
    if closers:
        because.append(
            Because(
                evidence=f"goroutine:{closers[0][0].goid}",
                layer=Layer.RUNTIME,
                says=f"{len(closers)} {'goroutine waits' if len(closers) == 1 else 'goroutines wait'} in Close for a read.",
            )
        )
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.MEDIUM if has_sign or group.count >= MEDIUM_COUNT else Severity.LOW,
        confidence=SIGN_CONFIDENCE if has_sign else CONFIDENCE,
        layer=Layer.RUNTIME,
        title=(
            f"{connections(group.count)}{at(acquired)} {'is' if group.count == 1 else 'are'} in blocking mode, each with a"
            " thread in a system call"
        ),
        explanation=(
            "Fd() of the File of a connection switches the connection itself to blocking mode. From then on its reads hold a"
            " thread, its deadlines are not kept, and Close waits until the read ends by itself."
        ),
        remedy=(
            "Use SyscallConn().Control instead of File().Fd(); it leaves the mode alone. Where Fd() is unavoidable, call"
            " syscall.SetNonblock(fd, true) afterwards."
        ),
        verify="`leadline conns TARGET` after the change: no goroutine may be in a system call on a connection.",
        kind="tcp" if sample.owner.descriptor is None else sample.owner.descriptor.kind.report_word,
        count=group.count,
        sites=sites,
        because=tuple(because),
        related=("FDL101", "FDL402"),
        pid=group.pid,
    )


def _ran_out_ns(owner: Owner) -> int | None:
    """Return how long ago the read deadline has passed, 0 when only that it has; None when it has not or is not known."""
    at_ns = None if owner.use is None else owner.use.read_deadline_mono_ns
    if at_ns is None or at_ns == 0:
        return None
    if at_ns < 0:
        return 0
    ago_ns = None if owner.looked_mono_ns is None else owner.looked_mono_ns - at_ns
    return ago_ns if ago_ns is not None and ago_ns >= _RAN_OUT_NS else None


def _parked(frames: tuple[SiteFrame, ...]) -> Site | None:
    found = reading_frame(frames) or waiting_frame(frames)
    if found is None:
        return None
    return Site(function=found.function, file=found.file, line=found.line, role="parked", stack=frames)


def _commonest(sites: list[Site | None]) -> tuple[Site, ...]:
    known = [site for site in sites if site is not None]
    counts = Counter((site.function, site.file or "", site.line or 0) for site in known)
    if not counts:
        return ()
    most = min(counts, key=lambda key: (-counts[key], key))
    return tuple(site for site in known if (site.function, site.file or "", site.line or 0) == most)[:1]
