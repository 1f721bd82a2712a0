"""Collecting: one probe's failure never stops another, and a window ends for its right reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leadline.app.collect import TICK_NS, CollectOptions, Collector, Stopper
from leadline.contracts import Host, ProbeInfo
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Descriptor,
    DescriptorKind,
    NetCounter,
    Origin,
    SelfCost,
    SocketState,
    Window,
)
from leadline.host.recorded import RecordedHost
from leadline.model import Gap, GapReason, NotPermitted, TargetGone

PID = 4711
S = 10**9
STAT = "4711 (my ) service) {state} 1 1 1 0 -1 0 0 0 0 0 7 3 0 0 20 0 1 0 {start} 0 0\n"


class FakeProbe:
    """A probe whose three phases are given."""

    def __init__(
        self,
        name: str,
        *,
        begin: Exception | None = None,
        tick: Callable[[], None] = lambda: None,
        finish: Callable[[Evidence], None] = lambda _evidence: None,
    ) -> None:
        self.INFO = ProbeInfo(name=name, kinds=())
        self.calls: list[str] = []
        self._begin, self._tick, self._finish = begin, tick, finish

    def begin(self, host: Host, pid: int, evidence: Evidence) -> FakeProbe:
        del host, pid, evidence
        self.calls.append("begin")
        if self._begin is not None:
            raise self._begin
        return self

    def tick(self) -> None:
        self.calls.append("tick")
        self._tick()

    def finish(self, evidence: Evidence) -> None:
        self.calls.append("finish")
        self._finish(evidence)


@pytest.fixture
def host(tmp_path: Path) -> RecordedHost:
    """Return a machine with one process."""
    (tmp_path / "proc" / str(PID)).mkdir(parents=True)
    alive(tmp_path)
    return RecordedHost(tmp_path)


def alive(folder: Path, *, state: str = "S", start: int = 99) -> None:
    (folder / "proc" / str(PID) / "stat").write_text(STAT.format(state=state, start=start))


def collector(host: RecordedHost, *probes: FakeProbe, duration_ns: int | None = 2 * S) -> Collector:
    return Collector(host, PID, CollectOptions(duration_ns=duration_ns, probes=probes))


class TimeStopper(Stopper):
    """Waiting moves the clock of the recorded machine instead of taking time."""

    def __init__(self, host: RecordedHost) -> None:
        super().__init__()
        self._host = host

    def wait(self, timeout_ns: int) -> bool:
        self._host.clock.advance(timeout_ns)
        return super().wait(0)


def test_probes_begin_tick_and_finish_in_their_order(host: RecordedHost) -> None:
    probes = [FakeProbe("a"), FakeProbe("b")]
    shown: list[list[str]] = []
    looking = collector(host, *probes, duration_ns=2 * TICK_NS)
    looking.begin()
    looking.run(TimeStopper(host), lambda _now: shown.append([*probes[0].calls, *probes[1].calls]))
    looking.finish("duration")
    assert shown[0] == ["begin", "tick", "begin", "tick"]
    for probe in probes:
        assert probe.calls[0] == "begin"
        assert probe.calls[-1] == "finish"
        assert set(probe.calls[1:-1]) == {"tick"}


def test_the_window_is_as_long_as_was_asked(host: RecordedHost) -> None:
    looking = collector(host, duration_ns=7 * S)
    looking.begin()
    looking.run(TimeStopper(host), lambda _now: None)
    (window,) = looking.finish("duration").all(Window)
    assert window.duration_ns == 7 * S
    assert (window.mode, window.ended_by) == ("single", "duration")


def test_an_expected_refusal_is_a_gap_with_its_remedy_and_the_others_go_on(host: RecordedHost) -> None:
    refused = FakeProbe("refused", begin=NotPermitted("EPERM", remedy="run as root"))
    fine = FakeProbe("fine", finish=lambda evidence: evidence.put(NetCounter(name="a", begin=1, end=2)))
    looking = collector(host, refused, fine)
    looking.begin()
    evidence = looking.finish("duration")
    (gap,) = evidence.all(Gap)
    assert (gap.probe, gap.reason, gap.remedy) == ("refused", GapReason.NOT_PERMITTED, "run as root")
    assert len(evidence.all(NetCounter)) == 1
    assert refused.calls == ["begin"]


def test_a_fault_of_ours_is_noted_once_with_its_place(host: RecordedHost) -> None:
    def fails() -> None:
        raise ZeroDivisionError("in a probe")

    looking = collector(host, FakeProbe("faulty", tick=fails), duration_ns=5 * S)
    looking.begin()
    looking.run(TimeStopper(host), lambda _now: None)
    (gap,) = looking.finish("duration").all(Gap)
    assert gap.probe == "faulty"
    assert "ZeroDivisionError: in a probe (test_collect.py:" in gap.detail
    assert "fault of leadline" in gap.remedy


def test_finish_is_called_in_every_case(host: RecordedHost, tmp_path: Path) -> None:
    probe = FakeProbe("a")
    looking = collector(host, probe, duration_ns=None)
    looking.begin()
    (tmp_path / "proc" / str(PID) / "stat").unlink()
    (tmp_path / "proc" / str(PID)).rmdir()
    stopper = TimeStopper(host)
    looking.run(stopper, lambda _now: None)
    assert stopper.reason == "target-gone"
    (window,) = looking.finish(stopper.reason).all(Window)
    assert window.ended_by == "target-gone"
    assert probe.calls[-1] == "finish"


@pytest.mark.parametrize("change", [{"state": "Z"}, {"start": 100}])
def test_a_zombie_or_another_process_of_that_pid_is_gone(
    host: RecordedHost, tmp_path: Path, change: dict[str, object]
) -> None:
    looking = collector(host, duration_ns=None)
    looking.begin()
    alive(tmp_path, **change)  # type: ignore[arg-type]
    stopper = TimeStopper(host)
    looking.run(stopper, lambda _now: None)
    assert stopper.reason == "target-gone"


def test_a_target_that_was_never_there_is_refused(host: RecordedHost) -> None:
    looking = Collector(host, 1, CollectOptions(duration_ns=S))
    try:
        looking.begin()
        looking.run(TimeStopper(host), lambda _now: None)
        (window,) = looking.finish("target-gone").all(Window)
        assert window.duration_ns <= S
    except TargetGone:
        pass


def test_the_first_reason_to_stop_is_kept() -> None:
    stopper = Stopper()
    assert not stopper.wait(0)
    stopper.stop("interrupt")
    stopper.stop("target-gone")
    assert stopper.wait(10 * S)
    assert stopper.reason == "interrupt"


def test_an_interrupt_ends_the_window_at_once(host: RecordedHost) -> None:
    shown = 0

    def show(_now: Collector) -> None:
        nonlocal shown
        shown += 1
        stopper.stop("interrupt")

    looking = collector(host, duration_ns=3600 * S)
    stopper = TimeStopper(host)
    looking.begin()
    looking.run(stopper, show)
    assert shown == 1
    assert looking.elapsed_ns() < 3600 * S


def test_sockets_that_the_final_table_does_not_contain_are_left_out(host: RecordedHost) -> None:
    def put(evidence: Evidence) -> None:
        evidence.put(
            Descriptor(
                pid=PID, fd=3, kind=DescriptorKind.TCP, origin=Origin.BEFORE, inode=23, seen_since_mono_ns=0
            )
        )
        for inode, when in ((23, "end"), (29, "end"), (29, "begin")):
            evidence.put(
                SocketState(inode=inode, protocol="tcp", family="inet", state="ESTABLISHED", when=when)
            )

    looking = collector(host, FakeProbe("a", finish=put))
    looking.begin()
    sockets = looking.finish("duration").all(SocketState)
    assert [(socket.inode, socket.when) for socket in sockets] == [(23, "end"), (29, "begin")]


def test_its_own_cost_is_part_of_the_evidence(host: RecordedHost) -> None:
    looking = collector(host)
    looking.begin()
    host.clock.advance(3 * S)
    (cost,) = looking.finish("duration").all(SelfCost)
    assert cost.window_ns == 3 * S
    assert cost.cpu_ns > 0
    assert cost.rss_bytes > 1 << 20
    assert cost.bpf_ns is None
