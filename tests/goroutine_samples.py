"""Evidence of a small Go program, as a look at its memory gives it, for tests of what is shown of goroutines."""

from __future__ import annotations

from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Connection,
    Descriptor,
    DescriptorKind,
    DescriptorUse,
    Goroutine,
    GoRuntime,
    Origin,
    ProcessInfo,
    SocketState,
    Stack,
)
from leadline.model import Gap, GapReason, SiteFrame

__all__ = ["NOW", "READERS", "S", "sample_goroutines"]

S = 10**9
NOW = 5_000 * S
PID = 4711
READERS = 23


def std(function: str, file: str, line: int) -> SiteFrame:
    return SiteFrame(function=function, file=f"/usr/local/go/src/{file}", line=line, role="std")


def app(function: str, line: int) -> SiteFrame:
    return SiteFrame(function=function, file="/src/api/server.go", line=line, role="app")


def sample_goroutines() -> Evidence:
    """Return 23 readers of connections, a leaked sender, one on a CPU, one in a system call."""
    evidence = Evidence()
    evidence.put(
        ProcessInfo(pid=PID, start_boot_ns=0, comm="api", exe="/usr/bin/api", main_module="example.com/api")
    )
    evidence.put(
        GoRuntime(
            pid=PID, source="memory", go_version="go1.27.3", first_mono_ns=NOW - 5 * S, last_mono_ns=NOW, passes=2,
            goroutines=READERS + 4, first_goroutines=READERS + 1, system_goroutines=5, running=1, unstable=1, gomaxprocs=4,
            threads=9,
        )
    )  # fmt: skip
    poll = (
        std("internal/poll.runtime_pollWait", "runtime/netpoll.go", 351),
        std("net.(*conn).Read", "net/net.go", 194),
    )
    for record in (
        Stack(id=1, pid=PID, frames=(*poll, app("main.(*session).read", 42), app("main.(*session).run", 20))),
        Stack(id=2, pid=PID, frames=(app("main.(*queue).put", 77),)),
        Stack(
            id=3, pid=PID, frames=(std("syscall.Read", "syscall/syscall_unix.go", 180), app("main.tail", 90))
        ),
        Stack(id=4, pid=PID, frames=tuple(app("main.walk", 11) for _ in range(60)), truncated=True),
    ):
        evidence.put(record)
    started = app("main.serve", 12)
    for number in range(READERS):
        evidence.put(
            Goroutine(
                pid=PID, goid=100 + number, state="IO wait", stack=1, created_by=started, parent_goid=1,
                waited_ns=(60 + number) * 60 * S if number < 20 else None, moved=number >= 20,
                labels={"tenant": f"t{number % 2}"},
            )
        )  # fmt: skip
    evidence.put(
        Goroutine(
            pid=PID, goid=7, state="chan send", stack=2, created_by=started, is_leaked=True, moved=False
        )
    )
    evidence.put(Goroutine(pid=PID, goid=8, state="running", tid=99, is_new=True))
    evidence.put(
        Goroutine(
            pid=PID,
            goid=9,
            state="syscall",
            stack=3,
            tid=98,
            is_locked=True,
            syscall="read",
            syscall_fd=5,
            moved=False,
        )
    )
    evidence.put(Goroutine(pid=PID, goid=10, state="runnable", stack=4, is_stable=False, moved=True))
    for number in range(READERS):
        evidence.put(
            DescriptorUse(
                pid=PID, fd=20 + number, is_polled=True, reader_goid=100 + number,
                read_deadline_mono_ns=0 if number else NOW + 12 * S, write_deadline_mono_ns=0,
            )
        )  # fmt: skip
        evidence.put(
            Descriptor(
                pid=PID,
                fd=20 + number,
                kind=DescriptorKind.TCP,
                origin=Origin.BEFORE,
                inode=900 + number,
                seen_since_mono_ns=0,
            )
        )
        evidence.put(
            SocketState(
                inode=900 + number, protocol="tcp", family="inet", state="ESTABLISHED", laddr="10.0.0.1", lport=8080,
                raddr="10.0.0.9", rport=40_000 + number,
            )
        )  # fmt: skip
    evidence.put(DescriptorUse(pid=PID, fd=5, is_polled=False, syscall_goids=(9,)))
    evidence.put(
        Descriptor(
            pid=PID,
            fd=5,
            kind=DescriptorKind.PIPE,
            origin=Origin.BEFORE,
            inode=77,
            name="pipe:[77]",
            seen_since_mono_ns=0,
        )
    )
    evidence.put(DescriptorUse(pid=PID, fd=60, is_polled=True, read_deadline_mono_ns=-1, is_closing=True))
    evidence.put(
        Connection(
            pid=PID, fd=20, role="server", protocol="http/1.1", activity="handler", host="shop.example"
        )
    )
    evidence.put(
        Gap(
            what="labels of 3 goroutines",
            reason=GapReason.MALFORMED,
            detail="torn",
            remedy="look again",
            probe="snapshot_runtime",
        )
    )
    return evidence
