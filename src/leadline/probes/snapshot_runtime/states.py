"""States of goroutines as Go prints them, and which goroutines are the runtime's own.

Source: Go, src/runtime/traceback.go (goroutineheader, gStatusStrings, isSystemGoroutine), runtime2.go.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "DEAD",
    "LEAKED",
    "READABLE",
    "RUNNABLE",
    "RUNNING",
    "SYSCALL",
    "WAITING",
    "is_callback_runner",
    "is_runtime_start",
    "state_name",
]

RUNNABLE, RUNNING, SYSCALL, WAITING, COPYSTACK, PREEMPTED, LEAKED = 1, 2, 3, 4, 8, 9, 10
DEAD = (0, 5, 6, 7, 11)
"""Statuses of goroutines that do not exist: idle, dead, and dead ones kept for threads of C."""
READABLE = (RUNNABLE, SYSCALL, WAITING, PREEMPTED, LEAKED)
"""Statuses in which the stack and its saved registers belong together."""

_NAMES = {
    0: "idle",
    RUNNABLE: "runnable",
    RUNNING: "running",
    SYSCALL: "syscall",
    WAITING: "waiting",
    6: "dead",
    COPYSTACK: "copystack",
    PREEMPTED: "preempted",
    LEAKED: "leaked",
}
_USER_STARTS = frozenset({"runtime.main", "runtime.corostart", "runtime.handleAsyncEvent"})
_CALLBACK_RUNNERS = frozenset({"runtime.runfinq", "runtime.runFinalizers", "runtime.runCleanups"})


def state_name(status: int, reason: int, reasons: Sequence[str]) -> str:
    """Return the state as Go prints it; ``???`` for a status that no release has.

    >>> state_name(4, 2, ("", "GC assist marking", "IO wait")), state_name(4, 0, ("",)), state_name(3, 2, ())
    ('IO wait', 'waiting', 'syscall')
    """
    if status in {WAITING, LEAKED} and reason:
        return reasons[reason] if reason < len(reasons) else "unknown wait reason"
    return _NAMES.get(status, "???")


def is_runtime_start(function: str) -> bool:
    """Return whether a goroutine that starts at this function is one of the runtime's own.

    Those that run finalizers and cleanups are not while they run the program's functions: ``is_callback_runner``.

    >>> is_runtime_start("runtime.bgsweep"), is_runtime_start("runtime.main"), is_runtime_start("main.main.func1")
    (True, False, False)
    """
    return function.startswith("runtime.") and function not in _USER_STARTS


def is_callback_runner(function: str) -> bool:
    """Return whether a goroutine that starts at this function runs finalizers or cleanups of the program."""
    return function in _CALLBACK_RUNNERS
