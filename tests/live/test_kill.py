"""SIGKILL at any moment: the kernel takes everything of leadline's away, and the target does not notice.

Ten moments in a usual run, ``LEADLINE_KILLS=50`` for fifty.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import random
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leadline import lab
from live_runs import FAST, ROOT, until

pytestmark = [pytest.mark.live, pytest.mark.slow]

KILLS = int(os.environ.get("LEADLINE_KILLS", "10"))
LAST_MOMENT_S = 1.2
"""Half of the moments count from the start of the process, half from its word that it is attached; looks come twice a second."""
NEXT_ID = {"prog": 11, "map": 12, "link": 31}
"""BPF_PROG_GET_NEXT_ID and its like (linux/bpf.h)."""
BPF_CALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class Held:
    """What a process held of the kernel in the moment of its death."""

    ids: dict[str, set[int]] = field(default_factory=lambda: {"prog": set(), "map": set(), "link": set()})
    children: set[int] = field(default_factory=set)
    breakpoints: int = 0


def exists(what: str, number: int) -> bool:
    """Return whether the kernel has a BPF object of that number."""
    attr = (ctypes.c_uint32 * 3)(number - 1, 0, 0)
    if LIBC.syscall(BPF_CALL, NEXT_ID[what], ctypes.byref(attr), 12) == 0:
        return attr[1] == number
    assert ctypes.get_errno() == errno.ENOENT
    return False


def held_by(pid: int) -> Held:
    """Return what a stopped process holds, as its descriptors tell."""
    held = Held()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        for what, number in re.findall(r"^(prog|map|link)_id:\s*(\d+)$", path.read_text(), re.MULTILINE):
            held.ids[what].add(int(number))
    for path in Path(f"/proc/{pid}/task").iterdir():
        held.children |= {int(word) for word in (path / "children").read_text().split()}
    return held


def breakpoints(pid: int) -> int:
    """Return how many bytes of a process's code differ from its file: a uprobe is a breakpoint there."""
    line = next(
        line.split()
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        if " r-xp " in line and not line.split()[-1].startswith("[")
    )
    begin, end = (int(word, 16) for word in line[0].split("-"))
    with (
        Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory,
        Path(f"/proc/{pid}/exe").open("rb") as file,
    ):
        memory.seek(begin)
        file.seek(int(line[2], 16))
        now, built = memory.read(end - begin), file.read(end - begin)
    return (
        sum(one != other for one, other in zip(now, built, strict=False)) if now[: len(built)] != built else 0
    )


@contextmanager
def leadline_at(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "leadline", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)
        process.stderr.close()


def killed_after(process: subprocess.Popen[bytes], moment: tuple[bool, float], target: int) -> Held:
    """Kill leadline at a moment and return what it held in it."""
    is_attached, moment_s = moment
    if is_attached:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"watching ")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(moment_s)
    process.send_signal(signal.SIGSTOP)
    until(
        lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt", "a stop"
    )
    held = held_by(process.pid)
    held.breakpoints = breakpoints(target)
    process.kill()
    process.wait(20)
    return held


def assert_nothing_left(held: Held, target: int) -> None:
    for what, numbers in held.ids.items():
        until(
            lambda what=what, numbers=numbers: not any(exists(what, number) for number in numbers),  # type: ignore[misc]
            f"the end of every BPF {what}",
        )
    until(lambda: breakpoints(target) == 0, "the end of uprobes")
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in held.children), "the end of children")


def moments(count: int, seed: int) -> list[tuple[bool, float]]:
    """Return (after attaching, seconds) that cover the whole time, each at random within its share of it."""
    rng = random.Random(seed)
    share = LAST_MOMENT_S / count
    return [(number % 2 == 0, share * (number + rng.random())) for number in range(count)]


def test_a_client_under_probes_goes_on_whenever_leadline_is_killed() -> None:
    """Its HTTP client is probed; so the code itself is changed while it runs."""
    with lab.start("http-body-leak", FAST) as running:
        assert breakpoints(running.pid) == 0
        seen = Held()
        for moment in moments(KILLS - KILLS // 2, 1):
            with leadline_at(["trace", str(running.pid), "-d", "10m"]) as process:
                held = killed_after(process, moment, running.pid)
            assert_nothing_left(held, running.pid)
            seen.breakpoints += held.breakpoints
            for what, numbers in held.ids.items():
                seen.ids[what] |= numbers
            done = running.done
            running.wait_done(done + 2)
        assert all(seen.ids.values()), "at some moment there were programs, maps and links"
        assert seen.breakpoints, "at some moment there was a uprobe"


def test_a_server_answers_whenever_leadline_is_killed() -> None:
    with lab.start("file-leak", FAST) as running:
        seen = Held()
        for moment in moments(KILLS // 2, 2):
            with leadline_at(["trace", str(running.pid), "-d", "10m", "--until-sure"]) as process:
                held = killed_after(process, moment, running.pid)
            assert_nothing_left(held, running.pid)
            for what, numbers in held.ids.items():
                seen.ids[what] |= numbers
            with urllib.request.urlopen(f"http://{running.addr}/", timeout=10) as answer:
                assert answer.status == 200
        assert all(seen.ids.values())


def test_the_looks_of_this_test_can_see() -> None:
    """While leadline is attached there are programs, maps, links and a breakpoint; it ends by itself without any."""
    with lab.start("http-body-leak", FAST) as running:
        with leadline_at(["trace", str(running.pid), "-d", "10m"]) as process:
            until(lambda: breakpoints(running.pid) > 0, "a uprobe")
            held = held_by(process.pid)
            assert all(held.ids.values())
            assert all(exists(what, number) for what, numbers in held.ids.items() for number in numbers)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in {0, 1}
        assert_nothing_left(held, running.pid)


def test_a_command_that_was_not_released_yet_does_not_outlive_leadline(tmp_path: Path) -> None:
    """Killed while it attaches: the command must neither run without its watcher nor stand still for ever."""
    mark = tmp_path / "ran"
    with leadline_at(["exec", "--", "touch", str(mark)]) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: bool(children.read_text().split()), "the command's process")
        process.send_signal(signal.SIGSTOP)
        held = held_by(process.pid)
        if mark.exists():
            pytest.fail("the command ran before leadline was attached")
        process.kill()
        process.wait(20)
    until(
        lambda: not any(Path(f"/proc/{child}").exists() for child in held.children), "the end of the command"
    )
    assert not mark.exists()
