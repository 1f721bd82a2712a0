"""``leadline census`` looks at one process or at all, and at nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from house.command import call


@pytest.mark.parametrize("arguments", [(), ("1", "--all")])
def test_one_target_or_all_must_be_named(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    ran = call(capsys, "census", *arguments)
    assert ran.status == 2
    assert "--all" in ran.err


def test_it_counts_the_descriptors_of_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(23)]
    try:
        ran = call(capsys, "census", os.getpid(), "--json")
        alive = len(list(Path("/proc/self/fd").iterdir())) - 1
    finally:
        for fd in opened:
            os.close(fd)
    assert ran.status in {0, 1}
    report = json.loads(ran.out)
    assert report["window"]["mode"] == "single"
    # This process looks at itself: what the look holds meanwhile (netlink, BPF) is counted, too.
    assert 0 <= report["target"]["open_descriptors"] - alive <= 12
    assert report["descriptors"]["by_kind"]["device"] >= 23


def test_a_census_of_all_names_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    ran = call(capsys, "census", "--all")
    assert ran.status == 0
    assert str(os.getpid()) in ran.out
