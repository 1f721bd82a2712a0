"""Every lab program does what its catalog entry says, seen with nothing but /proc.

The looks here share no code with leadline: descriptors are links below /proc/PID/fd, sockets are lines of /proc/PID/net.
Programs are light, so a dozen run at the same time.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadline.lab import PROGRAMS, PROGRAMS_DIR, LabProgram, Running, build_all, find_go, start

pytestmark = [pytest.mark.live, pytest.mark.slow]

AT_A_TIME = 12
LOOK_S = 0.2
FAST = ("-rate", "20")
OWN_PACE = {
    "child-leak": ("-rate", "20", "-after", "0s"),
    "churn-leak": (),
    "emfile": ("-rate", "20"),
    "file-error-path": ("-rate", "100"),
    "late-leak": ("-rate", "20", "-after", "4s"),
    "slow-file-leak": ("-rate", "400", "-every", "50"),
    "slow-leak": ("-rate", "400", "-every", "50"),
}
WATCH_S = 7.0
"""How long healthy programs are watched: longer than their build-up."""

KEPT_ALIVE = {"slow-leak": 8, "silent-clients": 2}
"""Connections of the same kind that are alive besides the leaked ones: the pool, a visitor."""

EXACT_IN_THE_END = {"http-keepalive", "slow-start", "websockets-arriving", "idle-websockets"}


class Look:
    """One look at the descriptors of a process."""

    def __init__(self, pid: int) -> None:
        net = {
            family: Path(f"/proc/{pid}/net/{family}").read_text() for family in ("tcp", "tcp6", "udp", "unix")
        }
        tcp = [line.split() for family in ("tcp", "tcp6") for line in net[family].splitlines()[1:]]
        self.tcp_states = {words[9]: words[3] for words in tcp}
        self.accept_queue = sum(int(words[4].split(":")[1], 16) for words in tcp if words[3] == "0A")
        udp = {line.split()[9] for line in net["udp"].splitlines()[1:]}
        unix = {line.split()[6] for line in net["unix"].splitlines()[1:]}
        self.links: list[str] = []
        self.kinds: Counter[str] = Counter()
        for path in Path(f"/proc/{pid}/fd").iterdir():
            try:
                link = str(path.readlink())
            except FileNotFoundError:
                continue  # closed in the meantime
            self.links.append(link)
            inode = link[8:-1] if link.startswith("socket:") else ""
            if inode:
                kind = (
                    "tcp"
                    if inode in self.tcp_states
                    else "udp"
                    if inode in udp
                    else "unix"
                    if inode in unix
                    else "new"
                )
            else:
                word = link.removeprefix("anon_inode:").strip("[]")
                kind = (
                    "pipe" if link.startswith("pipe:") else word if link.startswith("anon_inode:") else "file"
                )
            self.kinds[kind] += 1

    def sockets(self, state: str) -> int:
        """Return how many of its descriptors are TCP sockets in a state, as the kernel numbers it."""
        return sum(self.tcp_states.get(link[8:-1]) == state for link in self.links)


ESTABLISHED, CLOSE_WAIT, LISTEN = "01", "08", "0A"


def until(condition: Callable[[], bool], deadline_s: float = 5.0) -> bool:
    """Return whether a condition came true in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_S)
    return True


def grown(pid: int, kind: str, before: Look) -> int:
    """Return how many descriptors of a kind there are more than before."""
    return Look(pid).kinds[kind] - before.kinds[kind]


def watch_leak(program: LabProgram) -> str:
    """Run a program with a fault and return what is not as planted, "" when all is."""
    with start(program.name, OWN_PACE.get(program.name, FAST), hold=True) as running:
        before = Look(running.pid)
        running.go()
        special = SPECIAL.get(program.name)
        if special is not None:
            return special(running, before)
        running.wait_done(program.count, deadline_s=40)
        most = KEPT_ALIVE.get(program.name, 0)
        assert program.count is not None
        assert program.kind is not None
        kind, count = program.kind, program.count
        if not until(lambda: count <= grown(running.pid, kind, before) <= count + most):
            return f"{grown(running.pid, kind, before)} {kind} more, not {count}"
        if not until(lambda: Look(running.pid).sockets(CLOSE_WAIT) == program.close_wait):
            return f"{Look(running.pid).sockets(CLOSE_WAIT)} in CLOSE_WAIT, not {program.close_wait}"
        if program.before and before.kinds[kind] < program.before:
            return f"{before.kinds[kind]} {kind} before, not {program.before}"
        return ""


