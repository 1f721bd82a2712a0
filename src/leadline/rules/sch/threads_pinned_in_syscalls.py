"""Goroutines block threads in system calls (SCH102, threads-pinned-in-syscalls).

What it finds: a place where many goroutines are in the same blocking system call, or in C code, all the time, each with an
operating system thread of its own.

Why it matters: a goroutine that waits in Go's network poller costs kilobytes; one that waits in the kernel keeps a whole thread.
At 10,000 threads the process is ended by Go (debug.SetMaxThreads), earlier by a limit on processes (pids.max, ulimit -u).
A close does not wake them, and deadlines do not work.

Needs: the goroutines, at two looks. Helps: stacks, the thread's system call and its descriptor.

How it decides: at least 20 goroutines on one stack that have been in a system call or in C code for 2 s or more, by looks in
between, without having run. Low; medium from 50, high from 1,000. Calls that end soon are not counted, however
many are in one at a look. A few goroutines that wait so by design (os/signal, exec.Wait) stay below the number.

When it is wrong: from Go 1.27 on nothing tells whether a goroutine has left its call between two looks, so that nothing is found
there. A fixed small number of such threads may be all that there will ever be.

What to do: let Go's poller wait: open devices and pipes with os.OpenFile or os.NewFile in non-blocking mode, do not call
File.Fd(), which switches to blocking mode (use SyscallConn instead). Where the call
must block (cgo, flock, disks that hang), bound the number at the same time with a semaphore.

References: os File.Fd, SyscallConn; runtime/debug SetMaxThreads; runtime/proc.go (entersyscall, retake).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.evidence.kinds import Goroutine, GoRuntime, Stack
from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Verdict, format_duration
from leadline.rules.goroutines import Book, Group, say_goroutines
from leadline.rules.table import place

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "SCH102", "threads-pinned-in-syscalls", since="0.1.0", stage=Stage.PREVIEW, severity=Severity.HIGH
)
MIN_COUNT = 20
MEDIUM_COUNT = 50
HIGH_COUNT = 1000
"""A tenth of the 10,000 threads at which Go ends the process (runtime/debug SetMaxThreads)."""
_STATE = "syscall"
_CONFIDENCE = 0.9
_CGO = ("runtime.cgocall", "runtime.asmcgocall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Goroutines at two looks; stacks name the places."""

    runtimes: tuple[GoRuntime, ...]
    goroutines: tuple[Goroutine, ...]
    stacks: tuple[Stack, ...] | None = None


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a finding for each place that pins many threads; else Cleared, or NotJudged after one look."""
    book = Book.of(seen.runtimes, seen.goroutines, seen.stacks)
    findings: list[Verdict] = []
    inside, untold = 0, 0
    for group in book.groups():
        if group.state != _STATE:
            continue
        inside += group.count
        apart_ns = book.apart_ns(group.pid)
        if apart_ns is None and group.count >= MIN_COUNT:
            untold += group.count
        elif group.still >= MIN_COUNT:
            findings.append(_finding(book, group))
    if findings:
        return findings
    if untold:
        return [
            NotJudged(
                code=INFO.code,
                name=INFO.name,
                missing=f"whether {untold} goroutines stay in their system calls: there was one look only",
                remedy="trace for some seconds, for example `leadline trace TARGET -d 15s`",
                count=untold,
            )
        ]
    return [
        Cleared(
            code=INFO.code,
            name=INFO.name,
            subject="threads in system calls",
            reason=f"{say_goroutines(inside)} in a system call; not many at one place stay there",
            pattern="none",
            count=inside,
        )
    ]


RULE = Rule(INFO, Needs, judge)


def _finding(book: Book, group: Group) -> Finding:
    count = group.still
    calls = Counter(one.syscall for one in group.members if one.syscall)
    is_native = any(name in _CGO for name in group.functions)
    call = calls.most_common(1)[0][0] if calls and not is_native else None
    doing = "C code" if is_native else f"{call}(2)" if call else "a system call"
    where = f" at {place(group.sites[0])}" if group.sites else ""
    fds = sorted({one.syscall_fd for one in group.members if one.syscall_fd is not None})
    about = (
        f" The calls are about {len(fds)} descriptors ({', '.join(map(str, fds[:5]))} ...)." if fds else ""
    )
    severity = Severity.LOW
    if count >= MEDIUM_COUNT:
        severity = Severity.HIGH if count >= HIGH_COUNT else Severity.MEDIUM
    longest_ns = max(one.still_ns or 0 for one in group.members)
    runtime = next(one for one in book.runtimes if one.pid == group.pid)
    threads = f" The runtime has made {runtime.threads} threads." if runtime.threads else ""
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=severity,
        confidence=_CONFIDENCE,
        layer=Layer.SYSCALL,
        title=f"{count} goroutines block a thread each in {doing}{where}",
        explanation=(
            "Go's network poller does not know of these waits: each keeps an operating system thread until the kernel answers."
            " Deadlines and Close do not end them."
        ),
        remedy=(
            "Bound how many may be in this call at the same time (a semaphore), or make the C code return."
            if is_native
            else "Let Go's poller wait: open it in non-blocking mode (os.OpenFile, os.NewFile after SetNonblock), and use"
            " SyscallConn instead of Fd. Where the call must block, bound how many do so at the same time."
        ),
        verify="`leadline goroutines TARGET --group` again: few goroutines may be in state syscall at this place.",
        count=count,
        sites=group.sites,
        because=(
            Because(
                evidence=group.evidence,
                layer=Layer.RUNTIME,
                says=(
                    f"{count} goroutines have been in {doing}{where} for 2 s or more, up to"
                    f" {format_duration(longest_ns)} that were seen.{about}{threads}"
                ),
            ),
        ),
        related=("FDL403",),
        pid=group.pid,
    )
