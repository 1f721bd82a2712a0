"""From kernel sites to birthplaces: resolve stacks, find the line a person should read, merge what is the same place.

A kernel *site* is one exact stack (plus the stacks of the goroutines that asked) and one system call. A *birthplace* is what a
developer thinks of as one place: a kind of descriptor and the application frames that lead to it. Several sites may be one
birthplace: the standard library takes different ways inside for the same call of ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from leadline.evidence.kinds import (
    Birthplace,
    BirthSample,
    Descriptor,
    DescriptorKind,
    LifetimeBucket,
    SocketState,
    Stack,
)
from leadline.model import SiteFrame

__all__ = ["BirthplaceBuilder", "Image", "RawSite", "Resolve", "peer_of"]

Image = tuple[int, int]
"""A process between two calls of exec: (pid, how often it had called exec). Addresses mean the same within one image only."""

Resolve = Callable[[Image, int], "tuple[tuple[SiteFrame, ...], bool]"]
"""(image, stack hash) to (frames leaf first, truncated)."""

MAX_SERIES = 240
MAX_PEERS = 8
_ACCEPTS = frozenset({"accept", "accept4"})
_OPENS = frozenset({"open", "openat", "openat2", "creat", "open_by_handle_at"})
_DUPLICATES = frozenset({"dup", "dup2", "dup3", "fcntl", "pidfd_getfd", "recvmsg", "recvmmsg"})
_DEPENDABLE = ("app", "module", "std", "native")


@dataclass(frozen=True, slots=True)
class RawSite:
    """One kernel site with its counts.

    Attributes:
        image, stack, callers, gopc: identity; callers nearest first, zeros left out; gopc 0 when unknown.
        lifetimes: deaths by lifetime.
        samples: cumulative counts in order of time, one for each change.
        ages_ns: of the descriptors that the final table contains.
    """

    image: Image
    stack: int
    callers: tuple[int, ...]
    gopc: int
    syscall: str
    kind: DescriptorKind
    births: int
    lifetimes: tuple[LifetimeBucket, ...]
    samples: tuple[BirthSample, ...]
    ages_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Frames:
    own: tuple[SiteFrame, ...]
    callers: tuple[tuple[SiteFrame, ...], ...]
    created_by: SiteFrame | None


@dataclass(frozen=True, slots=True)
class _Resolved:
    site: RawSite
    kind: DescriptorKind
    role: str
    frames: _Frames


class BirthplaceBuilder:
    """Builds birthplaces and numbers their stacks; the same input gives the same numbers.

    Args:
        resolve: resolves a stack by its hash.
        go_statement: resolves a gopc to the frame of the ``go`` statement, None when it cannot.
    """

    def __init__(self, resolve: Resolve, go_statement: Callable[[Image, int], SiteFrame | None]) -> None:
        self._resolve = resolve
        self._go_statement = go_statement
        self._stack_ids: dict[tuple[Image, int], int] = {}
        self.stacks: list[Stack] = []

    def stack_id(self, image: Image, stack: int) -> int | None:
        """Return the bundle's number of a stack, None for hash 0 (no stack was taken)."""
        if stack == 0:
            return None
        known = self._stack_ids.get((image, stack))
        if known is None:
            frames, truncated = self._resolve(image, stack)
            known = len(self.stacks) + 1
            self._stack_ids[image, stack] = known
            self.stacks.append(Stack(id=known, pid=image[0], frames=frames, truncated=truncated))
        return known

    def site_of(
        self, image: Image, stack: int, callers: tuple[int, ...] = (), gopc: int = 0
    ) -> SiteFrame | None:
        """Return the frame that a person should read first, None when nothing is known."""
        if not stack:
            return None
        return _site_of(self._frames(image, stack, callers, gopc))[0]

    def build(
        self,
        sites: Iterable[RawSite],
        kinds: Callable[[RawSite], DescriptorKind],
        listens: Callable[[RawSite], bool],
        times: Sequence[int],
    ) -> tuple[list[Birthplace], dict[RawSite, int]]:
        """Merge sites into birthplaces, most alive first, and tell for each site the id of its birthplace.

        Args:
            sites: as counted by the kernel; each has its own identity.
            kinds: the kind as the final table knows it better than the system call did.
            listens: whether the living descriptors of a site are listening sockets.
            times: when the counts were read, rising; the series has a sample at each, thinned out to MAX_SERIES.
        """
        groups: dict[object, list[_Resolved]] = defaultdict(list)
        found = [self._resolved(site, kinds(site), is_listener=listens(site)) for site in sites]
        later = _joined_later(found)
        for resolved in found:
            groups[later.get(_way(resolved)) or _group_key(resolved)].append(resolved)
        ordered = sorted(
            groups.values(),
            key=lambda group: (
                -sum(len(r.site.ages_ns) for r in group),
                -sum(r.site.births for r in group),
                _order(group),
            ),
        )
        times = _thinned(times)
        birthplaces, ids = [], {}
        for number, group in enumerate(ordered, 1):
            birthplaces.append(self._merged(number, group, times))
            ids.update({resolved.site: number for resolved in group})
        return birthplaces, ids

    def _resolved(self, site: RawSite, kind: DescriptorKind, *, is_listener: bool) -> _Resolved:
        frames = self._frames(site.image, site.stack, site.callers, site.gopc)
        return _Resolved(site, kind, _role(site.syscall, kind, is_listener=is_listener), frames)

    def _frames(self, image: Image, stack: int, callers: tuple[int, ...], gopc: int) -> _Frames:
        return _Frames(
            own=self._resolve(image, stack)[0] if stack else (),
            callers=tuple(self._resolve(image, caller)[0] for caller in callers),
            created_by=self._go_statement(image, gopc) if gopc else None,
        )

    def _merged(self, number: int, group: list[_Resolved], times: Sequence[int]) -> Birthplace:
        group = sorted(
            group,
            key=lambda resolved: (-len(resolved.site.ages_ns), -resolved.site.births, resolved.site.stack),
        )
        first = group[0]
        site, site_role = _site_of(first.frames)
        image = first.site.image
        ages = tuple(sorted(age for resolved in group for age in resolved.site.ages_ns))
        births = sum(resolved.site.births for resolved in group)
        return Birthplace(
            id=number,
            pid=image[0],
            kind=first.kind,
            syscall=first.site.syscall,
            role=first.role,
            stack=self.stack_id(image, first.site.stack),
            stacks=tuple(
                found for r in group if (found := self.stack_id(r.site.image, r.site.stack)) is not None
            ),
            callers=tuple(
                found for caller in first.site.callers if (found := self.stack_id(image, caller)) is not None
            ),
            created_by=first.frames.created_by,
            site=site,
            site_role=site_role,
            births=births,
            deaths=max(births - len(ages), 0),
            alive=len(ages),
            lifetimes=_merge_lifetimes(resolved.site.lifetimes for resolved in group),
            ages_ns=ages,
            series=_merge_series([resolved.site.samples for resolved in group], times),
        )


