"""Every birth and death that Linux has, against the kernel's own table: nothing stale, nothing unknown but what is said.

``surface_program.py`` makes and closes descriptors in prime counts in every way; here the counts are compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leadline.contracts.bpf import Rows
from leadline.evidence.kinds import DescriptorKind
from leadline.host.bpf import LiveBpf
from leadline.model import TargetGone
from leadline.probes.trace_descriptors.reconcile import Seen
from leadline.probes.trace_descriptors.surface import THREAD_OWNER, kind_of, lifetime_bounds_ns, syscall_name
from leadline.probes.trace_descriptors.tracker import Tracker

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 20.0


class Program:
    """A Python program under test: it says ``ready``, acts when told, answers one JSON line per command."""

    def __init__(self, *arguments: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self.process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        assert self.read() == "ready"

    @property
    def pid(self) -> int:
        return self.process.pid

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, word: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def ask(self, word: str = "") -> Any:
        self.say(word)
        return json.loads(self.read())

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)


@contextmanager
def program(body: str) -> Iterator[Program]:
    """Run a body that may use ``tell(value)`` and ``wait()``; all its modules are imported before it says ready."""
    head = """
        import ctypes, json, os, select, socket, subprocess, sys, threading, time
        libc = ctypes.CDLL(None, use_errno=True)
        def tell(value): print(json.dumps(value), flush=True)
        def wait(): return sys.stdin.readline().strip()
        print("ready", flush=True)
        wait()
    """
    started = Program("-c", textwrap.dedent(head) + textwrap.dedent(body))
    try:
        yield started
    finally:
        started.end()


@contextmanager
def tracked(pid: int, *, follow: bool = False) -> Iterator[Tracker]:
    with Tracker(LiveBpf()) as tracker:
        tracker.start([pid], follow=follow)
        yield tracker


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most until the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "the condition did not come about"
        time.sleep(0.005)


def by_call(sites: Rows, column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for site in sites:
        counts[syscall_name(int(site["nr"]))] += int(site[column])
    return counts


def proc_table(pid: int) -> set[int]:
    return {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}


def test_every_way_to_make_and_close_is_counted_exactly() -> None:
    surface = Program(str(ROOT / "tests" / "live" / "surface_program.py"))
    try:
        with tracked(surface.pid) as tracker:
            told = surface.ask()
            sites = tracker.sites()
            made = {call: len(fds) for call, fds in told["made"].items()}
            gone = Counter(told["closed"])
            unseen = Counter(told["closed_unseen"])
            assert by_call(sites, "births") == Counter(made) + gone + unseen
            assert +by_call(sites, "deaths") == gone
            assert {
                name: count for name, count in tracker.counters().items() if count and "count" not in name
            } == {}

            before = tracker.alive()
            call_of = {int(life["fd"]): syscall_name(int(life["nr"])) for life in before}
            for call, fds in told["made"].items():
                assert {call_of[fd] for fd in fds} == {call}

            found = tracker.reconcile(surface.pid)
            assert len(found.stale) == unseen.total()
            assert set(found.unknown) == set(told["unseen"])
            assert set(found.rows["fd"].tolist()) == proc_table(surface.pid)
            assert set(tracker.alive()["fd"].tolist()) == {fd for fds in told["made"].values() for fd in fds}
            assert tracker.reconcile(surface.pid).stale == ()
            assert int(tracker.sites()["stale"].sum()) == unseen.total()

            kinds = Counter(kind_of(int(row["kind"])) for row in found.rows if row["origin"] == Seen.TRACED)
            assert kinds[DescriptorKind.TCP] == 2 + 1 + 9 + 9
            assert kinds[DescriptorKind.UDP] == 3
            assert kinds[DescriptorKind.EVENTPOLL] == 5
            assert kinds[DescriptorKind.PIDFD] == 5 + made.get("clone", 0) + made.get("clone3", 0)
            assert kinds[DescriptorKind.SIGNALFD] == made.get("signalfd", 0) + 3

            (failure,) = tracker.failures()
            assert (failure["error"], failure["count"], failure["flags"]) == (9, 17, 0)
            assert set(failure["fds"].tolist()) == {1000}
    finally:
        surface.end()


def test_lifetimes_are_in_the_bucket_of_their_length() -> None:
    body = """
        first = os.open("/dev/null", 0)
        time.sleep(0.05)
        os.close(first)
        tell(None)
        wait()
    """
    with program(body) as target, tracked(target.pid) as tracker:
        target.ask()
        (site,) = tracker.sites()
        (bucket,) = site["lifetimes"].nonzero()[0]
        lower_ns, upper_ns = lifetime_bounds_ns(int(bucket))
        assert lower_ns <= 5 * upper_ns // 4
        assert upper_ns > 50_000_000
        assert lower_ns < 5_000_000_000
        assert site["births"] == site["deaths"] == 1


def test_exec_closes_what_is_marked_and_starts_a_new_image() -> None:
    body = """
        kept = [os.open("/dev/null", 0) for _ in range(3)]
        for fd in kept:
            os.set_inheritable(fd, True)
        marked = [os.open("/dev/null", 0) for _ in range(7)]
        os.execv(sys.executable, [sys.executable, "-c", "print('[]', flush=True); input()"])
    """
    with program(body) as target, tracked(target.pid) as tracker:
        target.ask()
        found = tracker.reconcile(target.pid)
        openat = [site for site in tracker.sites() if site["image"] == 0 and site["kind"] == 4]
        assert sum(int(site["births"]) for site in openat) == 10
        assert sum(int(site["deaths"]) for site in openat) == 7
        assert found.stale == found.unknown == ()
        assert set(found.rows["fd"].tolist()) == proc_table(target.pid)
        assert (found.rows["origin"] == Seen.TRACED).sum() == 3
        (process,) = tracker.processes()
        assert (process["image"], process["ended_ns"]) == (1, 0)


def test_children_are_followed_with_what_they_inherit_and_what_they_leave_open() -> None:
    body = """
        mine = [os.pipe() for _ in range(5)]
        child = os.fork()
        if child == 0:
            opened = [os.open("/dev/null", 0) for _ in range(13)]
            for fd in opened[:2]:
                os.close(fd)
            os.close(mine[0][0])
            tell(os.getpid())
            wait()
            os._exit(7)
        os.waitpid(child, 0)
        tell(None)
        wait()
    """
    with program(body) as target, tracked(target.pid, follow=True) as tracker:
        child = target.ask()
        found = tracker.reconcile(child)
        origins = Counter(found.rows["origin"].tolist())
        assert origins == {Seen.TRACED: 11, Seen.INHERITED: 3 + 10 - 1}
        assert set(found.rows["fd"].tolist()) == proc_table(child)
        target.ask()
        assert tracker.harvest() == 1
        ended = tracker.ended()
        assert Counter(ended["tgid"].tolist()) == {child: 11}
        by_pid = {int(row["tgid"]): row for row in tracker.processes()}
        assert by_pid[child]["open_at_exit"] == 3 + 10 - 1 + 11
        assert by_pid[child]["exit_code"] == 7 << 8
        assert by_pid[child]["parent"] == target.pid
        sites = tracker.sites()
        theirs = sites[sites["tgid"] == child]
        assert (theirs["births"].sum(), theirs["deaths"].sum()) == (13, 2)
        assert not (tracker.alive()["tgid"] == child).any()
        with pytest.raises(TargetGone):
            tracker.table(child)


def test_without_follow_children_are_none_of_our_business() -> None:
    body = """
        subprocess.run([sys.executable, "-c", "open('/dev/null')"])
        tell(None)
        wait()
    """
    with program(body) as target, tracked(target.pid) as tracker:
        target.ask()
        assert set(tracker.sites()["tgid"].tolist()) == {target.pid}
        assert len(tracker.processes()) == 1


def test_threads_that_race_leave_no_wrong_belief() -> None:
    body = """
        def churn(rounds):
            for _ in range(rounds):
                fds = [os.open("/dev/null", 0), *os.pipe()]
                for fd in fds:
                    os.close(fd)
        threads = [threading.Thread(target=churn, args=(701,)) for _ in range(5)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        kept = [os.open("/dev/null", 0) for _ in range(11)]
        tell(None)
        wait()
    """
    with program(body) as target, tracked(target.pid) as tracker:
        target.say()
        until(lambda: int(tracker.sites()["births"].sum()) > 1000)
        tracker.reconcile(target.pid)  # in the thick of it
        target.read()
        births, deaths = (int(tracker.sites()[column].sum()) for column in ("births", "deaths"))
        assert (births, deaths) == (5 * 701 * 3 + 11, 5 * 701 * 3)
        found = tracker.reconcile(target.pid)
        assert found.stale == found.unknown == ()
        assert tracker.stale_dropped == 0
        assert len(tracker.alive()) == 11


def test_a_close_that_hit_somebody_else_is_told_with_its_culprit() -> None:
    body = """
        number = os.open("/dev/null", 0)
        turn = [threading.Event() for _ in range(3)]
        def owner():
            turn[0].wait()
            mine = os.open("/dev/zero", 0)
            turn[1].set()
            turn[2].wait()
            libc.close(mine)
        thread = threading.Thread(target=owner)
        thread.start()
        os.close(number)
        turn[0].set()
        turn[1].wait()
        libc.close(number)
        turn[2].set()
        thread.join()
        libc.close(number)
        tell(number)
        wait()
    """
    with program(body) as target, tracked(target.pid) as tracker:
        number = target.ask()
        bits = tracker.failed_flags
        failures = {int(row["flags"]): row for row in tracker.failures()}
        hit = (
            bits["FAILED_KNOWN"]
            | bits["FAILED_BORN"]
            | bits["FAILED_CALLER_OWNED"]
            | bits["FAILED_CLOSER_REPEATED"]
        )
        again = (
            bits["FAILED_KNOWN"]
            | bits["FAILED_BORN"]
            | bits["FAILED_CALLER_CLOSED"]
            | bits["FAILED_CLOSER_REPEATED"]
        )
        assert set(failures) == {hit, again}
        row = failures[hit]
        assert (row["count"], row["error"], row["fds"][0]) == (1, 9, number)
        assert tracker.stack_ips(int(row["culprit_stack"]))
        victim = [site for site in tracker.sites() if site["id"] == row["victim_site"]]
        assert [int(site["deaths_foreign"]) for site in victim] == [1]


def test_refusals_are_counted_by_call_and_error() -> None:
    body = """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        refused = 0
        held = []
        while refused < 19:
            try:
                held.append(os.dup(0))
            except OSError:
                refused += 1
        for _ in range(23):
            libc.socket(1, 1, 0)
        tell(len(held))
        wait()
    """
    with program(body) as target, tracked(target.pid) as tracker:
        target.ask()
        counts = {
            (syscall_name(int(row["nr"])), int(row["error"])): int(row["count"]) for row in tracker.refusals()
        }
        assert counts == {("fcntl", 24): 19, ("socket", 24): 23}


def test_what_was_open_before_is_told_from_what_came_after() -> None:
    body = """
        after = [os.open("/dev/null", 0) for _ in range(3)]
        tell(None)
        wait()
    """
    with program(body) as target, tracked(target.pid) as tracker:
        target.ask()
        origins = Counter(tracker.reconcile(target.pid).rows["origin"].tolist())
        assert origins == {Seen.BEFORE: 3, Seen.TRACED: 3}
        lives = tracker.alive()
        assert set(lives["owner"].tolist()) == {THREAD_OWNER | target.pid}


def test_a_process_whose_first_thread_has_ended_is_read_by_another() -> None:
    body = """
        def work():
            wait()
            held = [os.open("/dev/null", 0) for _ in range(13)]
            tell(None)
            wait()
        for name in ("one", "two"):
            threading.Thread(target=work if name == "one" else lambda: time.sleep(60), daemon=True).start()
        libc.pthread_exit(None)
    """
    with program(body) as target, tracked(target.pid) as tracker:
        target.say()
        target.ask()
        found = tracker.reconcile(target.pid)
        assert Counter(found.rows["origin"].tolist()) == {Seen.BEFORE: 3, Seen.TRACED: 13}
        assert not found.stale


def test_a_target_that_is_gone_is_named_as_gone() -> None:
    with program("pass") as target:
        target.say()
        target.process.wait(DEADLINE_S)
        with pytest.raises(TargetGone), Tracker(LiveBpf()) as tracker:
            tracker.start([target.pid])


def test_a_target_killed_while_traced_leaves_its_table() -> None:
    body = """
        held = [os.open("/dev/null", 0) for _ in range(17)]
        tell(None)
        wait()
    """
    with program(body) as target, tracked(target.pid) as tracker:
        target.ask()
        target.process.kill()
        target.process.wait(DEADLINE_S)
        until(lambda: bool(tracker.processes()["ended_ns"][0]))
        assert len(tracker.ended()) == 17
        assert tracker.processes()["exit_code"][0] == 9
        with pytest.raises(TargetGone):
            tracker.reconcile(target.pid)


OURS = {
    "prog": {"on_sys_enter", "on_sys_exit", "on_exec", "on_exit", "on_fork", "on_join", "on_table"},
    "map": {
        "processes",
        "fds",
        "sites",
        "stacks",
        "failures",
        "refusals",
        "callers",
        "counters",
        "scratches",
        "aims",
    },
}


def held(what: str) -> set[int]:
    """Return the ids of BPF programs or maps that some process holds by a descriptor."""
    found: set[int] = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if not str(link.readlink()).startswith("anon_inode:bpf"):
                continue
            lines = (link.parents[1] / "fdinfo" / link.name).read_text().splitlines()
        except OSError:
            continue  # closed, or ended
        found.update(int(line.split()[1]) for line in lines if line.startswith(f"{what}_id:"))
    return found


def orphans() -> list[str]:
    """Return our programs and maps in the kernel that no process holds."""
    found = []
    for what, names in OURS.items():
        done = subprocess.run(
            ["/usr/sbin/bpftool", "-j", what, "show"], capture_output=True, text=True, check=True, timeout=30
        )
        ours = {entry["id"]: entry["name"] for entry in json.loads(done.stdout) if entry.get("name") in names}
        in_use = held(what) if ours else set()
        found += [f"{what} {name} {number}" for number, name in ours.items() if number not in in_use]
    return found


def test_a_tracer_killed_at_any_moment_leaves_nothing_behind() -> None:
    if not Path("/usr/sbin/bpftool").exists():
        pytest.skip("bpftool is not installed; remedy: apt-get install bpftool")
    body = """
        while True:
            os.close(os.open("/dev/null", 0))
    """
    with program(body) as target:
        target.say()
        tracer = textwrap.dedent(f"""
            from leadline.host.bpf import LiveBpf
            from leadline.probes.trace_descriptors.tracker import Tracker
            print("ready", flush=True)
            with Tracker(LiveBpf()) as tracker:
                tracker.start([{target.pid}], follow=True)
                while True:
                    tracker.sites(), tracker.alive(), tracker.table({target.pid})
        """)
        for delay_ms in (1, 7, 29, 53, 97, 151, 307):
            victim = Program("-c", tracer)
            time.sleep(delay_ms / 1000)
            victim.end()
            until(lambda: not orphans())
        assert target.process.poll() is None


def test_without_rights_it_says_which_are_missing() -> None:
    script = textwrap.dedent("""
        import os
        from leadline.host.bpf import LiveBpf
        from leadline.model import NotPermitted
        from leadline.probes.trace_descriptors.tracker import Tracker
        try:
            with Tracker(LiveBpf()) as tracker:
                tracker.start([os.getppid()])
        except NotPermitted as error:
            print(error.errno_raw, error.remedy)
    """)
    done = subprocess.run(
        ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.stdout.split()[0] in ("1", "13")
    assert "CAP_BPF" in done.stdout
    assert done.stderr == ""
