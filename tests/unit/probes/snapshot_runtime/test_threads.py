"""Numbers of threads in the process's own pid namespace, and in the host's."""

from __future__ import annotations

import os
from pathlib import Path

from leadline.host import LiveHost
from leadline.host.recorded import RecordedHost
from leadline.probes.snapshot_runtime.threads import host_tids


def recorded(folder: Path, inner: dict[int, str]) -> RecordedHost:
    for tid, numbers in inner.items():
        place = folder / "proc" / "500" / "task" / str(tid)
        place.mkdir(parents=True)
        (place / "status").write_text(f"Name:\tx\nNSpid:\t{numbers}\nThreads:\t3\n")
    (folder / "proc" / "500" / "stat").write_text("500 (x) S " + "0 " * 50 + "\n")
    return RecordedHost(folder)


def test_in_the_same_namespace_there_is_nothing_to_translate() -> None:
    assert host_tids(LiveHost(), os.getpid()) is None


def test_the_innermost_number_leads_to_the_hosts(tmp_path: Path) -> None:
    host = recorded(tmp_path, {500: "500\t31\t1", 501: "501\t32\t7", 502: "502\t33\t8"})
    assert host_tids(host, 500) == {1: 500, 7: 501, 8: 502}


def test_without_a_process_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert host_tids(RecordedHost(tmp_path), 500) is None
