"""Evidence tells "observed and empty" from "not observed", and keeps order."""

from __future__ import annotations

from leadline.evidence import Evidence
from leadline.evidence.kinds import KINDS, NetCounter, SocketState, Window
from leadline.model import Gap, GapReason


def counter(name: str) -> NetCounter:
    return NetCounter(name=name, begin=1, end=2)


def test_a_kind_that_was_not_observed_is_none_and_an_empty_one_is_empty() -> None:
    evidence = Evidence()
    assert evidence.get(SocketState) is None
    assert evidence.all(SocketState) == ()
    evidence.put_all(SocketState, [])
    assert evidence.get(SocketState) == ()
    assert evidence.observed() == {"socket_state": 0}


def test_records_come_back_in_order_of_arrival() -> None:
    evidence = Evidence()
    evidence.put(counter("b"))
    evidence.put_all(NetCounter, [counter("a"), counter("c")])
    assert [record.name for record in evidence.all(NetCounter)] == ["b", "a", "c"]
    first = evidence.first(NetCounter)
    assert first is not None
    assert first.name == "b"
    assert evidence.first(Window) is None


def test_what_was_handed_out_does_not_change_later() -> None:
    evidence = Evidence()
    evidence.put(counter("a"))
    before = evidence.get(NetCounter)
    evidence.put(counter("b"))
    assert before is not None
    assert len(before) == 1


def test_observed_kinds_are_named_in_the_order_of_the_bundle() -> None:
    evidence = Evidence()
    evidence.gap(Gap(what="stacks", reason=GapReason.NOT_PERMITTED))
    evidence.put(counter("a"))
    evidence.put(Window(begin_mono_ns=0, end_mono_ns=1, begin_unix_ns=0, mode="single"))
    assert list(evidence.observed()) == ["window", "net_counter", "gap"]
    assert list(evidence.observed()) == [name for name in KINDS if name in evidence.observed()]
