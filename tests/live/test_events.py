"""Failing closes, refusals and children of a real process become evidence with the planted counts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter

import pytest

from leadline.evidence import Evidence
from leadline.evidence.kinds import CloseFailure, ProcessInfo, Refusal
from leadline.host import LiveHost
from leadline.probes.trace_descriptors import TraceDescriptors

PROGRAM = """
import ctypes, json, os, resource, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
print(json.dumps({"ready": True}), flush=True)
sys.stdin.readline()
for _ in range(5):
    fd = os.open("/dev/null", os.O_RDONLY)
    libc.close(fd)
    libc.close(fd)
for _ in range(3):
    libc.close(900)
children = [subprocess.run(["/bin/true"]).returncode for _ in range(2)]
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
keep, refused = [], 0
while refused < 7:
    try:
        keep.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        refused += 1
print(json.dumps({"done": True}), flush=True)
sys.stdin.readline()
"""


@pytest.mark.live
def test_planted_failures_refusals_and_children_are_counted() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    evidence = Evidence()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        observation = TraceDescriptors(follow=True).begin(LiveHost(), process.pid, evidence)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"done": True}
        observation.tick()
        observation.finish(evidence)
    finally:
        process.kill()
        process.communicate()
    failures: Counter[tuple[str, str]] = Counter()
    for one in evidence.all(CloseFailure):
        failures[one.error, one.verdict] += one.count
    assert failures == {("EBADF", "double"): 5, ("EBADF", "never-open"): 3}
    assert sum(one.count for one in evidence.all(Refusal) if one.error == "EMFILE") == 7
    assert [one.comm for one in evidence.all(ProcessInfo)] == ["true", "true"]
    assert all(
        one.ended_mono_ns and one.ended_mono_ns < time.monotonic_ns() for one in evidence.all(ProcessInfo)
    )
