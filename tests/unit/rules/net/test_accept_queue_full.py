"""NET101: clients wait because there is no descriptor to accept with."""

from __future__ import annotations

from evidence_builders import PID, Scene
from judging import cleared, finding, is_silent_without
from leadline.evidence.kinds import Listener, NetCounter, Refusal
from leadline.model import Severity
from leadline.rules.net.accept_queue_full import RULE


def listening(waiting: int | None, *, used: int = 10, soft: int = 48, backlog: int = 128) -> Scene:
    listener = Listener(inode=1, address="10.0.0.1", port=8080, accept_queue=waiting, backlog=backlog)
    scene = Scene(window_s=12.0, nofile_soft=soft, listeners=(listener,))
    scene.place("file", "opened").all([-5.0] * used)
    return scene


def test_one_waiting_client_fires_when_two_are_left_and_not_with_three() -> None:
    found = finding(RULE, listening(1, used=46))
    assert (
        found.title
        == "1 client waits in the accept queue of port 8080: there is no descriptor to accept with"
    )
    assert found.severity is Severity.HIGH
    assert cleared(RULE, listening(1, used=45)).count == 1
    assert cleared(RULE, listening(0, used=46)).count == 0


def test_refused_accepts_prove_exhaustion() -> None:
    scene = listening(5)
    assert cleared(RULE, scene)
    scene.more.append(Refusal(id=1, pid=PID, error="EMFILE", syscall="openat", count=3, stack=None))
    assert cleared(RULE, scene)
    scene.more.append(Refusal(id=2, pid=PID, error="EMFILE", syscall="accept4", count=3, stack=None))
    found = finding(RULE, scene)
    assert "3 accept calls were refused" in found.because[-1].says.lower()


def test_a_full_queue_is_critical() -> None:
    assert finding(RULE, listening(129, used=48)).severity is Severity.CRITICAL
    assert finding(RULE, listening(128, used=48)).severity is Severity.HIGH


def test_overflows_count_when_descriptors_are_exhausted() -> None:
    scene = listening(0, used=48)
    scene.more.append(NetCounter(name="TcpExt.ListenOverflows", begin=5, end=9))
    found = finding(RULE, scene)
    assert found.severity is Severity.CRITICAL
    assert any("by up to 4" in because.says for because in found.because)
    scene = listening(0)
    scene.more.append(NetCounter(name="TcpExt.ListenOverflows", begin=5, end=9))
    assert cleared(RULE, scene)


def test_a_full_queue_with_descriptors_left_is_information() -> None:
    assert finding(RULE, listening(129)).severity is Severity.INFO
    assert cleared(RULE, listening(128))
    assert cleared(RULE, listening(None))


def test_not_judged_without_the_process() -> None:
    assert is_silent_without(RULE)
