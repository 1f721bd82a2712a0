from __future__ import annotations

from house.golden import Golden
from leadline.evidence import Evidence
from leadline.report.census import ProcessRow, census_view
from leadline.report.census_text import render_census, render_processes
from report_samples import sample_evidence


def test_golden_of_one_process(golden: Golden) -> None:
    golden.check("report/census.txt", render_census("quotes (pid 4711)", census_view(sample_evidence())))


def test_golden_of_many_processes(golden: Golden) -> None:
    rows = [
        ProcessRow(4711, "quotes", 970, 1024, "94.7 %", "960 tcp, 10 file", True),
        ProcessRow(1, "systemd", 210, 1_048_576, "0.0 %", "120 unix, 60 file, 20 eventpoll", False),
        ProcessRow(99, "a-very-long-process-name", 5, None, "", "", False),
    ]
    golden.check("report/census-all.txt", render_processes(rows, unread_count=12))


def test_long_lists_are_cut_unless_asked_for() -> None:
    rows = [ProcessRow(pid, "p", 1, 10, "10.0 %", "1 file", False) for pid in range(60)]
    assert "and 10 more (-v lists them)" in render_processes(rows)
    assert len(render_processes(rows, verbose=True).splitlines()) == 63
    assert "60 processes, 60 descriptors" in render_processes(rows)
    assert "\x1b[1;31m" in render_processes([ProcessRow(1, "p", 9, 10, "90.0 %", "", True)], color=True)


def test_an_unseen_table_is_said_to_be_unseen() -> None:
    assert "was not seen" in render_census("x\x1b", census_view(Evidence()))
    assert "x\\x1b" in render_census("x\x1b", census_view(Evidence()))
