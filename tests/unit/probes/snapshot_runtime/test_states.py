"""States as Go prints them, and goroutines of the runtime itself."""

from __future__ import annotations

import pytest

from leadline.formats.gooffsets import wait_reasons
from leadline.probes.snapshot_runtime.states import is_callback_runner, is_runtime_start, state_name

REASONS = wait_reasons("go1.26.8") or ()


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        (0, 0, "idle"), (1, 5, "runnable"), (2, 2, "running"), (3, 2, "syscall"), (4, 2, "IO wait"), (4, 0, "waiting"),
        (8, 0, "copystack"), (9, 4, "preempted"), (10, 19, "chan receive"), (10, 0, "leaked"), (4, 200, "unknown wait reason"),
        (5, 0, "???"), (77, 0, "???"),
    ],
)  # fmt: skip
def test_states(status: int, reason: int, text: str) -> None:
    assert state_name(status, reason, REASONS) == text


def test_numbers_of_reasons_move_between_releases() -> None:
    assert state_name(4, 19, wait_reasons("go1.21.13") or ()) == "sleep"
    assert state_name(4, 14, REASONS) == "sleep"


@pytest.mark.parametrize("name", ["runtime.bgsweep", "runtime.gcenable.gowrap1", "runtime.runfinq"])
def test_goroutines_of_the_runtime(name: str) -> None:
    assert is_runtime_start(name)


@pytest.mark.parametrize(
    "name", ["runtime.main", "runtime.corostart", "main.main", "runtime/pprof.profileWriter", ""]
)
def test_goroutines_of_the_program(name: str) -> None:
    assert not is_runtime_start(name)


def test_runners_of_finalizers_and_cleanups() -> None:
    assert [is_callback_runner(f"runtime.{name}") for name in ("runfinq", "runFinalizers", "runCleanups", "main")] == [
        True, True, True, False,
    ]  # fmt: skip
