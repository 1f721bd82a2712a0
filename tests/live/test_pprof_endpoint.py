"""Goroutines asked from a real program's own net/http/pprof."""

from __future__ import annotations

import gzip
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadline.app.pprof_endpoint import fetch_goroutines, fetch_leaked
from leadline.evidence.kinds import Goroutine, GoroutineGroup, GoRuntime
from leadline.host.http_profiles import fetch_profile
from leadline.lab import find_go
from leadline.model import AccessError, DeadlineExceeded, Malformed, NotPermitted, Unsupported, UsageError
from states_program import States, build_states, serving

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[States]:
    with serving(build_states(tmp_path_factory.mktemp("states"))) as running:
        yield running


@pytest.mark.parametrize("tail", ["", "/", "/debug/pprof", "/debug/pprof/", "/debug/pprof/goroutine?debug=1"])
def test_each_goroutine_is_listed_from_any_form_of_the_url(states: States, tail: str) -> None:
    evidence = fetch_goroutines(states.url + tail)
    runtime = evidence.first(GoRuntime)
    assert runtime is not None
    assert runtime.source == "pprof"
    found = [one.state for one in evidence.all(Goroutine)]
    for state in ("IO wait", "chan send", "sync.WaitGroup.Wait", "select (no cases)", "sleep", "syscall"):
        if state == "sync.WaitGroup.Wait" and find_go().release < (1, 24):
            continue  # called semacquire before
        assert state in found


def test_debug_1_counts(states: States) -> None:
    evidence = fetch_goroutines(states.url, debug=1)
    groups = evidence.all(GoroutineGroup)
    assert max(group.count for group in groups) == 3
    assert evidence.get(Goroutine) is None


def test_the_answer_equals_what_another_client_gets(states: States) -> None:
    with urllib.request.urlopen(f"{states.url}/debug/pprof/goroutine?debug=2") as answer:
        theirs = answer.read().decode()
    ours = {one.goid for one in fetch_goroutines(states.url).all(Goroutine) if one.goid < 30}
    assert ours
    assert all(f"goroutine {goid} [" in theirs for goid in ours)


def test_leaked_goroutines_are_named_where_go_can_tell(states: States) -> None:
    if find_go().release < (1, 27):
        with pytest.raises(Unsupported, match="no profile goroutineleak"):
            fetch_leaked(states.url)
        return
    leaked = fetch_leaked(states.url)
    by_state = {one.state for one in fetch_goroutines(states.url).all(Goroutine) if one.goid in leaked}
    assert "chan send" in by_state
    assert "IO wait" not in by_state


@contextmanager
def answering(
    status: int, body: bytes = b"", *, hang: bool = False, length: int | None = None
) -> Iterator[str]:
    """Serve one kind of answer; the request line is noted."""
    release = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if hang:
                release.wait(30)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        release.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, Unsupported), (401, NotPermitted), (403, NotPermitted), (500, AccessError), (302, AccessError)],
)
def test_other_answers_are_errors_with_a_remedy(status: int, error: type[AccessError]) -> None:
    with answering(status) as url, pytest.raises(error) as raised:
        fetch_goroutines(url)
    assert raised.value.remedy


def test_something_that_is_no_dump_is_malformed() -> None:
    with answering(200, b"<html>hello</html>") as url, pytest.raises(Malformed):
        fetch_goroutines(url)


def test_a_compressed_answer_is_read() -> None:
    with answering(200, gzip.compress(b"goroutine 1 [select]:\nmain.main()\n\t/a.go:1 +0x1\n")) as url:
        assert [one.goid for one in fetch_goroutines(url).all(Goroutine)] == [1]


def test_a_silent_program_ends_by_the_deadline() -> None:
    with answering(200, hang=True) as url, pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        fetch_goroutines(url, deadline_s=0.2)


def test_an_answer_that_ends_early_is_not_taken_for_the_whole() -> None:
    with answering(200, b"goroutine", length=10**9) as url, pytest.raises(AccessError, match="more expected"):
        fetch_profile(url, "goroutine", debug=2, deadline_s=0.5)


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://x:99999", "http://[::1", "http://x:0"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="is not a URL"):
        fetch_goroutines(url)


def test_nobody_there_is_an_error_without_secrets() -> None:
    with pytest.raises(AccessError) as raised:
        fetch_goroutines("http://bob:hunter2@127.0.0.1:1/")
    assert "hunter2" not in raised.value.message


def test_the_program_is_not_asked_for_anything_else(states: States, tmp_path: Path) -> None:
    """The binary answers 404 for what it has not, which becomes an error and not an empty profile."""
    with pytest.raises(Unsupported):
        fetch_profile(states.url, "nonsense", debug=2)
