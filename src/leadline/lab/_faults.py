"""The programs with a fault, in the order in which one should read them."""

from __future__ import annotations

from leadline.lab._program import LabProgram, OtherEnd

__all__ = ["FAULTS"]

FAULTS: tuple[LabProgram, ...] = (
    LabProgram(
        name="http-body-leak",
        story="asks its upstream with http.Get and neither reads nor closes the response body",
        expects=("FDL101",),
        kind="tcp",
        count=23,
        other_end=OtherEnd.UPSTREAM,
        mission="A2 A7 facts-1",
    ),
    LabProgram(
        name="accept-leak",
        story="accepts connections in a loop of its own, keeps them in a table and never closes one",
        expects=("FDL102", "FDL201"),
        kind="tcp",
        count=23,
        close_wait=23,
        other_end=OtherEnd.CLIENTS,
        mission="A2 A5 facts-4",
    ),
    LabProgram(
        name="file-leak",
        story="opens a template in an HTTP handler and keeps the open file in a session table",
        expects=("FDL103",),
        kind="file",
        count=23,
        other_end=OtherEnd.CLIENTS,
    ),
)
