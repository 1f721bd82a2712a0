"""Collecting: each probe behind its fence, and a window that ends for one reason."""

from __future__ import annotations

import dataclasses

import pytest

from fake_probes import PID, FakeHost, FakeProbe, FakeTracer, SteppingStopper, collector
from leadline.app.collect import INTERIM_NS, POLL_NS, TICK_NS, Collector, Stopper
from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    Descriptor,
    DescriptorKind,
    Origin,
    SelfCost,
    SocketState,
    Window,
)
from leadline.model import Gap, GapReason, NotPermitted, TargetGone

S = 10**9


def silently(_now: Collector) -> None:
    """Show nothing."""


def descriptor(fd: int, inode: int | None) -> Descriptor:
    return Descriptor(
        pid=PID, fd=fd, kind=DescriptorKind.TCP, origin=Origin.BEFORE, inode=inode, seen_since_mono_ns=0
    )


def socket(inode: int, when: str = "end") -> SocketState:
    return SocketState(inode=inode, protocol="tcp", family="inet", state="ESTABLISHED", when=when)


# -- how a window ends ---------------------------------------------------------------------------------------------------


def test_the_window_lasts_as_long_as_was_asked_to_the_nanosecond() -> None:
    host, probe = FakeHost(), FakeProbe()
    made = collector(host, probe, duration_ns=3 * S + 1)
    stopper = SteppingStopper(host.clock)
    made.run(stopper, silently)
    window = made.finish(stopper.reason).first(Window)
    assert window is not None
    assert (window.duration_ns, window.ended_by) == (3 * S + 1, "duration")
    assert window.begin_unix_ns == 10**12 + 10**18
    assert probe.calls == ["begin", *["tick"] * 6, "finish"]


def test_it_shows_how_it_stands_twice_a_second() -> None:
    host = FakeHost()
    made = collector(host, duration_ns=2 * S)
    shown: list[int] = []
    made.run(SteppingStopper(host.clock), lambda now: shown.append(now.elapsed_ns()))
    assert shown == [TICK_NS, 2 * TICK_NS, 3 * TICK_NS, 4 * TICK_NS]


def test_ctrl_c_ends_it_early_and_all_is_still_finished() -> None:
    host, probe = FakeHost(), FakeProbe()
    made = collector(host, probe)
    stopper = SteppingStopper(host.clock, {2 * S: lambda: stopper.stop("interrupt")})
    made.run(stopper, silently)
    window = made.finish(stopper.reason).first(Window)
    assert window is not None
    assert (window.duration_ns, window.ended_by) == (2 * S, "interrupt")
    assert probe.calls[-1] == "finish"


def test_the_first_reason_is_kept() -> None:
    stopper = Stopper()
    assert (stopper.reason, stopper.wait(0)) == ("duration", False)
    stopper.stop("interrupt")
    stopper.stop("target-gone")
    assert (stopper.reason, stopper.wait(-1)) == ("interrupt", True)


@pytest.mark.parametrize(
    "change",
    [{"start": None}, {"state": "Z"}, {"state": "X"}, {"start": 778}],
    ids=["gone", "zombie", "dead", "another process with its pid"],
)
def test_it_ends_when_the_target_is_gone(change: dict[str, object]) -> None:
    host, probe = FakeHost(), FakeProbe()
    made = collector(host, probe)
    stopper = SteppingStopper(host.clock, {S: lambda: host.__dict__.update(change)})
    made.run(stopper, silently)
    assert stopper.reason == "target-gone"
    assert made.elapsed_ns() == S
    made.finish(stopper.reason)
    assert probe.calls[-1] == "finish"


def test_a_hostile_name_does_not_look_like_an_end() -> None:
    """The name is in parentheses in stat, and may hold parentheses, spaces and state letters itself."""
    host = FakeHost(comm=") Z 1 2 3 (x")
    made = collector(host, duration_ns=2 * S)
    stopper = SteppingStopper(host.clock)
    made.run(stopper, silently)
    assert stopper.reason == "duration"


