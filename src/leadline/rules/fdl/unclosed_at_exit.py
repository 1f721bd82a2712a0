"""Descriptors were still open when the process ended (FDL120, unclosed-at-exit).

What it finds: places whose descriptors nobody had closed when the process came to its end by itself. It is how
`leadline exec` judges short runs, such as tests, in which a leak has no time to show as growth.

Why it matters: the kernel closes everything at exit, so a short run never fails. The same line in a service that runs
for months leaks one descriptor each time it is passed.

Needs: the window of a command that ended (`leadline exec`), births with stacks, and the table in the moment before the
exit.

How it decides: a place that left at least 7 descriptors open and closed at most a quarter as many is a finding of
severity medium: what is opened once and kept is opened once, not 7 times. For connections of an HTTP client the number
is 12, since a pool may keep some. Fewer of the program's own are listed as info, which fails a run only with
`--strict`, and so are those of a place that has no name. Of a pipe or a pair of sockets one end may be closed without
excusing the other. Left out are descriptors of the runtime (its epoll instance, its eventfd) and of the Go toolchain's own
programs, inherited ones, and places that another rule already calls leaking.

When it is wrong: a program that opens a fixed set of files at its start and leaves the closing to the exit. That is
sound, and looks the same; a tool that runs once may be exempted with `--exit-zero`.

What to do: close what was opened, in tests too: `defer file.Close()`, `t.Cleanup`, `defer resp.Body.Close()`, and
`client.CloseIdleConnections()` at the end of a test that has a client of its own.

References: Linux kernel/exit.c (do_exit, exit_files); Go testing.T.Cleanup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.model import Because, Cleared, Finding, Layer, NotJudged, Severity, Verdict
from leadline.rules.fdl.leaks import LeakNeeds, assess_birthplace
from leadline.rules.fdl.suspects import is_pooled, living_of
from leadline.rules.fdl.words import advice, things
from leadline.rules.survival import Shape
from leadline.rules.table import Table, place, sites_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leadline.evidence.kinds import Birthplace

__all__ = ["INFO", "MIN_POOLED", "MIN_REPEATED", "RULE", "Needs", "judge"]

INFO = RuleInfo("FDL120", "unclosed-at-exit", since="0.1.0", stage=Stage.STABLE, severity=Severity.MEDIUM)
MIN_REPEATED = 7
"""Descriptors of one place: more than a program opens once and keeps by one line in its setup, less than any planted leak."""
MIN_POOLED = 12
"""For connections of an HTTP client, of which a pool keeps 2 per host by default."""
MAX_CLOSED = 4
"""At most one was closed for each so many that were not: an error path may close, a cache that evicts closes more."""
MAX_LISTED = 16
ENDED = "command-ended"
TOOLCHAIN = "cmd/"
"""Main packages of the Go toolchain: `go test` runs compilers and linkers, which are not the user's to mend."""
_OWN = ("app", "module", "native", "std")
_RUNTIMES_OWN = frozenset({"runtime.netpollinit", "runtime.netpollGenericInit"})
"""The Go runtime opens its epoll instance and eventfd below the first call that needs them, whosever that is."""
_PAIRS = frozenset({"pipe", "pipe2", "socketpair"})
_VERIFY = "Run the same command again under `leadline exec`: this place must be gone from the report."


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(LeakNeeds):
    """Births, deaths and the table in the moment before the exit."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a verdict for each place whose descriptors were open at exit."""
    if seen.window[-1].ended_by != ENDED:
        return [_nothing("the process was not run by `leadline exec` to its own end")]
    if seen.window[-1].mode != "bpf":
        missing = "what was open in the moment before the exit"
        return [
            NotJudged(
                code=INFO.code,
                name=INFO.name,
                missing=missing,
                remedy="run as root, so that exits are traced",
            )
        ]
    table = seen.table()
    left = [one for one in table.birthplaces if _is_left_open(table, one)]
    repeated = [one for one in left if _is_repeated(table, one)]
    verdicts: list[Verdict] = [_finding(table, one) for one in repeated]
    rest = [one for one in left if one not in repeated]
    if rest:
        verdicts.append(_listing(table, rest))
    return verdicts or [_nothing("every descriptor that the program acquired was closed before its exit")]


