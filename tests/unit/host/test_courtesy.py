"""Stepping aside is asked for, keeps the priority, and is not handed on to what is started."""

from __future__ import annotations

import os
import subprocess
import sys

SAY = (
    "from leadline.host import step_aside; import os;"
    " print(step_aside(), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0))"
)
RESET_ON_FORK = 0x40000000


def test_the_priority_stays_and_what_is_started_is_as_usual() -> None:
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True)
    taken, nice, policy = done.stdout.split()
    assert taken in {"True", "False"}, "older kernels take no notice, and nothing is raised"
    assert int(nice) == os.getpriority(os.PRIO_PROCESS, 0)
    if taken == "True":
        assert int(policy) == os.SCHED_OTHER | RESET_ON_FORK
