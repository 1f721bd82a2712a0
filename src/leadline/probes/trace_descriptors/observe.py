"""The observation: attach, sample, reconcile with the kernel's table, and turn what was counted into evidence."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from leadline.contracts import ProbeInfo
from leadline.evidence.kinds import (
    Birthplace,
    BirthSample,
    CloseFailure,
    Descriptor,
    DescriptorKind,
    LifetimeBucket,
    ProcessInfo,
    Refusal,
    SocketState,
    Stack,
    TimelineSample,
)
from leadline.formats.gobuildinfo import parse_go_build_info
from leadline.formats.proctable import kind_counts
from leadline.model import AccessError, Gap, GapReason
from leadline.probes.trace_descriptors.birthplaces import BirthplaceBuilder, RawSite, peer_of
from leadline.probes.trace_descriptors.events import children, close_failures, image_of, refusals
from leadline.probes.trace_descriptors.joins import Joins
from leadline.probes.trace_descriptors.meter import Meter
from leadline.probes.trace_descriptors.names import Names, go_offsets, go_version
from leadline.probes.trace_descriptors.surface import kind_of, lifetime_bounds_ns, syscall_name
from leadline.probes.trace_descriptors.table import descriptor_of, left_open
from leadline.probes.trace_descriptors.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from leadline.contracts import Host
    from leadline.contracts.bpf import Rows
    from leadline.evidence import Evidence
    from leadline.formats.elfimage import ElfImage
    from leadline.formats.symbolize import ProcessSymbols
    from leadline.model import SiteFrame
    from leadline.probes.trace_descriptors.birthplaces import Image
    from leadline.probes.trace_descriptors.tracker import GoOffsets

__all__ = ["PROBE", "DescriptorObservation", "TraceDescriptors", "TracerCost"]

NAME = "trace_descriptors"
RECONCILE_NS = 5_000_000_000
MAX_PEERS = 8
MIN_TRACKED = 16_384
MIN_KEPT = 3
"""Descriptors of one place that are alive before its caller is looked for."""
MAX_RANKED = 256
"""Sites looked at for the live view: those with most alive."""


@dataclass(frozen=True, slots=True)
class TracerCost:
    """What the tracer cost and lost; the fields are those of ``SelfCost``."""

    bpf_ns: int | None
    bpf_runs: int | None
    births_seen: int
    deaths_seen: int
    lost_events: int
    stale_dropped: int
    unknown_found: int
    uprobe_hits: int | None
    uprobe_note: str
    reconciles: int
    attach_ns: int


class TraceDescriptors:
    """Starts tracing a process.

    Args:
        follow: its children, too.
        uprobes: join goroutines that dial for others to the ones that asked.
        from_start: the process has yet to exec the program of interest (``leadline exec``).
        next_program: its file, None when it is not ELF (a script).
    """

    INFO = ProbeInfo(
        name=NAME,
        kinds=(
            "descriptor",
            "birthplace",
            "stack",
            "timeline_sample",
            "close_failure",
            "refusal",
            "process_info",
        ),
        capabilities=("CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
        features=("btf", "tp_btf", "iter/task_file", "uprobe"),
        cost="per-event",
    )

    def __init__(
        self,
        *,
        follow: bool = False,
        uprobes: bool = True,
        from_start: bool = False,
        next_program: ElfImage | None = None,
    ) -> None:
        self._follow = follow
        self._uprobes = uprobes
        self._from_start = from_start
        self._next_program = next_program

    def begin(self, host: Host, pid: int, evidence: Evidence) -> DescriptorObservation:
        """Attach.

        Raises:
            NotPermitted, Unsupported: BPF is not to be had here; look by snapshots instead.
            TargetGone: there is no such process.
        """
        return DescriptorObservation(
            host,
            pid,
            evidence,
            follow=self._follow,
            uprobes=self._uprobes,
            from_start=self._from_start,
            next_program=self._next_program,
        )


class DescriptorObservation:
    """Tracing at work: see ``contracts.Observation``."""

    mode = "bpf"

    def __init__(
        self,
        host: Host,
        pid: int,
        evidence: Evidence,
        *,
        follow: bool,
        uprobes: bool,
        from_start: bool,
        next_program: ElfImage | None,
    ) -> None:
        begin_ns = host.clock.mono_ns()
        self._host = host
        self._pid = pid
        self._next_program = next_program
        self._names = Names(host)
        self._tracker = Tracker(host.bpf())
        self._joins = Joins(self._tracker, probe=NAME, is_wanted=uprobes)
        self._frames: dict[tuple[Image, int], tuple[tuple[SiteFrame, ...], bool]] = {}
        self._samples: dict[int, list[BirthSample]] = {}
        self._named: set[int] = set()
        self._times: list[int] = []
        self._timeline: list[TimelineSample] = []
        self._seen_images: set[Image] = set()
        self._cost: TracerCost | None = None
        symbols = None if from_start else self._names.open((pid, 0))
        now = self._offsets(go_version(symbols), evidence)
        self._tracker.start(
            [pid],
            follow=follow,
            go=now,
            go_after_exec=self._offsets(_go_version_of(next_program), evidence),
            max_fds=self._room(pid),
        )
        try:
            if not from_start:
                self._seen_images.add((pid, 0))
                if symbols is not None:
                    self._joins.attach((pid, 0), symbols, evidence)
        except BaseException:
            self._tracker.close()
            raise
        self._attach_ns = host.clock.mono_ns() - begin_ns
        self._count_first_kinds()
        self._meter = Meter(self._tracker, host.clock.mono_ns())
        self._next_reconcile_ns = host.clock.mono_ns() + RECONCILE_NS
        self._sample()

    # -- while it runs --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Sample the counts, name new stacks while their process lives, and now and then compare with the kernel's table."""
        self._open_new_images()
        self._sample()
        self._meter.tick(self._host.clock.mono_ns())
        self._learn_callers()
        now_ns = self._host.clock.mono_ns()
        if now_ns >= self._next_reconcile_ns:
            spent_ns = self._reconcile(now_ns)
            # Keep it below a hundredth of the time, however large the table.
            self._next_reconcile_ns = now_ns + max(RECONCILE_NS, 100 * spent_ns)

    def poll(self) -> None:
        """Open the symbols of new children; cheap, so that it can be called often while children come and go."""
        self._open_new_images()

    def interim(self, evidence: Evidence) -> None:
        """Put birthplaces as they stand."""
        table = self._final_table()
        builder = self._put_births(evidence, table)
        evidence.put_all(Stack, builder.stacks)

    def alive_now(self) -> TimelineSample | None:
        """Return the latest sample of the target's table."""
        return self._timeline[-1] if self._timeline else None

    def top(self, most: int) -> list[tuple[str, str, str, int, int, int]]:
        """Return (function, place, kind, alive, births, deaths) of the places with most alive, for the live view."""
        alive: Counter[tuple[str, str, str]] = Counter()
        births: Counter[tuple[str, str, str]] = Counter()
        builder = self._builder()
        rows = self._tracker.sites()
        fullest = np.argsort(rows["deaths"].astype(np.int64) - rows["births"].astype(np.int64), kind="stable")
        for row in rows[fullest[:MAX_RANKED]]:
            site = builder.site_of(
                image_of(self._tracker, row), int(row["stack"]), self._callers(row), int(row["gopc"])
            )
            where = (
                "" if site is None or site.file is None else f"{PurePosixPath(site.file).name}:{site.line}"
            )
            place = ("?" if site is None else site.function, where, kind_of(int(row["kind"])).value)
            births[place] += int(row["births"])
            alive[place] += int(row["births"]) - int(row["deaths"])
        return [
            (*place, count, births[place], births[place] - count) for place, count in alive.most_common(most)
        ]

    # -- the end --------------------------------------------------------------------------------------------------------

    def finish(self, evidence: Evidence) -> None:
        """Read everything a last time, detach, and put the evidence."""
        try:
            self._open_new_images()
            self._sample()
            table = self._final_table()
            builder = self._put_births(evidence, table)
            self._count_kinds(evidence.all(Descriptor))
            evidence.put_all(CloseFailure, close_failures(self._tracker, builder))
            evidence.put_all(Refusal, refusals(self._tracker, builder))
            evidence.put_all(Stack, builder.stacks)
            evidence.put_all(TimelineSample, self._timeline)
            evidence.put_all(ProcessInfo, children(self._tracker, self._names, self._pid))
            self._put_losses(evidence)
            self._meter.stop(self._host.clock.mono_ns())
            self._cost = self._count_cost()
        finally:
            self._tracker.close()

    def cost(self) -> TracerCost | None:
        """Return what tracing cost; None before ``finish``, or when that failed."""
        return self._cost

    # -- attaching ------------------------------------------------------------------------------------------------------

    def _offsets(self, version: str | None, evidence: Evidence) -> GoOffsets | None:
        found = go_offsets(version, platform.machine())
        if version is not None and found is None:
            evidence.gap(
                Gap(
                    what="callers of connections that other goroutines dial",
                    reason=GapReason.UNSUPPORTED,
                    detail=f"the runtime of {version} on {platform.machine()} is not in leadline's table",
                    remedy="update leadline; births are traced, but some are named by the dialing goroutine",
                    probe=NAME,
                )
            )
        return found

    def _room(self, pid: int) -> int:
        """Return how many descriptors to make room for: twice the limit of the process, within reason."""
        try:
            count = self._host.fd_count(pid)
        except AccessError:
            count = 0
        return min(max(4 * count, MIN_TRACKED), 1 << 20) + 50_000

    def _open_new_images(self) -> None:
        """Open the symbols of children and of programs called by exec while they live."""
        self._tracker.harvest()
        for row in self._tracker.processes():
            pid, number = self._tracker.pid_of(int(row["tgid"])), int(row["image"])
            image = (pid, number)
            if image in self._seen_images or (pid == self._pid and number == 0):
                continue
            self._seen_images.add(image)
            parent = (self._tracker.pid_of(int(row["parent"])), number)
            symbols = None if row["ended_ns"] else self._names.open(image)
            if symbols is None and self._next_program is not None and image == (self._pid, 1):
                symbols = self._names.open_program(image, self._next_program)
            elif symbols is None:
                self._names.adopt(image, parent)
            if symbols is not None and go_version(symbols) is not None and not row["ended_ns"]:
                self._adopt_go(image, symbols)

    def _adopt_go(self, image: Image, symbols: ProcessSymbols) -> None:
        found = go_offsets(go_version(symbols), platform.machine())
        if found is None:
            return
        try:
            self._tracker.add(image[0], go=found)
        except AccessError:
            return  # it ended meanwhile: its births stay with their own stacks
        self._joins.attach(image, symbols, None)

    # -- sampling -------------------------------------------------------------------------------------------------------

    def _sample(self) -> None:
        now_ns = self._host.clock.mono_ns()
        rows = self._tracker.sites()
        self._times.append(now_ns)
        for row_id, births, deaths in zip(
            rows["id"].tolist(), rows["births"].tolist(), rows["deaths"].tolist(), strict=True
        ):
            samples = self._samples.get(row_id)
            if samples is None:
                self._samples[row_id] = [BirthSample(now_ns, births, deaths, births - deaths)]
            elif samples[-1].births != births or samples[-1].deaths != deaths:
                samples.append(BirthSample(now_ns, births, deaths, births - deaths))
        for index in (index for index, row_id in enumerate(rows["id"].tolist()) if row_id not in self._named):
            row = rows[index]
            self._named.add(int(row["id"]))
            for stack in (int(row["stack"]), *self._callers(row)):
                self._resolve(image_of(self._tracker, row), stack)
        try:
            alive = self._host.fd_count(self._pid)
        except AccessError:
            return
        births, deaths = int(rows["births"].sum()), int(rows["deaths"].sum())
        self._timeline.append(
            TimelineSample(pid=self._pid, mono_ns=now_ns, alive=alive, births=births, deaths=deaths)
        )

    def _learn_callers(self) -> None:
        """Look for places that keep descriptors and whose stacks, all a library's, do not tell who asked."""
        rows = self._tracker.sites()
        kept = rows["births"].astype(np.int64) - rows["deaths"].astype(np.int64)
        nameless = (kept >= MIN_KEPT) & (rows["caller1"] == 0) & (rows["gopc"] != 0)
        now_ns = self._host.clock.mono_ns()
        for row in rows[nameless][:MAX_RANKED]:
            image = image_of(self._tracker, row)
            started_at = self._names.go_statement(image, int(row["gopc"]))
            own = self._resolve(image, int(row["stack"]))[0]
            if any(frame is not None and frame.role == "app" for frame in (*own, started_at)):
                continue  # the line to read is known
            self._joins.learn(image, self._names.symbols(image), int(row["gopc"]), now_ns)
        self._joins.give_up_busy(now_ns)

    def _reconcile(self, begin_ns: int) -> int:
        """Compare with the kernel's table, and return how long that took in ns."""
        for pid in self._living():
            try:
                self._tracker.reconcile(pid)
            except AccessError:
                continue  # it ended this moment
        return self._host.clock.mono_ns() - begin_ns

    # -- evidence -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _callers(row: Rows) -> tuple[int, ...]:
        return tuple(caller for caller in (int(row["caller1"]), int(row["caller2"])) if caller)

    def _resolve(self, image: Image, stack: int) -> tuple[tuple[SiteFrame, ...], bool]:
        known = self._frames.get((image, stack))
        if known is None:
            known = self._frames[image, stack] = self._names.resolve(image, self._tracker.stack_ips(stack))
        return known

    def _builder(self) -> BirthplaceBuilder:
        return BirthplaceBuilder(self._resolve, self._names.go_statement)

    def _final_table(self) -> list[Descriptor]:
        """Return the descriptors that are open now, of every traced process, and those open when a process ended.

        ``birthplace`` holds the kernel's site id until ``_put_births``.
        """
        references: dict[int, int] = {}
        found: list[Descriptor] = []
        self._tracker.harvest(thorough=True)
        for pid in self._living():
            try:
                rows = self._tracker.reconcile(pid).rows
                links = {link.fd: link for link in self._host.fd_links(pid)}
            except AccessError:
                continue  # it ended this moment: see below
            found += [descriptor_of(pid, row, links.get(int(row["fd"])), references) for row in rows]
        found += [
            left_open(self._tracker.pid_of(int(row["tgid"])), row, self._times[0])
            for row in self._tracker.ended()
        ]
        return found

    def _living(self) -> list[int]:
        return [
            self._tracker.pid_of(int(row["tgid"])) for row in self._tracker.processes() if not row["ended_ns"]
        ]

    def _put_births(self, evidence: Evidence, table: list[Descriptor]) -> BirthplaceBuilder:
        """Put birthplaces, and the table with their numbers."""
        now_ns = self._host.clock.mono_ns()
        sockets = {state.inode: state for state in evidence.all(SocketState) if state.when == "end"}
        by_site: dict[int, list[Descriptor]] = {}
        for one in table:
            if one.birthplace is not None:
                by_site.setdefault(one.birthplace, []).append(one)
        sites, site_ids = [], {}
        for row in self._tracker.sites():
            living = by_site.get(int(row["id"]), [])
            site = self._raw_site(row, living, now_ns)
            sites.append(site)
            site_ids[site] = int(row["id"])

        def kind(site: RawSite) -> DescriptorKind:
            kinds = Counter(one.kind for one in by_site.get(site_ids[site], ()))
            known = kinds.most_common(1)[0][0] if kinds else site.kind
            return site.kind if known in (DescriptorKind.OTHER, DescriptorKind.SOCKET) else known

        def listens(site: RawSite) -> bool:
            states = [
                sockets[one.inode].state for one in by_site.get(site_ids[site], ()) if one.inode in sockets
            ]
            if states:
                return all(state == "LISTEN" for state in states)
            return any("isten" in frame.function for frame in self._resolve(site.image, site.stack)[0][:12])

        builder = self._builder()
        birthplaces, ids = builder.build(sites, kind, listens, self._times)
        numbers = {site_ids[site]: number for site, number in ids.items()}
        final = [_with_birthplace(one, numbers) for one in table]
        peers: dict[int, Counter[str]] = {}
        for one in final:
            if one.birthplace is not None:
                peers.setdefault(one.birthplace, Counter())[peer_of(one, sockets.get(one.inode or 0))] += 1
        evidence.put_all(Birthplace, (_with_peers(place, peers.get(place.id)) for place in birthplaces))
        evidence.put_all(Descriptor, final)
        return builder

    def _count_first_kinds(self) -> None:
        """Begin the timeline with the first table by kind."""
        rows = self._tracker.table(self._pid)
        codes, counts = np.unique(rows["kind"], return_counts=True)
        by_kind: Counter[str] = Counter()
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            by_kind[kind_of(code).value] += count
        now_ns = self._host.clock.mono_ns()
        sample = TimelineSample(
            pid=self._pid, mono_ns=now_ns, alive=len(rows), births=0, deaths=0, by_kind=dict(by_kind)
        )
        self._timeline.append(sample)

    def _count_kinds(self, final: Sequence[Descriptor]) -> None:
        """Close the timeline with the final table by kind; interim looks stay out of it, lest one passes for the first."""
        here = [one for one in final if one.pid == self._pid and not one.at_exit]
        if here and self._timeline:
            last = self._timeline[-1]
            self._timeline.append(
                TimelineSample(
                    pid=self._pid,
                    mono_ns=self._host.clock.mono_ns(),
                    alive=len(here),
                    births=last.births,
                    deaths=last.deaths,
                    by_kind=kind_counts(here),
                )
            )

    def _raw_site(self, row: Rows, living: list[Descriptor], now_ns: int) -> RawSite:
        counts = row["lifetimes"].tolist()
        lifetimes = tuple(
            LifetimeBucket(*lifetime_bounds_ns(bucket), count) for bucket, count in enumerate(counts) if count
        )
        return RawSite(
            image=image_of(self._tracker, row),
            stack=int(row["stack"]),
            callers=self._callers(row),
            gopc=int(row["gopc"]),
            syscall=syscall_name(int(row["nr"])),
            kind=kind_of(int(row["kind"])),
            births=int(row["births"]),
            lifetimes=lifetimes,
            samples=tuple(self._samples.get(int(row["id"]), ())),
            ages_ns=tuple(now_ns - one.born_mono_ns for one in living if one.born_mono_ns is not None),
        )

    # -- losses and cost ------------------------------------------------------------------------------------------------

    def _put_losses(self, evidence: Evidence) -> None:
        lost = {
            name: count
            for name, count in self._tracker.counters().items()
            if name.startswith("lost_") and count
        }
        for name, count in lost.items():
            evidence.gap(
                Gap(
                    what=f"some {name.removeprefix('lost_')} of the event stream",
                    reason=GapReason.OVERRUN,
                    detail=f"{count} did not fit into the kernel's table",
                    remedy="trace for a shorter time, or report this: the tables are meant to be large enough",
                    lost_count=count,
                    probe=NAME,
                )
            )
        problems = self._names.problems()
        if problems:
            evidence.gap(
                Gap(
                    what="names of some stack frames",
                    reason=GapReason.UNSUPPORTED,
                    detail="; ".join(problems[:4]),
                    remedy="run as root, so that leadline may open what the process has mapped",
                    probe=NAME,
                )
            )

    def _count_cost(self) -> TracerCost:
        programs = self._tracker.cost()
        counters = self._tracker.counters()
        return TracerCost(
            bpf_ns=self._meter.scaled(sum(program.run_ns for program in programs)),
            bpf_runs=self._meter.scaled(sum(program.runs for program in programs)),
            births_seen=counters["count_births"],
            deaths_seen=counters["count_deaths"],
            lost_events=sum(count for name, count in counters.items() if name.startswith("lost_")),
            stale_dropped=int(self._tracker.sites()["stale"].sum()),
            unknown_found=self._tracker.unknown_found,
            uprobe_hits=counters["count_join_hits"] if self._joins.is_wanted else None,
            uprobe_note=self._joins.note,
            reconciles=self._tracker.reconciles,
            attach_ns=self._attach_ns,
        )


def _go_version_of(program: ElfImage | None) -> str | None:
    info = None if program is None else parse_go_build_info(program)
    return None if info is None else info.go_version


def _with_birthplace(one: Descriptor, numbers: dict[int, int]) -> Descriptor:
    return (
        one
        if one.birthplace is None
        else msgspec.structs.replace(one, birthplace=numbers.get(one.birthplace))
    )


def _with_peers(place: Birthplace, peers: Counter[str] | None) -> Birthplace:
    if not peers:
        return place
    ordered: Iterable[tuple[str, int]] = sorted(peers.items(), key=lambda item: (-item[1], item[0]))
    return msgspec.structs.replace(place, peers=tuple(pair for pair in ordered if pair[0])[:MAX_PEERS])


PROBE = TraceDescriptors()