def test_a_change_of_name_or_state_is_no_end() -> None:
    """A program that calls exec stays the process that it was."""
    host = FakeHost()
    made = collector(host, duration_ns=3 * S)

    def exec_() -> None:
        host.comm, host.state = "other", "R"

    stopper = SteppingStopper(host.clock, {S: exec_})
    made.run(stopper, silently)
    assert stopper.reason == "duration"


def test_without_a_duration_it_lasts_until_the_target_ends() -> None:
    host = FakeHost()
    made = collector(host, duration_ns=None)
    stopper = SteppingStopper(host.clock, {400 * S: lambda: setattr(host, "start", None)})
    made.run(stopper, silently)
    assert (stopper.reason, made.elapsed_ns()) == ("target-gone", 400 * S)


# -- until sure ----------------------------------------------------------------------------------------------------------


def test_it_ends_when_all_is_decided() -> None:
    birthplace = Birthplace(
        id=1, pid=PID, kind=DescriptorKind.FILE, syscall="openat", role="opened", stack=None,
        births=23, deaths=0, alive=23,
    )  # fmt: skip
    host, tracer = FakeHost(), FakeTracer(interims=(birthplace,))
    made = collector(host, tracer, duration_ns=60 * S)
    asked: list[Evidence] = []

    def decided(evidence: Evidence) -> bool:
        asked.append(evidence)
        return len(asked) == 3

    stopper = SteppingStopper(host.clock)
    made.run(stopper, silently, decided)
    assert stopper.reason == "sure"
    assert made.elapsed_ns() == 3 * INTERIM_NS
    for number, evidence in enumerate(asked, 1):
        window = evidence.first(Window)
        assert window is not None
        assert window.duration_ns == number * INTERIM_NS
        assert evidence.get(Birthplace) == (birthplace,)
    assert made.evidence.get(Birthplace) is None, "interim looks leave nothing behind"


def test_the_time_limit_holds_when_it_is_never_sure() -> None:
    host = FakeHost()
    made = collector(host, FakeTracer(), duration_ns=10 * S)
    stopper = SteppingStopper(host.clock)
    made.run(stopper, silently, lambda _evidence: False)
    assert (stopper.reason, made.elapsed_ns()) == ("duration", 10 * S)


def test_an_interim_look_that_fails_is_a_gap_and_not_the_end() -> None:
    host, tracer = FakeHost(), FakeTracer(fails_in={"interim": RuntimeError("oops")})
    made = collector(host, tracer, duration_ns=4 * S)
    made.run(SteppingStopper(host.clock), silently, lambda _evidence: False)
    assert [gap.probe for gap in made.evidence.all(Gap)] == ["fake"]


# -- children ------------------------------------------------------------------------------------------------------------


def test_children_are_looked_for_every_ten_milliseconds_but_only_when_followed() -> None:
    host, tracer = FakeHost(), FakeTracer()
    made = collector(host, tracer, duration_ns=S, follow=True)
    stopper = SteppingStopper(host.clock)
    made.run(stopper, silently)
    assert tracer.calls.count("poll") == S // POLL_NS
    assert tracer.calls.count("tick") == 2
    host, tracer = FakeHost(), FakeTracer()
    made = collector(host, tracer, duration_ns=S)
    made.run(SteppingStopper(host.clock), silently)
    assert tracer.calls.count("poll") == 0


# -- the fence -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["begin", "tick", "finish"])
def test_a_probe_that_fails_leaves_one_gap_and_the_others_go_on(phase: str) -> None:
    host = FakeHost()
    bad = FakeProbe("bad", fails_in={phase: RuntimeError("oops")})
    good = FakeProbe("good", records=(socket(1),))
    made = collector(host, bad, good, duration_ns=2 * S)
    stopper = SteppingStopper(host.clock)
    made.run(stopper, silently)
    evidence = made.finish(stopper.reason)
    assert good.calls == ["begin", *["tick"] * 4, "finish"]
    assert evidence.all(SocketState) == (socket(1),)
    (gap,) = evidence.all(Gap)
    assert (gap.probe, gap.reason) == ("bad", GapReason.MALFORMED)
    assert "oops" in gap.detail
    assert "report" in gap.remedy


