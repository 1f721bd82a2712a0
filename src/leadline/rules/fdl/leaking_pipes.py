"""Pipes are made again and again and their ends stay open (FDL104, leaking-pipes).

What it finds: a place that makes pipes of which more and more ends stay open in this process.

Why it matters: a pipe takes two descriptors; a write end that stays open keeps its reader waiting for an end of file
that never comes.

Needs: births and deaths with stacks, the final descriptor table. Helps: limits (time left), the table over time.

How it decides: the survival test of FDL103 on pipe ends: at least 5 that have outlived 1.5 times the age beyond which
the others die, in 3 groups or more over 3 s or more, steady to the end. Pipes to child processes that end, and io
helpers that close both ends, have deaths as old as their survivors and are cleared.

When it is wrong: children started one by one during the whole window that are meant to run longer than it.

What to do: call Wait on every started os/exec command; close both ends of os.Pipe on all paths, the child's end in the
parent too.

References: pipe(7); os/exec Cmd.StdoutPipe ("Wait will close the pipe").
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.model import Severity, Verdict
from leadline.rules.fdl.leaks import LeakNeeds
from leadline.rules.fdl.verdicts import judge_birthplaces

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("FDL104", "leaking-pipes", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(LeakNeeds):
    """Births, deaths and the final table; limits help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a verdict for each place that makes pipes."""
    return judge_birthplaces(INFO, seen)


RULE = Rule(INFO, Needs, judge)
