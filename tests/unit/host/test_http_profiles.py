"""What is asked over HTTP is named by its URL without secrets, and refused when it is no URL."""

from __future__ import annotations

import socket

import pytest

from leadline.host.http_profiles import fetch_profile
from leadline.model import AccessError, UsageError


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "http://host:0/", "http://[::1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not a URL"):
        fetch_profile(url, "goroutine", debug=2)


def test_a_closed_port_is_told_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(AccessError, match="cannot be asked") as told:
        fetch_profile(f"http://bob:hunter2@127.0.0.1:{port}", "goroutine", debug=2, deadline_s=5)
    assert "hunter2" not in str(told.value)
