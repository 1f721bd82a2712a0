"""Who waits on which descriptor, against what a program says of its own 53 waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import go_truth
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime import pollers
from leadline.probes.snapshot_runtime.look import GoroutineLook, take_look
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.process import OpenedProcess
from live_runs import until

if TYPE_CHECKING:
    from pathlib import Path

    from leadline.evidence.kinds import DescriptorUse

WAITS = 53
DEADLINE_SLACK_NS = 50_000_000
"""Between the program's note and the deadline that it set lie two calls."""


@pytest.fixture(scope="module", params=go_truth.builds())
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    go, stripped = request.param
    return go_truth.build("waits", go, tmp_path_factory.mktemp("waits"), stripped=stripped)


def _look(truth: go_truth.Truth) -> GoroutineLook:
    assert isinstance(truth.process, OpenedProcess)
    return take_look(truth.process)


def _who(use: DescriptorUse, way: str) -> int | None:
    syscall = use.syscall_goids[0] if use.syscall_goids else None
    return {"read": use.reader_goid, "write": use.writer_goid, "syscall": syscall}[way]


def _is_right(uses: dict[int, DescriptorUse], wait: dict[str, Any]) -> bool:
    use = uses.get(wait["fd"])
    if use is None:
        return False
    if not wait["way"]:  # a deadline that has passed, with nobody waiting
        return (use.reader_goid, use.writer_goid, use.read_deadline_mono_ns) == (None, None, -1)
    if wait["way"] == "syscall":
        return use.syscall_goids == (wait["goid"],) and not use.is_polled
    end = use.read_deadline_mono_ns if wait["way"] == "read" else use.write_deadline_mono_ns
    slack = DEADLINE_SLACK_NS if wait["deadline_ns"] else 0
    is_ending = end is not None and abs(end - wait["deadline_ns"]) <= slack
    return _who(use, wait["way"]) == wait["goid"] and use.is_polled and use.is_closing is False and is_ending


def test_every_wait_is_found_with_its_goroutine_and_deadline_and_no_other(program: Path) -> None:
    host = LiveHost()
    with go_truth.running(program) as truth:
        waits: list[dict[str, Any]] = truth.said  # type: ignore[assignment]
        assert sum(bool(wait["way"]) for wait in waits) == WAITS
        found = Found()

        def all_are_right() -> bool:
            found.uses.clear()
            pollers.read(host, truth.process, _look(truth), found)
            return all(_is_right(found.uses, wait) for wait in waits)

        try:
            until(all_are_right, "every wait", deadline_s=10)
        except AssertionError:
            wrong = [(wait, found.uses.get(wait["fd"])) for wait in waits if not _is_right(found.uses, wait)]
            pytest.fail(f"{len(wrong)} of {len(waits)} are wrong: {wrong}")
        told = sum(
            (use.reader_goid is not None) + (use.writer_goid is not None) + len(use.syscall_goids)
            for use in found.uses.values()
        )
        # The main goroutine waits for its input, which is a pipe in blocking mode.
        stdin = found.uses.pop(0)
        assert told - len(stdin.syscall_goids) == WAITS
        assert found.gaps == []


@pytest.mark.parametrize(("tag_bits", "align_bits"), [(19, 3), (25, 9), (24, 9), (0, 0)])
def test_tagged_pointers_of_each_layout(tag_bits: int, align_bits: int) -> None:
    address = 0x7F5C_1234_5600
    tag = 0x1F if tag_bits else 0
    tagged = np.array([(address >> align_bits << tag_bits | tag) & (1 << 64) - 1], np.uint64)
    assert pollers.untag(tagged, tag_bits, align_bits).tolist() == [address]
