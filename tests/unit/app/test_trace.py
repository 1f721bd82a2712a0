"""A watch can be interrupted, and says how it stands."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from leadline.app.collect import CollectOptions, Collector, Stopper
from leadline.app.diagnose import diagnose
from leadline.app.trace import interruptible, judged, progress_of
from leadline.host.recorded import RecordedHost
from report_samples import sample_evidence


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_window_and_not_the_program(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stopper = Stopper()
    with interruptible(stopper):
        os.kill(os.getpid(), number)
        assert stopper.wait(5 * 10**9)
    assert stopper.reason == "interrupt"
    assert signal.getsignal(number) == before


def test_the_old_handlers_come_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), interruptible(Stopper()):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) == before


def test_without_a_tracer_the_progress_is_the_time(tmp_path: Path) -> None:
    host = RecordedHost(tmp_path)
    (tmp_path / "proc" / "1").mkdir(parents=True)
    (tmp_path / "proc" / "1" / "stat").write_text("1 (a) S " + "0 " * 30)
    collector = Collector(host, 1, CollectOptions(duration_ns=10**9))
    collector.begin()
    host.clock.advance(500)
    progress = progress_of(collector, 10**9)
    assert (progress.elapsed_ns, progress.limit_ns) == (500, 10**9)
    assert progress.alive is progress.births is progress.deaths is progress.soft_limit is None
    assert progress.places == ()


def test_secrets_are_taken_out_before_anything_is_judged() -> None:
    case = judged(sample_evidence(), "4711", None)
    assert case.diagnosis == diagnose(case.evidence)
    assert case.subject == "4711"
