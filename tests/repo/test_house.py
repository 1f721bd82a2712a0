"""The shared test machinery keeps its own promises."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from house import live, purity
from house.golden import GOLDENS, Golden


def test_pure_tests_may_not_open_files() -> None:
    with pytest.raises(purity.Impure, match="passwd"), purity.refusing():
        Path("/etc/passwd").read_text()


def test_pure_tests_may_not_make_sockets_or_processes() -> None:
    with pytest.raises(purity.Impure, match="socket"), purity.refusing():
        socket.socket()
    with pytest.raises(purity.Impure, match="Popen"), purity.refusing():
        subprocess.run([sys.executable, "-c", ""], check=True)


def test_a_swallowed_refusal_still_fails() -> None:
    def hides() -> None:
        try:
            Path("/etc/passwd").read_text()
        except AssertionError:
            return

    with pytest.raises(purity.Impure, match="hid it"), purity.refusing():
        hides()


def test_other_threads_and_later_code_are_free() -> None:
    read: list[str] = []
    with purity.refusing():
        thread = threading.Thread(target=lambda: read.append(Path("/etc/passwd").read_text()))
        thread.start()
        thread.join(5)
    assert read
    assert Path("/etc/passwd").read_text() == read[0]


def test_pure_tests_may_read_code_but_not_write_it() -> None:
    with purity.refusing():
        assert Path(purity.__file__).read_text()
    with pytest.raises(purity.Impure), purity.refusing():
        Path(purity.__file__).open("a").close()


def test_tests_of_rules_run_under_the_guard(tmp_path: Path) -> None:
    """The conftest arms the guard for tests/unit/rules and for nothing else."""
    tests = Path(__file__).resolve().parents[1]
    body = "from pathlib import Path\ndef test_it() -> None:\n    assert Path('/etc/passwd').read_bytes()\n"
    room = tmp_path / "tests" / "unit"
    for name in ("rules", "report"):
        (room / name).mkdir(parents=True)
        (room / name / f"test_{name}_body.py").write_text(body)
    (tmp_path / "tests" / "conftest.py").write_text((tests / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["-o", f"pythonpath={tests}", "-o", "addopts=", str(tmp_path / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "reached for the machine" in done.stdout


def test_live_tests_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    why = live.obstacle()
    assert why is None or "remedy:" in why
    monkeypatch.setenv("LEADLINE_REQUIRE_LIVE", "1")
    assert live.must_run()
    monkeypatch.setenv("LEADLINE_REQUIRE_LIVE", "0")
    assert not live.must_run()


@pytest.mark.parametrize("must", ["0", "1"])
def test_a_skipped_live_test_fails_where_it_must_run(tmp_path: Path, must: str) -> None:
    tests = Path(__file__).resolve().parents[1]
    body = "import pytest\n@pytest.mark.e2e\ndef test_it() -> None:\n    pytest.skip('no such thing here')\n"
    (tmp_path / "test_body.py").write_text(body)
    (tmp_path / "conftest.py").write_text((tests / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["-o", f"pythonpath={tests}", "-o", "addopts=", "-o", "markers=e2e: x", str(tmp_path)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={"LEADLINE_REQUIRE_LIVE": must, "PATH": "/usr/bin:/bin"},
    )
    assert ("1 failed" if must == "1" else "1 skipped") in done.stdout, done.stdout + done.stderr


def test_golden_files_are_compared_and_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("house.golden.GOLDENS", tmp_path)
    Golden(accept=True).check("a/b.txt", "one\n")
    Golden(accept=False).check("a/b.txt", "one\n")
    with pytest.raises(AssertionError, match=r"-one\n\+two"):
        Golden(accept=False).check("a/b.txt", "two\n")
    assert GOLDENS.name == "goldens"
