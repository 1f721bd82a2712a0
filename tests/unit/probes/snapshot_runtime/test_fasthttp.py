"""What a goroutine of a fasthttp server does."""

from __future__ import annotations

import pytest

from leadline.probes.snapshot_runtime.fasthttp import activity_of

SERVE = (
    "github.com/valyala/fasthttp.(*Server).serveConn",
    "github.com/valyala/fasthttp.(*workerPool).workerFunc",
)
WAIT = ("internal/poll.(*FD).Read", "net.(*conn).Read", "bufio.(*Reader).fill", "bufio.(*Reader).Peek")
HEADER = "github.com/valyala/fasthttp.(*RequestHeader).tryRead"


@pytest.mark.parametrize(
    ("functions", "parked", "buffered", "activity"),
    [
        ((*WAIT, HEADER, *SERVE), "read", 0, "first-byte"),
        ((*WAIT, HEADER, *SERVE), "read", 9, "headers"),
        ((*WAIT, HEADER, *SERVE), "read", None, None),
        ((*WAIT, *SERVE), "read", 0, "keep-alive"),
        ((*WAIT, "github.com/valyala/fasthttp.(*Request).ContinueReadBody", *SERVE), "read", 0, "body"),
        (("net.(*conn).Write", "bufio.(*Writer).Flush", *SERVE), "write", None, "writing"),
        (("runtime.gopark", "runtime.chanrecv1", "main.slow", *SERVE), "", None, "handler"),
        (("runtime.gopark", "github.com/valyala/fasthttp.acquireReader", *SERVE), "", None, None),
        (("runtime.gopark", *SERVE), "", None, None),
    ],
)
def test_activities(
    functions: tuple[str, ...], parked: str, buffered: int | None, activity: str | None
) -> None:
    assert activity_of(functions, parked=parked, buffered=buffered) == activity