def pick_site(stacks: Sequence[tuple[str, tuple[SiteFrame, ...]]]) -> tuple[SiteFrame | None, str]:
    """Return the frame to read first, and its role.

    It is the nearest application frame over all stacks in order, else the nearest frame of a third-party module. Of the standard
    library it is the outermost: ``net/http.(*Server).Serve`` says more than ``syscall.accept4``.
    """
    for wanted in _DEPENDABLE:
        for role, frames in stacks:
            for frame in reversed(frames) if wanted == "std" else frames:
                if (
                    frame.role == wanted
                    and frame.function != "?"
                    and not frame.function.startswith("testing.")
                ):
                    return frame, role
    return None, "acquired"


def _site_of(frames: _Frames) -> tuple[SiteFrame | None, str]:
    stacks = [("acquired", frames.own), *(("caller", caller) for caller in frames.callers)]
    if frames.created_by is not None:
        stacks.append(("created-by", (frames.created_by,)))
    return pick_site(stacks)


def _role(syscall: str, kind: DescriptorKind, *, is_listener: bool) -> str:
    if syscall in _ACCEPTS:
        return "accepted"
    if syscall in _OPENS:
        return "opened"
    if syscall in _DUPLICATES:
        return "duplicated"
    if syscall == "socket" and kind is DescriptorKind.TCP and not is_listener:
        return "dialed"
    return "created"


def _way(resolved: _Resolved) -> object:
    """Return what sites have in common that differ only in whether the caller was known; None when it is known."""
    site = resolved.site
    if site.callers or any(frame.role == "app" for frame in resolved.frames.own):
        return None
    return site.image, site.stack, site.gopc, site.syscall, resolved.kind, resolved.role


