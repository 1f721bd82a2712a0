"""What the goroutines of a process say for and against a leak: confidence, evidence and places, from the owners of descriptors.

Without a look at the Go runtime all of this is empty, and a leak is judged by births, deaths and sockets alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from leadline.evidence.owners import Hold
from leadline.model import Because, Layer
from leadline.rules.fdl.suspects import Standing
from leadline.rules.survival import Shape
from leadline.rules.table import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadline.evidence.owners import Owner
    from leadline.model import Site
    from leadline.rules.fdl.suspects import Living
    from leadline.rules.survival import Assessment

__all__ = ["against", "because", "excuse", "reason", "side_by_side", "with_owners", "with_parked"]

SURE_SHARE = 0.8
"""So many without a goroutine, or with an answer that nobody reads, leave half of the doubt."""
WAITING_SHARE = 0.5
WAITING_FACTOR = 0.9
"""Where goroutines are parked on most of them, they may be meant to stay: a tenth of the confidence goes."""
MAX_CONFIDENCE = 0.99


def with_owners(living: Living, found: Assessment) -> Assessment:
    """Return the assessment with its confidence corrected by what the goroutines do."""
    if found.shape is not Shape.LEAKING or not living.owners:
        return found
    count = len(living.owners)
    sure = len(_unused(living)) + living.standings[Standing.HELD]
    if sure >= SURE_SHARE * count:
        return replace(found, confidence=round(min(1 - (1 - found.confidence) / 2, MAX_CONFIDENCE), 3))
    if len(_doubtful(living)) > WAITING_SHARE * count:
        return replace(found, confidence=round(found.confidence * WAITING_FACTOR, 3))
    return found


def because(living: Living) -> tuple[Because, ...]:
    """Return what the goroutines say for a leak; empty when they were not read."""
    count = len(living.owners)
    said = []
    unused = _unused(living)
    if unused:
        kept = _most([owner.kept for owner in unused])
        says = f"Nobody reads: no goroutine waits on {len(unused)} of {count}, nor was one seen to work with them"
        said.append(_because(unused[0], f"{says}; {kept}." if kept else f"{says}."))
    for hold, what in ((Hold.HELD, "An answer is held on"), (None, "A goroutine waits on")):
        owners = _parked(living) if hold is None else [one for one in living.owners if one.hold is hold]
        if owners:
            sample = owners[0]
            said.append(
                _because(
                    sample, f"{what} {len(owners)} of {count}, such as {sample.fd}: {sample.describe()}."
                )
            )
    return tuple(said)


def against(living: Living) -> tuple[Because, ...]:
    """Return what the goroutines say against a leak."""
    doubtful = _doubtful(living)
    reused = [owner for owner in living.owners if owner.connection is not None and owner.connection.is_reused]
    if reused and 2 * len(reused) > len(living.owners):
        says = (
            f"{len(reused)} of {len(living.owners)} had served earlier requests: they were dialed here, but a later request keeps"
            " them; HTP101 tells which."
        )
        return (_because(reused[0], says),)
    if len(doubtful) <= WAITING_SHARE * len(living.owners):
        return ()
    says = (
        f"A goroutine is parked on {len(doubtful)} of {len(living.owners)}, and their peers are still connected: what waits"
        " for messages by design looks the same."
    )
    return (_because(doubtful[0], says),)


def with_parked(sites: Sequence[Site], living: Living) -> tuple[Site, ...]:
    """Return the places of a birthplace with the one where most goroutines are parked beside the first."""
    parked = _parked_site(living)
    return (*sites[:1], *((parked,) if parked is not None else ()), *sites[1:])


def side_by_side(living: Living, sites: Sequence[Site]) -> str:
    """Return a sentence that names the acquisition and the parked goroutine together; "" when no goroutine is parked."""
    parked = _parked_site(living)
    if parked is None:
        return ""
    acquired = f"Acquired at {place(sites[0])}, they" if sites else "They"
    return f"{acquired} are kept by goroutines that wait at {place(parked)}."


def reason(living: Living) -> str:
    """Return why those are healthy that their goroutines excuse, with counts."""
    total = len(living.owners) + len(living.excused_owners)
    idle, used = living.standings[Standing.OWNED_IDLE], living.standings[Standing.OWNED_IN_USE]
    parts = []
    if idle:
        pools = {
            one.pool.kind for one in living.excused_owners if one.hold is Hold.POOLED and one.pool is not None
        }
        pool = f"a pool ({', '.join(sorted(pools))})" if pools else "a pool, or between two requests"
        parts.append(f"{idle} of {total} are idle in {pool}")
    if used:
        parts.append(f"{used} of {total} are in use by a goroutine")
    other = living.standings[Standing.IN_USE] + living.standings[Standing.CONNECTING]
    if other:
        parts.append(f"on {other} of {total} data moved, or no new one was needed since")
    return ", ".join(parts)


def excuse(living: Living) -> str:
    """Return a clause that says what the goroutines of those that are healthy do; "" when it is not known."""
    told = [one for one in living.excused_owners if one.goroutine is not None]
    if not told:
        return ""
    sample = told[0]
    return f"goroutines wait on or work with {len(told)} of them, such as {sample.fd}: {sample.describe()}"


def _because(owner: Owner, says: str) -> Because:
    kind = (
        "connection"
        if owner.connection is not None
        else "descriptor_use"
        if owner.use is not None
        else "descriptor"
    )
    return Because(evidence=f"{kind}:{owner.fd}", layer=Layer.RUNTIME, says=says)


def _unused(living: Living) -> list[Owner]:
    return [owner for owner in living.owners if owner.hold is Hold.NOBODY]


def _parked(living: Living) -> list[Owner]:
    """Return suspects with a goroutine, but those whose answer is held: their own goroutines only serve the connection."""
    return [owner for owner in living.owners if owner.goroutine is not None and owner.hold is not Hold.HELD]


def _doubtful(living: Living) -> list[Owner]:
    """Return suspects that a goroutine waits on and whose peer is still connected."""
    waiting = {Hold.PARKED, Hold.WORKING, Hold.HIJACKED, Hold.STARTING}
    return [
        owner
        for owner in living.owners
        if owner.hold in waiting
        and owner.goroutine is not None
        and (owner.socket is None or owner.socket.state == "ESTABLISHED")
    ]


def _parked_site(living: Living) -> Site | None:
    sites = [site for owner in _parked(living) if (site := owner.parked) is not None]
    counts = Counter((site.function, site.file or "", site.line or 0) for site in sites)
    if not counts:
        return None
    most = min(counts, key=lambda key: (-counts[key], key))
    return next(site for site in sites if (site.function, site.file or "", site.line or 0) == most)


def _most(clauses: list[str]) -> str:
    """Return the most frequent clause; "" when there is none."""
    counts = Counter(clause for clause in clauses if clause)
    return min(counts, key=lambda clause: (-counts[clause], clause), default="")
