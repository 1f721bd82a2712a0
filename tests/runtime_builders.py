"""Goroutines, locks and pools of a process as two looks at its runtime would record them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from leadline.evidence import Evidence
from leadline.evidence.kinds import Goroutine, GoRuntime, Pool, PoolHolder, Stack, WaitObject
from leadline.model import SiteFrame

__all__ = ["PID", "Process", "frame"]

PID = 4242
S = 10**9
T0 = 1_000 * S


def frame(text: str) -> SiteFrame:
    """Return the frame of ``main.work:42``; whose code it is follows from the name, the line is 1 without a number."""
    function, _, line = text.partition(":")
    roles = {"main": "app", "runtime": "runtime", "github": "module", "google": "module"}
    role = roles.get(function.partition(".")[0], "std")
    return SiteFrame(function=function, file="/src/app/main.go", line=int(line or 1), role=role)


@dataclass(slots=True)
class Process:
    """One Go process.

    Attributes:
        apart_s: time between its two looks; None when there was one look only.
        source: as in GoRuntime.
        facts: further fields of GoRuntime.
    """

    apart_s: float | None = 10.0
    source: str = "memory"
    facts: dict[str, Any] = field(default_factory=dict)
    goroutines: list[Goroutine] = field(default_factory=list)
    objects: list[WaitObject] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)
    stacks: dict[tuple[str, ...], int] = field(default_factory=dict)

    def go(self, *names: str, state: str = "chan receive", **facts: Any) -> int:
        """Add a goroutine with that stack, leaf first, that was there at both looks and has not run; return its number."""
        goid = facts.pop("goid", 10 + len(self.goroutines))
        stack = self.stacks.setdefault(names or ("main.work:42",), 1 + len(self.stacks))
        if self.apart_s is not None and self.source == "memory" and not facts.get("is_new"):
            facts.setdefault("moved", False)
            if facts["moved"] is False:
                facts.setdefault("still_ns", round(self.apart_s * S))
        self.goroutines.append(Goroutine(pid=PID, goid=goid, state=state, stack=stack, **facts))
        return int(goid)

    def object(self, kind: str = "chan", **facts: Any) -> int:
        """Add what goroutines wait for and return its number."""
        told = {"stacks_searched": True, **facts}
        self.objects.append(WaitObject(id=1 + len(self.objects), pid=PID, kind=kind, **told))
        return len(self.objects)

    def waiter(self, state: str, *names: str, **facts: Any) -> int:
        """Add a goroutine that waits for a channel of its own that nobody else is known to have; return its number."""
        goid = 10 + len(self.goroutines)
        side = "senders" if state == "chan send" else "receivers"
        told: dict[str, Any] = {"capacity": 0, "length": 0, "is_closed": False, side: (goid,)}
        number = self.object(**told)
        return self.go(*names, state=state, waits_on=(number,), **facts)

    def lock(self, held_by: int, *waiting: int, kind: str = "mutex", **facts: Any) -> int:
        """Say that goroutines (by number) wait for a lock which another one holds; return the lock's number."""
        told = {"held_by_code": True, **facts}
        number = self.object(kind, holders=(held_by,), waiters=tuple(sorted(waiting)), **told)
        for index, one in enumerate(self.goroutines):
            if one.goid in waiting:
                known = {name: getattr(one, name) for name in one.__struct_fields__}
                self.goroutines[index] = Goroutine(**{**known, "waits_on": (*one.waits_on, number)})
        return number

    def pool(self, *holders: PoolHolder, waiting: tuple[int, ...] = (), **facts: Any) -> None:
        """Add a database pool of five connections, all of them in use."""
        told = {"open": 5, "in_use": 5, "idle": 0, "max_open": 5, "name": "*pq.Driver", **facts}
        self.pools.append(
            Pool(
                id=1 + len(self.pools),
                pid=PID,
                kind="database/sql.DB",
                holders=holders,
                waiting_goids=waiting,
                **told,
            )
        )

    def evidence(self) -> Evidence:
        """Return what was recorded."""
        evidence = Evidence()
        two = self.apart_s is not None and self.source == "memory"
        evidence.put(
            GoRuntime(
                pid=PID,
                source=self.source,
                first_mono_ns=T0 if self.source == "memory" else None,
                last_mono_ns=T0 + round((self.apart_s or 0) * S) if self.source == "memory" else None,
                passes=2 if two else 1,
                goroutines=len(self.goroutines),
                **self.facts,
            )
        )
        stacks = [
            Stack(id=number, pid=PID, frames=tuple(frame(name) for name in names))
            for names, number in self.stacks.items()
        ]
        evidence.put_all(Stack, stacks)
        evidence.put_all(Goroutine, self.goroutines)
        evidence.put_all(WaitObject, self.objects)
        evidence.put_all(Pool, self.pools)
        return evidence
