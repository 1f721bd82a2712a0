"""Growth by comparing tables, on a recorded machine that changes between looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.contracts import FdLink, Host
from leadline.evidence import Evidence
from leadline.evidence.kinds import Birthplace, Descriptor, Origin, TimelineSample
from leadline.host.recorded import RecordedHost
from leadline.model import Gap, GapReason, NotPermitted, TargetGone
from leadline.probes.trace_snapshots import PROBE, TraceSnapshots
from leadline.probes.trace_snapshots.snapshots import SnapshotsObservation
from recorded_machines import Machine
from socket_dumps import CLOSE_WAIT, LISTEN, inet

SECOND = 1_000_000_000


class Story:
    """A target whose table the test changes, and a probe that looks each second."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.machine.process(41, "api", fds={0: "/dev/null", 3: "socket:[900]"})
        self.machine.protocols(41, {3: "TCP", **dict.fromkeys(range(100, 200), "TCP")})
        self.connect({})
        self.machine.sockets(protocol=17)
        self.evidence = Evidence()
        self.host: RecordedHost = self.machine.host()
        self.observation: SnapshotsObservation = PROBE.begin(self.host, 41, self.evidence)

    def connect(self, sockets: dict[int, tuple[int, int]]) -> None:
        """Set the connections: inode to ports."""
        listener = inet(900, LISTEN, ports=(8080, 0), target=b"")
        self.machine.sockets(
            listener, *(inet(inode, CLOSE_WAIT, ports=ports) for inode, ports in sockets.items())
        )

    def tick(self) -> None:
        """Let a second pass and look."""
        self.host.clock.advance(SECOND)
        self.observation.tick()

    def finish(self) -> dict[tuple[str, str], Birthplace]:
        """End; return the birthplaces by kind and role."""
        self.host.clock.advance(SECOND)
        self.observation.finish(self.evidence)
        return {(one.kind.value, one.role): one for one in self.evidence.all(Birthplace)}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_accepted_connections_that_stay_are_one_growing_birthplace(story: Story) -> None:
    for number in range(23):
        story.machine.link(f"proc/41/fd/{100 + number}", f"socket:[{1000 + number}]")
        story.connect({1000 + before: (8080, 51000 + before) for before in range(number + 1)})
        story.tick()
    found = story.finish()
    assert set(found) == {("tcp", "accepted")}
    leak = found["tcp", "accepted"]
    assert (leak.births, leak.deaths, leak.alive) == (23, 0, 23)
    assert leak.ages_ns == tuple(number * SECOND for number in range(1, 24))
    assert [sample.alive for sample in leak.series] == [0, *range(1, 24), 23]
    assert leak.peers == (("10.0.0.2", 23),)
    assert {descriptor.birthplace for descriptor in story.evidence.all(Descriptor)} == {None, leak.id}


def test_what_was_open_before_belongs_to_no_birthplace(story: Story) -> None:
    story.tick()
    assert story.finish() == {}
    found = story.evidence.all(Descriptor)
    assert [(one.fd, one.origin, one.birthplace) for one in found] == [
        (0, Origin.BEFORE, None),
        (3, Origin.BEFORE, None),
    ]
    assert story.evidence.get(Birthplace) == ()


def test_files_that_come_and_go_have_lifetimes(story: Story) -> None:
    for number in range(7):
        story.machine.link("proc/41/fd/50", f"/spool/job-{number}")
        story.tick()
    story.machine.close(41, 50)
    story.tick()
    churn = story.finish()["file", "opened"]
    assert (churn.births, churn.deaths, churn.alive) == (7, 7, 0)
    assert sum(bucket.count for bucket in churn.lifetimes) == 7
    assert all(bucket.lower_ns <= SECOND < bucket.upper_ns for bucket in churn.lifetimes)


def test_a_socket_that_connects_later_is_waited_for(story: Story) -> None:
    story.machine.link("proc/41/fd/100", "socket:[1000]")
    story.tick()
    assert story.observation._groups.birthplaces(41, 0, [], {})[0] == []
    story.connect({1000: (51000, 5432)})
    story.tick()
    found = story.finish()
    assert set(found) == {("tcp", "dialed")}
    assert found["tcp", "dialed"].peers == (("10.0.0.2:5432", 1),)


def test_a_socket_that_never_connects_is_told_as_created(story: Story) -> None:
    story.machine.link("proc/41/fd/100", "socket:[1000]")
    story.tick()
    story.tick()
    assert set(story.finish()) == {("tcp", "created")}


