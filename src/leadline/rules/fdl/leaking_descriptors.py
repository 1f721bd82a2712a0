"""Descriptors of other kinds pile up (FDL105, leaking-descriptors).

What it finds: a place that makes UDP, unix, netlink or listening sockets, epoll, eventfd, timerfd, signalfd, inotify,
memfd, pidfd or other descriptors, or duplicates of them, of which more and more stay open.

Why it matters: they count against the same limit as connections and files; some (inotify, epoll) have small limits of
their own.

Needs: births and deaths with stacks, the final descriptor table. Helps: socket states, limits (time left), the table
over time.

How it decides: the survival test of FDL103: at least 5 that have outlived 1.5 times the age beyond which the others
die, in 3 groups or more over 3 s or more, steady to the end. Accepted unix connections whose peer is still connected do
not count.

When it is wrong: watchers, timers or sessions made one by one during the whole window that are meant to live longer
than it.

What to do: close what the call returned on every path, and make long-lived ones once instead of for each request.

References: proc_pid_fd(5); inotify(7) and epoll(7), limits.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.model import Severity, Verdict
from leadline.rules.fdl.leaks import LeakNeeds
from leadline.rules.fdl.verdicts import judge_birthplaces

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo(
    "FDL105", "leaking-descriptors", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(LeakNeeds):
    """Births, deaths and the final table; sockets and limits help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a verdict for each place that makes descriptors of other kinds."""
    return judge_birthplaces(INFO, seen)


RULE = Rule(INFO, Needs, judge)
