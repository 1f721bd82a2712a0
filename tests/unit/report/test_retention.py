"""Equal paths to connections are shown once, with their count."""

from __future__ import annotations

from leadline.evidence import Evidence
from leadline.evidence.kinds import Retention, RetentionRoot
from leadline.report.retention import retention_views

REGISTRY = RetentionRoot(kind="global", name="main.registry", path=("map", "net.Conn"))
LIST = RetentionRoot(kind="global", name="main.list")


def test_equal_paths_are_one_row_most_connections_first() -> None:
    evidence = Evidence()
    evidence.put(Retention(pid=1, fd=3, verdict="reachable", roots=(LIST,)))
    for fd in range(10, 21):
        evidence.put(
            Retention(pid=1, fd=fd, verdict="reachable", go_type="*net.TCPConn", roots=(REGISTRY, LIST))
        )
    evidence.put(Retention(pid=1, fd=99, verdict="not-found"))
    most, least = retention_views(evidence)
    assert (most.count, most.path) == (11, "global main.registry -> map -> net.Conn")
    assert most.says.startswith("*net.TCPConn, descriptors 10, 11, 12, 13, 14, 15, 16, 17 and 3 more")
    assert most.says.endswith("11 of them in another way too")
    assert (least.count, least.path, least.says) == (1, "global main.list", "descriptor 3")


def test_nothing_searched_is_nothing_shown() -> None:
    assert retention_views(Evidence()) == ()
