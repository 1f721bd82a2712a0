"""Files are opened again and again and never closed (FDL103, leaking-files).

What it finds: a place that opens files, directories or devices of which more and more stay open.

Why it matters: each holds a descriptor; deleted files that are still open hold disk space too. In the end every open,
dial and accept fails with "too many open files".

Needs: births and deaths with stacks, the final descriptor table. Helps: limits (time left), the table over time.

How it decides: the survival test. The cut is the shortest age beyond which at most 5 deaths come on 100 survivors older
than 1.5 cuts; at least 5 survivors must lie there, spread in 3 groups or more over 3 s or more, and their births must
be compatible with a steady rate to the end (Laplace z >= -3.3; chance of the final silence >= 0.0001). Files opened in
bursts and closed in bursts, a cache that evicts, and log rotation have deaths as old as their survivors and are
cleared.

When it is wrong: a cache of open files that fills up during the whole window and has not reached its cap; a job that
opens files one by one for longer than the window and closes them all at its end. Both look like a leak until the first
one is closed: trace longer.

What to do: `defer file.Close()` directly after the error check; in loops, move the body into a function; close what
os.Open, os.ReadDir handles, http.FileServer wrappers and archive readers return.

References: os.File; Maller and Zhou, Survival Analysis with Long-Term Survivors (1996).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leadline.contracts import Rule, RuleInfo, Stage
from leadline.model import Severity, Verdict
from leadline.rules.fdl.leaks import LeakNeeds
from leadline.rules.fdl.verdicts import judge_birthplaces

__all__ = ["INFO", "RULE", "Needs", "judge"]

INFO = RuleInfo("FDL103", "leaking-files", since="0.1.0", stage=Stage.STABLE, severity=Severity.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs(LeakNeeds):
    """Births, deaths and the final table; limits help."""


def judge(seen: Needs) -> Iterable[Verdict]:
    """Return a verdict for each place that opens files."""
    return judge_birthplaces(INFO, seen)


RULE = Rule(INFO, Needs, judge)