def test_a_probe_that_did_not_begin_is_not_asked_again() -> None:
    host, bad = FakeHost(), FakeProbe("bad", fails_in={"begin": RuntimeError("oops")})
    made = collector(host, bad, duration_ns=2 * S)
    made.run(SteppingStopper(host.clock), silently)
    made.finish("duration")
    assert bad.calls == ["begin"]


def test_a_probe_that_failed_is_still_finished_so_that_it_detaches() -> None:
    host, bad = FakeHost(), FakeProbe("bad", fails_in={"tick": RuntimeError("oops")})
    made = collector(host, bad, duration_ns=2 * S)
    made.run(SteppingStopper(host.clock), silently)
    made.finish("duration")
    assert bad.calls[-1] == "finish"


def test_a_target_that_goes_in_between_is_no_fault_of_ours() -> None:
    host, bad = FakeHost(), FakeProbe("bad", fails_in={"finish": TargetGone("4711 has ended")})
    evidence = collector(host, bad).finish("target-gone")
    (gap,) = evidence.all(Gap)
    assert (gap.reason, gap.detail, gap.remedy) == (GapReason.TARGET_GONE, "4711 has ended", "")


def test_missing_rights_are_told_as_such_with_their_remedy() -> None:
    error = NotPermitted("sock_diag: EPERM", remedy="run as root")
    evidence = collector(FakeHost(), FakeProbe("bad", fails_in={"begin": error})).finish("duration")
    (gap,) = evidence.all(Gap)
    assert (gap.reason, gap.detail, gap.remedy) == (
        GapReason.NOT_PERMITTED,
        "sock_diag: EPERM",
        "run as root",
    )


# -- what is put at the end ----------------------------------------------------------------------------------------------


def test_sockets_that_the_final_table_does_not_hold_are_left_out() -> None:
    probe = FakeProbe(
        records=(descriptor(3, 1), descriptor(4, None), socket(1), socket(2), socket(2, when="begin"))
    )
    evidence = collector(FakeHost(), probe).finish("duration")
    assert evidence.all(SocketState) == (socket(1), socket(2, when="begin"))
    assert evidence.all(Descriptor) == (descriptor(3, 1), descriptor(4, None))


def test_when_all_sockets_go_the_kind_still_counts_as_observed() -> None:
    evidence = collector(FakeHost(), FakeProbe(records=(descriptor(3, 1), socket(2)))).finish("duration")
    assert evidence.get(SocketState) == ()


def test_sockets_stay_where_no_table_was_seen() -> None:
    """No table is not an empty table."""
    evidence = collector(FakeHost(), FakeProbe(records=(socket(2),))).finish("duration")
    assert evidence.all(SocketState) == (socket(2),)
    assert evidence.get(Descriptor) is None


def test_our_own_cost_is_always_told() -> None:
    host = FakeHost()
    made = collector(host, FakeProbe(fails_in={"finish": RuntimeError("oops")}))
    host.clock.now_ns += 7 * S
    (cost,) = made.finish("duration").all(SelfCost)
    assert cost.window_ns == 7 * S
    assert cost.rss_bytes > 1 << 20
    assert cost.cpu_ns > 0
    assert (cost.births_seen, cost.attach_ns) == (None, None)


@dataclasses.dataclass(frozen=True)
class Cost:
    births_seen: int = 23
    lost_events: int = 1


def test_the_tracers_cost_is_part_of_it() -> None:
    (cost,) = collector(FakeHost(), FakeTracer(cost_record=Cost())).finish("duration").all(SelfCost)
    assert (cost.births_seen, cost.lost_events) == (23, 1)


def test_the_mode_is_that_of_the_tracer() -> None:
    for probe, mode, is_traced in (
        (FakeProbe(), "single", False),
        (FakeTracer(mode="bpf"), "bpf", True),
        (FakeTracer(mode="snapshots"), "snapshots", False),
    ):
        made = collector(FakeHost(), probe)
        assert made.is_traced is is_traced
        window = made.finish("duration").first(Window)
        assert window is not None
        assert window.mode == mode
