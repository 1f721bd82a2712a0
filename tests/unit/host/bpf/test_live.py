from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from importlib import resources

import pytest

from leadline.host.bpf import LiveBpf
from leadline.model import TargetGone, Unsupported

pytestmark = pytest.mark.live

FOLDER = resources.files("leadline.probes.trace_descriptors")


def test_an_iterator_shows_one_process_exactly() -> None:
    with LiveBpf().load(FOLDER, "descriptors") as loaded:
        rows = loaded.iterate("on_table", "table_row", pid=os.getpid())
        held = {}
        for fd in rows["fd"].tolist():
            with suppress(OSError):  # the link and the reader of the iterator itself are closed by now
                held[fd] = os.fstat(fd).st_ino
        assert len(held) == len(rows) - 2
        assert set(rows["tgid"].tolist()) == {os.getpid()}
        assert {int(row["fd"]): int(row["inode"]) for row in rows if row["fd"] in held} == held
        assert len(loaded.iterate("on_table", "table_row")) > len(rows)


def test_a_process_that_is_gone_is_told_from_one_without_descriptors() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(20)
    script = (
        "import os; os.closerange(3, 100); os.write(1, b'x'); [os.close(fd) for fd in (1, 2)]; os.read(0, 1)"
    )
    with LiveBpf().load(FOLDER, "descriptors") as loaded:
        with pytest.raises(TargetGone):
            loaded.iterate("on_table", "table_row", pid=gone.pid)
        with subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as poor:
            assert poor.stdout is not None
            assert poor.stdin is not None
            assert poor.stdout.read(1) == b"x"
            assert poor.stdout.read() == b""
            assert set(loaded.iterate("on_table", "table_row", pid=poor.pid)["fd"].tolist()) <= {0, 2}
            poor.stdin.write(b"x")


def test_an_architecture_without_blobs_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "mips64")
    with pytest.raises(Unsupported, match="mips64"):
        LiveBpf().load(FOLDER, "descriptors")
