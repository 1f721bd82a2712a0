from __future__ import annotations

import msgspec

from leadline.evidence import Evidence
from leadline.evidence.kinds import Descriptor, ProcessInfo
from leadline.report.census import census_view, process_rows
from report_samples import LEAK_COUNT, sample_evidence


def test_kinds_with_their_states_limits_and_duplicates() -> None:
    view = census_view(sample_evidence())
    assert [(row.kind, row.count, row.states) for row in view.kinds] == [
        ("tcp", LEAK_COUNT + 5, "23 CLOSE_WAIT, 4 ESTABLISHED, 1 LISTEN"),
        ("device", 3, ""),
        ("eventpoll", 1, ""),
        ("file", 1, ""),
    ]
    assert view.room == (
        ("open", "33"),
        ("soft limit", "1,024, 3.2 % used"),
        ("hard limit", "1,048,576"),
        ("whole host", "3,210 of 1,000,000"),
    )
    assert view.duplicates == ("device /dev/null: descriptors 0, 1, 2",)


def test_a_table_that_was_not_seen_is_not_empty() -> None:
    assert census_view(Evidence()).is_known is False
    assert census_view(Evidence()).open_count is None


def test_processes_near_their_limit_come_first() -> None:
    evidence = Evidence()
    base = sample_evidence().all(Descriptor)[0]
    for pid, soft, count in ((1, 100, 50), (2, None, 70), (3, 10, 9), (4, 1000, 60), (5, 10, 0)):
        evidence.put(ProcessInfo(pid=pid, start_boot_ns=0, comm=f"p{pid}", nofile_soft=soft))
        evidence.put_all(Descriptor, [msgspec.structs.replace(base, pid=pid, fd=fd) for fd in range(count)])
    rows = process_rows(evidence)
    assert [(row.pid, row.open_count, row.used, row.is_near) for row in rows] == [
        (3, 9, "90.0 %", True),
        (1, 50, "50.0 %", False),
        (4, 60, "6.0 %", False),
        (2, 70, "", False),
        (5, 0, "0.0 %", False),
    ]
    assert rows[0].kinds == "9 device"
