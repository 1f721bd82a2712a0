"""What an HTTP/2 connection does, by the goroutines of its streams."""

from __future__ import annotations

import pytest

from leadline.probes.snapshot_runtime.http2 import PACKAGES, Streams, client_activity, server_activity


@pytest.mark.parametrize(
    ("streams", "activity"),
    [
        (Streams(open=0), "idle"),
        (Streams(open=2, asking=[1, 2], requests=[3, 4]), "awaiting-response"),
        (Streams(open=1, requests=[3]), "body-held"),
        (Streams(open=2, asking=[1], requests=[3, 4]), "body-held"),  # what is held outweighs what goes on
        (Streams(open=1, reading=[1], requests=[3]), "body-reading"),
        (Streams(open=1, sending=[3], requests=[3]), "in-use"),
        (Streams(), "idle"),
        (Streams(requests=[3]), "in-use"),  # whether it is held is not known where streams are not counted
        (Streams(asking=[1], requests=[3]), "awaiting-response"),
    ],
)
def test_clients(streams: Streams, activity: str) -> None:
    assert client_activity(streams) == activity


@pytest.mark.parametrize(
    ("streams", "writing", "activity"),
    [
        (Streams(open=0), False, "keep-alive"),
        (Streams(open=2, handlers=[0, 1]), False, "handler"),
        (Streams(open=2, handlers=[1, 1]), False, "body"),
        (Streams(open=2), False, "handler"),
        (Streams(open=2, handlers=[0]), True, "writing"),
    ],
)
def test_servers(streams: Streams, writing: bool, activity: str) -> None:
    functions = (("main.silent",), ("net/http.(*http2requestBody).Read", "main.upload"))
    assert server_activity(streams, functions.__getitem__, writing=writing) == activity


def test_names_of_both_layouts() -> None:
    old, new, _ = PACKAGES
    assert old.method("ClientConn", "readLoop") == "net/http.(*http2ClientConn).readLoop"
    assert new.method("serverConn", "serve") == "net/http/internal/http2.(*serverConn).serve"
