"""Profiles asked from a program's own net/http/pprof, only when a person names its URL. Each answer is bounded in time and size.

The one place where leadline opens a connection to anything but the kernel.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
from urllib.parse import SplitResult, unquote, urlsplit

from leadline.evidence.redaction import redact_text
from leadline.model import AccessError, DeadlineExceeded, NotPermitted, Unsupported, UsageError, printable

__all__ = ["DEADLINE_S", "fetch_profile"]

DEADLINE_S = 30.0
MAX_BYTES = 256 << 20
CHUNK_BYTES = 1 << 16
_ROOT = "/debug/pprof"


def fetch_profile(url: str, profile: str, *, debug: int, deadline_s: float = DEADLINE_S) -> bytes:
    """Return a profile as the program answers it, at most 256 MiB.

    Raises:
        UsageError: not an http or https URL.
        DeadlineExceeded: no whole answer in time.
        Unsupported: there is no such profile at that place.
        NotPermitted: the program asks for other credentials.
        AccessError: it cannot be reached, or answers something else, or too much.
    """
    parts = _place(url, profile)
    end_s = time.monotonic() + deadline_s
    shown = printable(redact_text(url))
    connection = _connection(parts, deadline_s)
    try:
        connection.connect()
        wire: socket.socket = (
            connection.sock
        )  # http.client forgets it when the answer is the last one of the connection
        connection.request("GET", f"{parts.path}?debug={debug}", headers=_headers(parts))
        with connection.getresponse() as response:
            if response.status != http.client.OK:
                raise _refused(response.status, profile, shown)
            return _read(wire, response, end_s, shown)
    except TimeoutError as error:
        raise _late(shown, deadline_s) from error
    except (OSError, http.client.HTTPException) as error:
        raise AccessError(
            f"{shown} cannot be asked: {printable(str(error)) or type(error).__name__}",
            remedy="name the address on which the program serves net/http/pprof, as seen from here",
        ) from error
    finally:
        connection.close()


def _place(url: str, profile: str) -> SplitResult:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise UsageError(
            f"{printable(redact_text(url))!r} is not a URL that can be asked",
            remedy="write something like http://localhost:6060",
        )
    path = parts.path.rstrip("/")
    root = path[: path.rindex(_ROOT) + len(_ROOT)] if _ROOT in path else path + _ROOT
    return parts._replace(path=f"{root}/{profile}")


def _connection(parts: SplitResult, deadline_s: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            host, parts.port, timeout=deadline_s, context=ssl.create_default_context()
        )
    return http.client.HTTPConnection(host, parts.port, timeout=deadline_s)


def _headers(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _read(wire: socket.socket, response: http.client.HTTPResponse, end_s: float, shown: str) -> bytes:
    found = bytearray()
    while True:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        wire.settimeout(left_s)
        part = response.read1(CHUNK_BYTES)
        if not part:
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
            return bytes(found)
        found += part
        if len(found) > MAX_BYTES:
            raise AccessError(
                f"{shown} answers more than {MAX_BYTES >> 20} MiB", remedy="ask for less: debug=1"
            )


def _refused(status: int, profile: str, shown: str) -> AccessError:
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return NotPermitted(
            f"{shown} asks for other credentials (HTTP {status})",
            remedy="write them into the URL: http://user:password@host:port",
        )
    if status == http.client.NOT_FOUND:
        remedy = (
            "Go 1.27 or later has it (1.26 with GOEXPERIMENT=goroutineleakprofile)"
            if profile == "goroutineleak"
            else "the program must import net/http/pprof and serve it there"
        )
        return Unsupported(f"{shown} has no profile {profile}", remedy=remedy)
    return AccessError(
        f"{shown} answers HTTP {status}", remedy="name the address on which the program serves net/http/pprof"
    )


def _late(shown: str, deadline_s: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{shown} did not answer within {deadline_s:g} s",
        remedy="is it the right address? A busy program needs longer for debug=2",
    )
