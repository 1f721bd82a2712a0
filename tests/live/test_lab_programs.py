"""Every lab program does what its catalog entry says, seen with nothing but /proc.

The looks here share no code with leadline: descriptors are links below /proc/PID/fd, sockets are lines of /proc/PID/net.
Programs are light, so a dozen run at the same time.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadline.lab import PROGRAMS, PROGRAMS_DIR, LabProgram, Running, build_all, find_go, start, wants

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

EXACT_IN_THE_END = {
    "chat-server",
    "conn-cache",
    "http-keepalive",
    "idle-websockets",
    "idle-websockets-many",
    "slow-start",
    "sql-idle",
    "sql-pool-busy",
    "sse-reader",
    "sse-server",
    "websockets-arriving",
}

GONE_IN_THE_END = {"graceful-shutdown", "websockets-shutdown"}
"""Their connections are closed in the end, and the listener with them."""

MOST_OTHERS = 4
"""Descriptors of no interest that may come while a program works, such as a pidfd."""

ON_A_CPU = {"runnable-pile-up": 1}
"""Goroutines that a dump may not show, as they run on another thread at that moment."""


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


def cpu_ticks(pid: int) -> int:
    """Return how long a process has run on a CPU."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


def is_quiet(pid: int) -> bool:
    """Return whether a process leaves the CPU alone for a moment: what it was told to do is done."""
    before = cpu_ticks(pid)
    time.sleep(LOOK_S)
    return cpu_ticks(pid) == before


def stuck(name: str, dump: str) -> int:
    """Return how many goroutines of a dump are at a line that is marked ``parked``."""
    lines = [f"/{want.file}:{want.line}" for want in wants(name) if want.role == "parked"]
    guilty = re.compile("|".join(rf"{re.escape(line)}\b" for line in lines))
    blocks = re.findall(r"^goroutine \d+ .*?(?=^created by|\Z|^$)", dump, re.MULTILINE | re.DOTALL)
    return sum(guilty.search(block) is not None for block in blocks)


def watch_leak(program: LabProgram) -> str:
    """Run a program with a fault and return what is not as planted, "" when all is."""
    with start(program.name, OWN_PACE.get(program.name, FAST), hold=True) as running:
        before = Look(running.pid)
        running.go()
        special = SPECIAL.get(program.name, watch_growth)
        if wrong := special(running, before):
            return wrong
        if program.goroutines:
            until(lambda: is_quiet(running.pid))
            count = stuck(program.name, running.dump())
            if not program.goroutines - ON_A_CPU.get(program.name, 0) <= count <= program.goroutines:
                return f"{count} goroutines are stuck, not {program.goroutines}"
        return ""


def watch_growth(running: Running, before: Look) -> str:
    program = running.program
    running.wait_done(None if program.goroutines else program.count, deadline_s=40)
    if program.kind is None:
        more = Look(running.pid).kinds - before.kinds
        return "" if more.total() <= MOST_OTHERS else f"descriptors grow: {more}"
    most = KEPT_ALIVE.get(program.name, 0)
    assert program.count is not None
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
    with start(program.name, hold=True) as running:
        before = Look(running.pid)
        running.go()
        looks = []
        end = time.monotonic() + WATCH_S
        while time.monotonic() < end:
            looks.append(Look(running.pid))
            time.sleep(LOOK_S)
        if until(lambda: is_built_up(running, before), 15):
            looks.append(Look(running.pid))
        others = looks[-1].kinds - before.kinds
        if program.kind is not None:
            if wrong := compare_kind(program, before, looks):
                return wrong
            del others[program.kind]
        del others["new"]
        if others.total() > MOST_OTHERS:
            return f"more of other kinds, too: {others}"
        return "" if running.done > 0 and running.is_alive else "it did nothing"


def is_built_up(running: Running, before: Look) -> bool:
    """Return whether a healthy program has what it should have in the end: on a busy machine that may come late."""
    program = running.program
    if program.kind is None or program.count is None:
        return True
    if program.name in GONE_IN_THE_END:
        return Look(running.pid).kinds[program.kind] == 0
    return program.name not in EXACT_IN_THE_END or grown(running.pid, program.kind, before) == program.count


def compare_kind(program: LabProgram, before: Look, looks: list[Look]) -> str:
    """Return what differs from the catalog in the kind of descriptor that a healthy program is about."""
    assert program.kind is not None
    assert program.count is not None
    kind = program.kind
    seen = [look.kinds[kind] - before.kinds[kind] for look in looks]
    if max(seen) > program.count:
        return f"{max(seen)} {kind} at one time, more than {program.count}"
    if program.name in EXACT_IN_THE_END and seen[-1] != program.count:
        return f"{seen[-1]} {kind} in the end, not {program.count}"
    if before.kinds[kind] < program.before:
        return f"{before.kinds[kind]} {kind} before, not {program.before}"
    if program.name in GONE_IN_THE_END and looks[-1].kinds[kind]:
        return f"{looks[-1].kinds[kind]} {kind} are left"
    return ""


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


def watch_shutdown(running: Running, before: Look) -> str:
    if before.sockets(ESTABLISHED) != 23 or before.sockets(LISTEN) != 1:
        return f"{before.kinds['tcp']} sockets before"
    if not until(lambda: Look(running.pid).sockets(LISTEN) == 0):
        return "it still listens"
    left = Look(running.pid).sockets(ESTABLISHED)
    return "" if left == 23 else f"{left} connections are left, not 23"


def watch_threads(running: Running, before: Look) -> str:
    running.wait_done(deadline_s=40)
    tasks = Path(f"/proc/{running.pid}/task")

    def pinned() -> int:
        calls = [task.joinpath("syscall").read_text().split() for task in tasks.iterdir()]
        return sum(words[0] == "0" and int(words[1], 16) > 2 for words in calls)

    wanted = running.program.goroutines if running.program.kind is None else running.program.count
    return "" if until(lambda: pinned() == wanted) else f"{pinned()} threads in read, not {wanted}"


def watch_blocking(running: Running, before: Look) -> str:
    return watch_growth(running, before) or watch_threads(running, before)


SPECIAL: dict[str, Callable[[Running, Look], str]] = {
    "near-limit": watch_near_limit,
    "emfile": watch_emfile,
    "double-close": watch_closes,
    "close-others": watch_closes,
    "child-leak": watch_child,
    "dup-leak": watch_duplicates,
    "silent-clients": watch_silent,
    "mute-clients": watch_silent,
    "dripping-clients": watch_silent,
    "hijacked-after-shutdown": watch_shutdown,
    "hijacked-pumps": watch_shutdown,
    "pinned-threads": watch_threads,
    "blocking-mode": watch_blocking,
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