def test_every_look_is_a_sample_by_kind(story: Story) -> None:
    story.machine.link("proc/41/fd/50", "anon_inode:[eventfd]")
    story.tick()
    story.finish()
    samples = story.evidence.all(TimelineSample)
    assert [sample.alive for sample in samples] == [2, 3, 3]
    assert samples[1].by_kind == {"device": 1, "tcp": 1, "eventfd": 1}
    assert {sample.births for sample in samples} == {None}


def test_counts_of_a_series_never_fall(story: Story) -> None:
    for number in range(12):
        story.machine.link(f"proc/41/fd/{100 + number % 5}", f"socket:[{1000 + number}]")
        story.connect({1000 + number - 1: (51000, 5432)})
        story.tick()
    for birthplace in story.finish().values():
        for name in ("mono_ns", "births", "deaths"):
            values = [getattr(sample, name) for sample in birthplace.series]
            assert values == sorted(values)
        last = birthplace.series[-1]
        assert (last.births, last.deaths, last.alive) == (
            birthplace.births,
            birthplace.deaths,
            birthplace.alive,
        )


def test_the_live_view_has_the_number_and_no_places(story: Story) -> None:
    story.tick()
    sample = story.observation.alive_now()
    assert sample is not None
    assert (sample.alive, sample.births) == (2, None)
    assert story.observation.top(5) == []


def test_interim_evidence_does_not_end_the_observation(story: Story) -> None:
    story.machine.link("proc/41/fd/50", "/spool/a")
    story.tick()
    interim = Evidence()
    story.observation.interim(interim)
    assert [one.births for one in interim.all(Birthplace)] == [1]
    story.machine.link("proc/41/fd/51", "/spool/a")
    story.tick()
    assert story.finish()["file", "opened"].births == 2


def test_of_a_target_that_ends_the_last_table_is_kept(story: Story) -> None:
    story.machine.link("proc/41/fd/50", "/spool/a")
    story.tick()
    story.machine.end(41)
    story.tick()
    found = story.finish()
    assert found["file", "opened"].alive == 1
    assert {one.at_exit for one in story.evidence.all(Descriptor)} == {True}
    assert GapReason.TARGET_GONE in {gap.reason for gap in story.evidence.all(Gap)}


def test_a_zombie_has_ended(story: Story) -> None:
    story.machine.process(41, "api", state="Z")
    story.machine.close(41, 0, 3)
    story.tick()
    story.finish()
    assert [one.fd for one in story.evidence.all(Descriptor)] == [0, 3]


def test_a_process_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(TargetGone):
        PROBE.begin(Machine(tmp_path).host(), 99, Evidence())


def test_the_gap_says_what_could_not_be_judged_and_the_remedy(story: Story) -> None:
    (gap,) = story.evidence.all(Gap)
    assert (gap.reason, "CAP_BPF" in gap.remedy) == (GapReason.DISABLED, True)
    assert "which code" in gap.what


def test_the_gap_gives_the_reason_why_tracing_was_impossible(story: Story) -> None:
    evidence = Evidence()
    TraceSnapshots(why=NotPermitted("BPF_PROG_LOAD: EPERM", remedy="run as root")).begin(
        story.host, 41, evidence
    )
    (gap,) = evidence.all(Gap)
    assert (gap.reason, gap.detail, gap.remedy) == (
        GapReason.NOT_PERMITTED,
        "BPF_PROG_LOAD: EPERM",
        "run as root",
    )


def test_another_reader_of_tables_can_be_given(story: Story) -> None:
    asked: list[int] = []

    def read_table(host: Host, pid: int) -> list[FdLink]:
        asked.append(pid)
        return [FdLink(7, "anon_inode:[eventfd]")]

    evidence = Evidence()
    TraceSnapshots(read_table).begin(story.host, 41, evidence).finish(evidence)
    assert asked == [41, 41]
    assert [one.fd for one in evidence.all(Descriptor)] == [7]


def test_expensive_looks_become_rarer(story: Story) -> None:
    """A look that took 100 ms is not repeated for 2 s: a twentieth of one CPU."""

    def read_table(host: Host, pid: int) -> list[FdLink]:
        story.host.clock.advance(SECOND // 10)
        looks.append(story.host.clock.mono_ns())
        return [FdLink(7, "anon_inode:[eventfd]")]

    looks: list[int] = []
    observation = TraceSnapshots(read_table).begin(story.host, 41, Evidence())
    for _ in range(40):
        story.host.clock.advance(SECOND // 10)
        observation.tick()
    assert len(looks) == 3
    assert observation.mode == "snapshots"