def _joined_later(found: list[_Resolved]) -> dict[object, object]:
    """Return for a site seen before its caller was learned the group of the same site with its caller, when there is only one."""
    callers: dict[object, set[object]] = defaultdict(set)
    for resolved in found:
        site = resolved.site
        if site.callers:
            way = (site.image, site.stack, site.gopc, site.syscall, resolved.kind, resolved.role)
            callers[way].add(_group_key(resolved))
    return {way: next(iter(groups)) for way, groups in callers.items() if len(groups) == 1}


def _group_key(resolved: _Resolved) -> object:
    """Return what makes two sites one birthplace: application frames when there are any, else the whole stack's names."""
    frames = resolved.frames
    own = _app_frames(frames.own)
    callers = tuple(frame for caller in frames.callers for frame in _app_frames(caller))
    created = () if own or callers or frames.created_by is None else (_place(frames.created_by),)
    places = (
        (*own, *callers)
        or tuple(_place(f) for f in frames.own if f.role != "runtime")
        or (resolved.site.stack,)
    )
    return (resolved.site.image[0], resolved.kind, resolved.site.syscall, resolved.role, places, created)


def _app_frames(frames: Iterable[SiteFrame]) -> tuple[tuple[str, str | None, int | None], ...]:
    return tuple(_place(frame) for frame in frames if frame.role == "app")


def _place(frame: SiteFrame) -> tuple[str, str | None, int | None]:
    return frame.function, frame.file, frame.line


def _order(group: list[_Resolved]) -> tuple[str, str, int]:
    site, _ = _site_of(group[0].frames)
    return (group[0].kind.value, "" if site is None else f"{site.function}:{site.line}", group[0].site.stack)


def _merge_lifetimes(histograms: Iterable[tuple[LifetimeBucket, ...]]) -> tuple[LifetimeBucket, ...]:
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for histogram in histograms:
        for bucket in histogram:
            counts[bucket.lower_ns, bucket.upper_ns] += bucket.count
    return tuple(LifetimeBucket(lower, upper, count) for (lower, upper), count in sorted(counts.items()))


def _thinned(times: Sequence[int]) -> Sequence[int]:
    if len(times) <= MAX_SERIES:
        return times
    step = (len(times) - 1) / (MAX_SERIES - 1)
    return [times[round(index * step)] for index in range(MAX_SERIES)]


def _merge_series(series: list[tuple[BirthSample, ...]], times: Sequence[int]) -> tuple[BirthSample, ...]:
    """Add cumulative series as they stood at the given times; one that began later counts as zero before."""
    merged = []
    cursors = [0] * len(series)
    for time in times:
        births = deaths = 0
        for index, samples in enumerate(series):
            while cursors[index] < len(samples) and samples[cursors[index]].mono_ns <= time:
                cursors[index] += 1
            if cursors[index]:
                births += samples[cursors[index] - 1].births
                deaths += samples[cursors[index] - 1].deaths
        merged.append(BirthSample(time, births, deaths, births - deaths))
    return tuple(merged)


def peer_of(descriptor: Descriptor, socket: SocketState | None) -> str:
    """Return what descriptors of one purpose have in common.

    That is remote address and port, the local port of a socket without a peer, or the path with its numbers replaced.
    """
    if socket is not None and socket.protocol in ("tcp", "udp"):
        return f"{socket.raddr}:{socket.rport}" if socket.rport else f":{socket.lport}"
    if socket is not None:
        return socket.name
    if descriptor.kind in (DescriptorKind.FILE, DescriptorKind.DIRECTORY, DescriptorKind.DEVICE):
        return _pattern(descriptor.name)
    return ""


def _pattern(path: str) -> str:
    """Return a path with each run of digits (and hexadecimal runs of 8 or more) replaced by ``#``."""
    out, run = [], ""
    for character in path + "\0":
        if character in "0123456789abcdefABCDEF":
            run += character
            continue
        out.append("#" if len(run) >= 8 else "".join("#" if c.isdigit() else c for c in run))
        run = ""
        out.append(character)
    text = "".join(out)[:-1]
    while "##" in text:
        text = text.replace("##", "#")
    return text
