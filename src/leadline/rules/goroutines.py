"""Goroutines of one body of evidence by the stack that they are parked on; shared by the rules about goroutines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from leadline.evidence.kinds import Goroutine, GoRuntime, Stack, WaitObject
from leadline.evidence.owners import reading_frame, waiting_frame
from leadline.model import Site, SiteFrame

__all__ = ["MIN_STILL_NS", "Book", "Group", "is_still", "say_goroutines"]

MIN_STILL_NS = 2 * 10**9
"""Looks closer together do not tell a parked goroutine from a slow one."""


@dataclass(frozen=True, slots=True)
class Group:
    """Goroutines of one process in one state on one stack.

    Attributes:
        state: without notes in brackets at its end such as ``(durable)``.
        frames: leaf first; empty when the stack is not known.
        members: by number.
    """

    pid: int
    state: str
    frames: tuple[SiteFrame, ...]
    members: tuple[Goroutine, ...]

    @property
    def count(self) -> int:
        """Return how many they are."""
        return len(self.members)

    @property
    def parked(self) -> int:
        """Return how many did not run between two looks."""
        return sum(one.moved is False for one in self.members)

    @property
    def still(self) -> int:
        """Return how many are known to be parked for MIN_STILL_NS or more."""
        return sum(is_still(one) for one in self.members)

    @property
    def moved(self) -> int:
        """Return how many ran between two looks."""
        return sum(one.moved is True for one in self.members)

    @property
    def new(self) -> int:
        """Return how many came between two looks."""
        return sum(one.is_new for one in self.members)

    @property
    def functions(self) -> tuple[str, ...]:
        """Return the functions of the stack, leaf first."""
        return tuple(frame.function for frame in self.frames)

    @property
    def frame(self) -> SiteFrame | None:
        """Return the program's frame to read first; None when the stack has only Go's own code."""
        return reading_frame(self.frames)

    @property
    def created_by(self) -> SiteFrame | None:
        """Return the ``go`` statement of the first of them that tells it."""
        return next((one.created_by for one in self.members if one.created_by is not None), None)

    @property
    def sites(self) -> tuple[Site, ...]:
        """Return where they wait, and the ``go`` statement that started them."""
        found = self.frame or waiting_frame(self.frames)
        sites = []
        if found is not None:
            sites.append(
                Site(
                    function=found.function,
                    file=found.file,
                    line=found.line,
                    role="parked",
                    stack=self.frames,
                )
            )
        by = self.created_by
        if by is not None:
            sites.append(Site(function=by.function, file=by.file, line=by.line, role="created-by"))
        return tuple(sites)

    @property
    def evidence(self) -> str:
        """Return a reference to the first of them."""
        return f"goroutine:{self.members[0].goid}"


@dataclass(slots=True)
class Book:
    """Goroutines, stacks and wait objects joined. Build it with :meth:`of`."""

    runtimes: tuple[GoRuntime, ...]
    goroutines: dict[tuple[int, int], Goroutine] = field(default_factory=dict)
    stacks: dict[int, Stack] = field(default_factory=dict)
    objects: dict[int, WaitObject] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        runtimes: Iterable[GoRuntime],
        goroutines: Iterable[Goroutine],
        stacks: Iterable[Stack] | None = None,
        objects: Iterable[WaitObject] | None = None,
    ) -> Book:
        """Return them joined; None counts as not observed."""
        return cls(
            runtimes=tuple(runtimes),
            goroutines={(one.pid, one.goid): one for one in goroutines},
            stacks={stack.id: stack for stack in stacks or ()},
            objects={one.id: one for one in objects or ()},
        )

    def groups(self) -> list[Group]:
        """Return the goroutines by process, state and stack, the largest groups first."""
        found: defaultdict[tuple[int, str, int | None], list[Goroutine]] = defaultdict(list)
        for one in self.goroutines.values():
            found[one.pid, _plain(one.state), one.stack].append(one)
        groups = [
            Group(pid, state, self.frames(stack), tuple(sorted(members, key=lambda one: one.goid)))
            for (pid, state, stack), members in found.items()
        ]
        return sorted(groups, key=lambda group: (-group.count, group.pid, group.members[0].goid))

    def frames(self, stack: int | None) -> tuple[SiteFrame, ...]:
        """Return the frames of a stack, leaf first; empty when it is not known."""
        known = None if stack is None else self.stacks.get(stack)
        return () if known is None else known.frames

    def waits(self, one: Goroutine) -> tuple[WaitObject, ...]:
        """Return what a goroutine waits for, as far as it is known."""
        return tuple(self.objects[number] for number in one.waits_on if number in self.objects)

    def apart_ns(self, pid: int) -> int | None:
        """Return the time between the first and the last look at a process; None with one look, or for a dump."""
        for runtime in self.runtimes:
            if runtime.pid == pid and runtime.passes > 1:
                if runtime.first_mono_ns is None or runtime.last_mono_ns is None:
                    return None
                return runtime.last_mono_ns - runtime.first_mono_ns
        return None

    def site(self, one: Goroutine, role: str = "parked") -> Site | None:
        """Return where a goroutine is; None when its stack is not known."""
        frames = self.frames(one.stack)
        found = reading_frame(frames) or waiting_frame(frames)
        if found is None:
            return None
        return Site(function=found.function, file=found.file, line=found.line, role=role, stack=frames)


def is_still(one: Goroutine) -> bool:
    """Return whether a goroutine is known to have been parked for some time: it has not run since an earlier look."""
    return one.still_ns is not None and one.still_ns >= MIN_STILL_NS


def say_goroutines(count: int) -> str:
    """Return ``1 goroutine`` or ``23 goroutines``."""
    return "1 goroutine" if count == 1 else f"{count} goroutines"


def _plain(state: str) -> str:
    return state.removesuffix(" (durable)").removesuffix(" (synctest)")
