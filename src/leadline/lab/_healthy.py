"""The healthy twins: programs that look alarming and must be cleared, by the name of their pattern."""

from __future__ import annotations

from leadline.lab._program import LabProgram, OtherEnd

__all__ = ["HEALTHY"]

HEALTHY: tuple[LabProgram, ...] = (
    LabProgram(
        name="keepalive-pool",
        story="fills a large keep-alive pool while traffic grows, then stays at its plateau",
        healthy="plateau",
        kind="tcp",
        trace_s=14.0,
        other_end=OtherEnd.UPSTREAM,
    ),
    LabProgram(
        name="idle-websockets",
        story="holds two thousand upgraded connections of quiet clients that were there before",
        healthy="long-lived",
        kind="tcp",
        count=2000,
        before=2000,
        other_end=OtherEnd.CLIENTS,
    ),
    LabProgram(
        name="batch-open-close",
        story="opens 500 files every three seconds, works on them and closes them all",
        healthy="churning",
        kind="file",
        other_end=OtherEnd.NONE,
    ),
)