def watch_healthy(program: LabProgram) -> str:
    """Run a healthy program and return what speaks against it, "" when nothing does."""
    assert program.kind is not None
    assert program.count is not None
    with start(program.name, hold=True) as running:
        before = Look(running.pid)
        running.go()
        seen = []
        end = time.monotonic() + WATCH_S
        while time.monotonic() < end:
            seen.append(grown(running.pid, program.kind, before))
            time.sleep(LOOK_S)
        if max(seen) > program.count:
            return f"{max(seen)} {program.kind} at one time, more than {program.count}"
        if program.name in EXACT_IN_THE_END and seen[-1] != program.count:
            return f"{seen[-1]} {program.kind} in the end, not {program.count}"
        if before.kinds[program.kind] < program.before:
            return f"{before.kinds[program.kind]} {program.kind} before, not {program.before}"
        others = Look(running.pid).kinds - before.kinds
        del others[program.kind], others["new"]
        if others.total() > 4:
            return f"more of other kinds, too: {others}"
        return "" if running.done > 0 and running.is_alive else "it did nothing"


def watch_near_limit(running: Running, before: Look) -> str:
    limits = Path(f"/proc/{running.pid}/limits").read_text()
    soft = int(next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3])
    in_use = len(before.links)
    if not 0.94 <= in_use / soft <= 0.96:
        return f"{in_use} of {soft}"
    running.wait_done(10)
    return "" if len(Look(running.pid).links) == in_use else "it grows"


def watch_emfile(running: Running, before: Look) -> str:
    if not until(lambda: len(Look(running.pid).links) == 48, 10):
        return f"{len(Look(running.pid).links)} descriptors, not the limit of 48"
    if not until(lambda: Look(running.pid).accept_queue >= 5, 10):
        return "nobody waits in the accept queue"
    forgotten = 48 - len(before.links)
    return "" if until(lambda: Look(running.pid).sockets(CLOSE_WAIT) >= forgotten - 2) else "no CLOSE_WAIT"


def watch_closes(running: Running, before: Look) -> str:
    # The program itself ends with an error when a close does not answer EBADF, or the victim was not hit.
    running.wait_done(23)
    left = Look(running.pid).kinds["file"] - before.kinds["file"]
    return "" if left == 0 else f"{left} files left open"


def watch_child(running: Running, before: Look) -> str:
    child = running.child_pid()
    opened = running.wait_done(23)
    files = sum("/spool" in link for link in Look(child).links)
    if files != opened:
        return f"{files} files in the child, not {opened}"
    return "" if Look(running.pid).kinds["file"] == before.kinds["file"] else "the parent leaks too"


def watch_duplicates(running: Running, before: Look) -> str:
    running.wait_done(23)
    (_, most) = Counter(link for link in Look(running.pid).links if link.startswith("socket:")).most_common(
        1
    )[0]
    return "" if most == 24 else f"{most} descriptors of one socket, not 24"


def watch_silent(running: Running, before: Look) -> str:
    if not until(lambda: Look(running.pid).sockets(ESTABLISHED) >= 23, 10):
        return f"{Look(running.pid).sockets(ESTABLISHED)} established"
    silent = {link for link in Look(running.pid).links if link.startswith("socket:")}
    time.sleep(2)  # the time that a patient server would have needed to show them out
    left = silent & set(Look(running.pid).links)
    return "" if len(left) - Look(running.pid).sockets(LISTEN) == 23 else f"{len(left)} of {len(silent)} stay"


SPECIAL: dict[str, Callable[[Running, Look], str]] = {
    "near-limit": watch_near_limit,
    "emfile": watch_emfile,
    "double-close": watch_closes,
    "close-others": watch_closes,
    "child-leak": watch_child,
    "dup-leak": watch_duplicates,
    "silent-clients": watch_silent,
    "silent-tls": watch_silent,
}


def chunks(programs: list[LabProgram]) -> list[list[LabProgram]]:
    """Return programs that run at the same time."""
    rounds = -(-len(programs) // AT_A_TIME)
    return [programs[number::rounds] for number in range(rounds)]


def name_of(chunk: list[LabProgram]) -> str:
    """Return a name for a test that stays when the catalog grows at its end."""
    return f"{chunk[0].name}-and-{len(chunk) - 1}"


def failures(programs: list[LabProgram], watch: Callable[[LabProgram], str]) -> dict[str, str]:
    """Watch programs at the same time and return what was wrong, by name."""
    build_all(program.name for program in programs)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        answers = zip(programs, pool.map(watch, programs), strict=True)
        return {program.name: wrong for program, wrong in answers if wrong}


@pytest.mark.parametrize(
    "chunk", chunks([program for program in PROGRAMS.values() if not program.is_healthy]), ids=name_of
)
def test_programs_with_a_fault_leak_exactly_what_was_planted(chunk: list[LabProgram]) -> None:
    assert failures(chunk, watch_leak) == {}


@pytest.mark.parametrize(
    "chunk", chunks([program for program in PROGRAMS.values() if program.is_healthy]), ids=name_of
)
def test_healthy_programs_stay_within_their_bounds(chunk: list[LabProgram]) -> None:
    assert failures(chunk, watch_healthy) == {}


def test_go_vet_has_nothing_to_say() -> None:
    said = subprocess.run(
        [find_go().path, "vet", "./..."],
        cwd=PROGRAMS_DIR,
        env={
            **os.environ,
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=readonly",
            "CGO_ENABLED": "0",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")