def _is_left_open(table: Table, birthplace: Birthplace) -> bool:
    process = table.processes.get(birthplace.pid)
    if process is not None and (process.main_package or "").startswith(TOOLCHAIN):
        return False
    site = birthplace.site
    if not _count(table, birthplace) or (site is not None and site.role not in _OWN):
        return False
    if _RUNTIMES_OWN & set(table.functions(birthplace)):
        return False
    frames = table.frames(birthplace.stack)
    if frames and all(frame.role == "runtime" for frame in frames):
        return False  # what the runtime reads at its start, such as the CPU quota
    if site is not None and site.role == "std" and not _is_repeated(table, birthplace):
        return False  # the library's own, such as a resolver's socket
    return assess_birthplace(table, birthplace).assessment.shape is not Shape.LEAKING


def _count(table: Table, birthplace: Birthplace) -> int:
    return sum(descriptor.at_exit for descriptor in table.living.get(birthplace.id, []))


def _is_repeated(table: Table, birthplace: Birthplace) -> bool:
    if birthplace.site is None:
        return False  # nobody could be told which line to mend
    pooled = birthplace.role == "dialed" and is_pooled(table.functions(birthplace))
    count = _count(table, birthplace)
    # Of a pair one end is often closed at once, on purpose; what matters is whether the other ever is.
    closed = (
        max(birthplace.deaths - birthplace.births // 2, 0) if _makes_pairs(birthplace) else birthplace.deaths
    )
    return count >= (MIN_POOLED if pooled else MIN_REPEATED) and closed * MAX_CLOSED <= count


def _makes_pairs(birthplace: Birthplace) -> bool:
    return birthplace.syscall in _PAIRS


def _finding(table: Table, birthplace: Birthplace) -> Finding:
    count = _count(table, birthplace)
    process = table.processes.get(birthplace.pid)
    is_go = process is None or process.go_version is not None
    what = advice(birthplace, table.functions(birthplace), living_of(table, birthplace), is_go=is_go)
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.MEDIUM,
        confidence=0.8,
        layer=Layer.SYSCALL,
        title=f"{_subject(table, birthplace)} were not closed before the process ended",
        explanation=what.mechanism,
        remedy=what.remedy,
        verify=_VERIFY,
        kind=birthplace.kind.report_word,
        count=count,
        sites=sites_of(table, birthplace),
        because=(_counts(table, birthplace),),
        against=(
            Because(
                evidence=f"birthplace:{birthplace.id}",
                layer=Layer.SYSCALL,
                says="A fixed set that is kept until the exit on purpose looks the same.",
            ),
        ),
        related=("FDL101", "FDL103"),
        pid=birthplace.pid,
    )


def _listing(table: Table, birthplaces: list[Birthplace]) -> Finding:
    """Return one entry for all places; the same place in several processes counts once."""
    count = sum(_count(table, one) for one in birthplaces)
    first: dict[tuple[str, str], Birthplace] = {}
    for one in birthplaces:
        first.setdefault((one.kind.value, place(one.site)), one)
    shown = list(first.values())[:MAX_LISTED]
    what = "descriptor" if count == 1 else "descriptors"
    places = "1 place" if len(first) == 1 else f"{len(first)} places"
    return Finding(
        code=INFO.code,
        name=INFO.name,
        severity=Severity.INFO,
        confidence=0.5,
        layer=Layer.SYSCALL,
        title=f"{count} {what} of {places} {'was' if count == 1 else 'were'} open at exit",
        explanation="The kernel closes them at exit. Too few came from any one place to call it a leak.",
        remedy="Close them where the program is done with them; --strict makes the run fail on these, too.",
        verify=_VERIFY,
        count=count,
        sites=tuple(site for one in shown for site in sites_of(table, one)[:1]),
        because=tuple(_counts(table, one) for one in shown),
        pid=birthplaces[0].pid,
    )


def _subject(table: Table, birthplace: Birthplace) -> str:
    return (
        f"{things(birthplace.kind, birthplace.role, _count(table, birthplace))} at {place(birthplace.site)}"
    )


def _counts(table: Table, birthplace: Birthplace) -> Because:
    says = f"{_subject(table, birthplace)}: {birthplace.births} births, {birthplace.deaths} deaths before the exit."
    return Because(evidence=f"birthplace:{birthplace.id}", layer=Layer.SYSCALL, says=says)


def _nothing(reason: str) -> Cleared:
    return Cleared(
        code=INFO.code, name=INFO.name, subject="descriptors at exit", reason=reason, pattern="none"
    )


RULE = Rule(INFO, Needs, judge)
