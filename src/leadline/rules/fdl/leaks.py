"""The assessment that FDL101 to FDL105 and FDL401 share: which birthplace is whose, and what its descriptors do."""

from dataclasses import dataclass, replace

from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorKind,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Pool,
    ProcessInfo,
    Refusal,
    Retention,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.evidence.owners import OwnerBook
from leadline.model import format_duration
from leadline.rules.fdl.owned import with_owners
from leadline.rules.fdl.suspects import Living, Standing, is_pooled, living_of
from leadline.rules.survival import MIN_SURVIVORS, Assessment, Population, Shape, assess
from leadline.rules.table import Table, owners_of

__all__ = ["STACKLESS", "Judged", "LeakNeeds", "assess_birthplace", "is_listening", "owner"]

S = 10**9

STACKLESS = frozenset({"snapshot", "unknown"})
"""What stands for the system call where births were not traced."""
STACKLESS_CONFIDENCE = 0.8
"""Without births, what lived shorter than the interval between two looks was not seen, and several places may be one group."""
NAMELESS_MIN_SURVIVORS = 12
"""Pooled connections without socket states, and dialed ones without stacks: a pool that fills up irregularly looks steady in
small numbers."""
REPLACING_MIN_SURVIVORS = 8
"""Where older ones look the same: that of a steady stock none, or one, dies while 8 come has a chance of 0.3 %."""
GONE_AGE_NS = 5 * S
"""A connection this old whose peer has gone is not about to be closed."""
YOUNG_NS = 3 * S
"""Dialed connections this young had no time to be used a second time."""
SLOWEST_ANSWER_NS = 30 * S
"""Requests that wait for a first byte are a leak only after this time; long polls last about so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakNeeds:
    """What the leak rules look at. Births are required; the rest sharpens the verdict or its wording.

    What the Go runtime tells (runtimes to retentions) says what each descriptor is used for.
    """

    window: tuple[Window, ...]
    birthplaces: tuple[Birthplace, ...]
    descriptors: tuple[Descriptor, ...]
    sockets: tuple[SocketState, ...] | None = None
    stacks: tuple[Stack, ...] | None = None
    processes: tuple[ProcessInfo, ...] | None = None
    timeline: tuple[TimelineSample, ...] | None = None
    refusals: tuple[Refusal, ...] | None = None
    runtimes: tuple[GoRuntime, ...] | None = None
    goroutines: tuple[Goroutine, ...] | None = None
    uses: tuple[DescriptorUse, ...] | None = None
    connections: tuple[Connection, ...] | None = None
    pools: tuple[Pool, ...] | None = None
    retentions: tuple[Retention, ...] | None = None

    def table(self) -> Table:
        """Return the evidence joined."""
        return Table.of(
            window=self.window,
            birthplaces=self.birthplaces,
            descriptors=self.descriptors,
            sockets=self.sockets,
            stacks=self.stacks,
            processes=self.processes,
            timeline=self.timeline,
            refusals=self.refusals,
            owners=self.owners(),
        )

    def owners(self) -> OwnerBook | None:
        """Return who owns each descriptor; None when the Go runtime was not read."""
        return owners_of(self)


@dataclass(frozen=True, slots=True)
class Judged:
    """One birthplace with its living and the assessment."""

    birthplace: Birthplace
    living: Living
    assessment: Assessment


def owner(birthplace: Birthplace, table: Table) -> str:
    """Return the code of the one rule that judges a birthplace."""
    kind = birthplace.kind
    if birthplace.syscall in STACKLESS:
        return "FDL110"
    if kind.is_socket and birthplace.role == "duplicated":
        return "FDL105"
    if kind is DescriptorKind.TCP:
        if birthplace.role == "accepted":
            return "FDL102"
        return "FDL105" if is_listening(birthplace, table) else "FDL101"
    if kind in {DescriptorKind.FILE, DescriptorKind.DIRECTORY, DescriptorKind.DEVICE}:
        return "FDL103"
    return "FDL104" if kind is DescriptorKind.PIPE else "FDL105"


def is_listening(birthplace: Birthplace, table: Table) -> bool:
    """Return whether most of the living listen."""
    living = table.living.get(birthplace.id, [])
    states = [socket.state for descriptor in living if (socket := table.socket(descriptor)) is not None]
    return states.count("LISTEN") * 2 > len(living) > 0


def assess_birthplace(table: Table, birthplace: Birthplace) -> Judged:
    """Return the assessment of one birthplace."""
    living = living_of(table, birthplace)
    unknown = living.standings[Standing.UNKNOWN]
    older = len(table.older(birthplace, {table.key(descriptor) for descriptor in living.suspects}))
    has_stock = 2 * older >= len(living.ages_ns)
    pooled = is_pooled(table.functions(birthplace))
    nameless = unknown * 2 > birthplace.alive and pooled
    nameless = nameless or (birthplace.syscall in STACKLESS and birthplace.role == "dialed")
    least = REPLACING_MIN_SURVIVORS if has_stock else MIN_SURVIVORS
    if nameless:
        least = NAMELESS_MIN_SURVIVORS
    sure_sockets = living.is_proven or living.standings[Standing.PEER_GONE] >= MIN_SURVIVORS
    population = Population(
        begin_ns=table.begin_ns(birthplace.pid),
        end_ns=table.end_ns(birthplace.pid),
        births=birthplace.births,
        deaths=birthplace.deaths,
        alive=birthplace.alive,
        ages_ns=living.ages_ns,
        lifetimes=birthplace.lifetimes,
        series=birthplace.series,
        net_growth=None if sure_sockets else _net_growth(table, birthplace, has_stock=has_stock),
        min_survivors=least,
        is_full=table.is_full(birthplace.pid),
        is_proven=living.is_proven,
    )
    found = assess(population)
    if birthplace.syscall in STACKLESS:
        found = replace(found, confidence=round(found.confidence * STACKLESS_CONFIDENCE, 3))
    if (
        birthplace.kind is DescriptorKind.TCP
        and birthplace.role == "accepted"
        and unknown * 2 > birthplace.alive
    ):
        return Judged(birthplace, living, _without_peers(birthplace, found))
    return Judged(birthplace, living, with_owners(living, _with_peers(living, found, pooled=pooled)))


def _net_growth(table: Table, birthplace: Birthplace, *, has_stock: bool) -> int | None:
    """Return by how many descriptors became more: of this kind where both ends were counted by kind, else of all kinds.

    All kinds together say little about one; so they are asked only where older ones look the same, which these may replace.
    """
    of_kind = table.net_growth(birthplace.pid, birthplace.kind)
    if of_kind is not None or not has_stock:
        return of_kind
    return table.total_growth(birthplace.pid)


def _without_peers(birthplace: Birthplace, found: Assessment) -> Assessment:
    """Return the assessment of accepted connections whose sockets were not seen: growth alone proves nothing."""
    if found.shape.is_healthy:
        return found
    return replace(
        found,
        shape=Shape.UNCLEAR,
        reason=f"{birthplace.alive} accepted connections are open, and nothing tells whether their peers are still there",
        wanted="run where sockets can be listed (sock_diag in the target's network namespace)",
    )


def _with_peers(living: Living, found: Assessment, *, pooled: bool) -> Assessment:
    """Return the assessment corrected by what socket states alone can tell."""
    gone = sum(age >= GONE_AGE_NS for age in living.gone_ages_ns)
    waiting = living.standings[Standing.WAITING]
    if found.shape is Shape.LEAKING:
        if pooled and waiting * 2 > len(living.ages_ns) and living.ages_ns[-1] < SLOWEST_ANSWER_NS:
            return replace(
                found,
                shape=Shape.UNCLEAR,
                is_sure=False,
                reason=f"{waiting} have sent a request and wait for its first byte",
                wanted="trace longer than the slowest answer takes, for example -d 90s",
            )
        return found
    if gone >= MIN_SURVIVORS:
        return replace(
            found,
            shape=Shape.LEAKING,
            confidence=0.85,
            reason=f"the peers of {gone} have closed; these are still open, {format_duration(GONE_AGE_NS)} or more after birth",
            paused_ns=living.ages_ns[0],
            is_sure=True,
        )
    fresh = all(age < YOUNG_NS for age in living.ages_ns)
    if (
        living.excused > len(living.ages_ns)
        and found.shape is Shape.UNCLEAR
        and (found.leaked < MIN_SURVIVORS or fresh)
    ):
        return replace(found, shape=Shape.LONG_LIVED, confidence=0.85, is_sure=True)
    return found
