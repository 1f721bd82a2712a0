"""Connections of libraries that many services use: gRPC, websockets, fasthttp, gin, Redis and PostgreSQL clients."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import go_truth
import symbol_twins as twins_of
from leadline.host import LiveHost
from leadline.probes.snapshot_runtime.look import take_look
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.process import OpenedProcess
from leadline.probes.snapshot_runtime.readers import read_all
from live_runs import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leadline.evidence.kinds import Connection

pytestmark = pytest.mark.slow
SOURCE = go_truth.SOURCES / "thirdparty"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = twins_of.installed_go()
    if go is None or go.minor < 25:
        pytest.skip("no Go toolchain that these libraries need; remedy: install Go 1.25 or later")
    output = tmp_path_factory.mktemp("thirdparty") / "thirdparty"
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false -mod=readonly",
        "CGO_ENABLED": "0",
    }
    command = [str(go.goroot / "bin" / "go"), "build", "-ldflags=-s -w", "-o", str(output), "."]
    fetched = subprocess.run(
        [*command[:1], "mod", "download"],
        cwd=SOURCE,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if fetched.returncode:
        pytest.skip(f"Go modules cannot be fetched ({fetched.stderr[-200:]}); remedy: let GOPROXY be reached")
    subprocess.run(command, cwd=SOURCE, env=environment, check=True, timeout=600)
    return output


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis server on a free port; its address is empty where none is installed."""
    server = shutil.which("redis-server")
    if server is None:
        yield ""
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    with subprocess.Popen([server, *options], stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: _answers(port), "the Redis server", deadline_s=10)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _told(one: Connection | None, want: dict[str, Any]) -> dict[str, Any]:
    """Return what leadline says in the words of the program; what the program leaves open is taken from it."""
    if one is None:
        return {"fd": want["fd"]}
    site = one.site.function if one.site and want["site"] else want["site"]
    return {
        "case": want["case"], "fd": one.fd, "role": one.role, "protocol": one.protocol, "activity": one.activity, "site": site,
        "handler": one.handler.function if one.handler else "", "goid": one.owner_goid if want["goid"] else 0,
        "streams": one.streams or 0,
    }  # fmt: skip


def test_connections_of_libraries_are_told_as_the_program_says(program: Path, tmp_path: Path) -> None:
    with redis(tmp_path) as address, go_truth.running(program, address) as truth:
        wanted: list[dict[str, Any]] = truth.said  # type: ignore[assignment]
        assert isinstance(truth.process, OpenedProcess)
        process = truth.process
        found = Found()

        def is_so() -> bool:
            found.uses, found.connections, found.gaps = {}, {}, []
            read_all(LiveHost(), process, take_look(process), found)
            return all(_told(found.connections.get(want["fd"]), want) == want for want in wanted)

        try:
            until(is_so, "what the program says", deadline_s=10)
        except AssertionError:
            assert [_told(found.connections.get(want["fd"]), want) for want in wanted] == wanted
            raise
        assert len(wanted) == (15 if address else 13)
        assert found.gaps == []
        others = {
            fd: one for fd, one in found.connections.items() if fd not in {want["fd"] for want in wanted}
        }
        assert {one.activity for one in others.values()} == {"accepting"}
