"""FDL401: one connection under several numbers."""

from __future__ import annotations

import msgspec

from evidence_builders import Scene
from judging import cleared, finding, is_silent_without
from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor
from leadline.model import Severity
from leadline.rules.fdl.duplicated_sockets import RULE


def duplicates(count: int, *, state: str = "ESTABLISHED", first_fd: int = 3) -> Evidence:
    """Return a process with one connection and its duplicates."""
    scene = Scene(window_s=12.0)
    scene.place("tcp", "dialed").live(-5.0, state=state)
    scene.place("tcp", "duplicated", function="main.tune").all([1.0] * count, state=state)
    evidence = scene.evidence()
    descriptors = evidence.all(Descriptor)
    evidence._records[Descriptor] = [
        msgspec.structs.replace(descriptor, inode=descriptors[0].inode, file_ref=1, fd=first_fd + index)
        for index, descriptor in enumerate(descriptors)
    ]
    return evidence


def test_five_duplicates_fire_and_four_do_not() -> None:
    found = finding(RULE, duplicates(5))
    assert found.title == "1 connection open under 6 descriptors: 5 duplicates made at main.tune (main.go:42)"
    assert (found.count, found.severity, found.kind) == (5, Severity.MEDIUM, "tcp")
    assert "SyscallConn" in found.remedy
    assert "only 4" in cleared(RULE, duplicates(4)).reason


def test_listeners_are_handed_over_by_design() -> None:
    assert cleared(RULE, duplicates(9, state="LISTEN")).count == 0


def test_standard_descriptors_do_not_count() -> None:
    """A socket as standard input, output and error, and four more of it: three numbers are left out."""
    assert cleared(RULE, duplicates(7, first_fd=0)).count == 4
    assert finding(RULE, duplicates(8, first_fd=0)).count == 5


def test_distinct_connections_are_cleared() -> None:
    scene = Scene()
    scene.place("tcp", "dialed").all([1.0] * 50)
    assert cleared(RULE, scene).reason == "no connection is open twice"


def test_not_judged_without_the_table() -> None:
    assert is_silent_without(RULE)
