"""Goroutines asked from a program's own net/http/pprof: a second source, used only when a person names its URL.

Asking makes the program work: it stops all its goroutines while ``debug=2`` is written, and the leak profile runs a garbage
collection first, which may close descriptors that nothing refers to any more.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from leadline.app.dump import dump_evidence
from leadline.evidence.redaction import redact_text, redacted
from leadline.formats.godump import parse_dumps
from leadline.model import AccessError, DeadlineExceeded, NotPermitted, Unsupported, UsageError, printable

if TYPE_CHECKING:
    from leadline.evidence import Evidence

__all__ = ["fetch_goroutines", "fetch_leaked", "fetch_profile"]

DEADLINE_S = 30.0
MAX_BYTES = 256 << 20
CHUNK_BYTES = 1 << 16
_ROOT = "/debug/pprof"


def fetch_goroutines(url: str, *, debug: int = 2, deadline_s: float = DEADLINE_S) -> Evidence:
    """Return the goroutines that the program lists itself; secrets are taken out.

    Args:
        url: of the program (``http://localhost:6060``), of its ``/debug/pprof``, or of the profile itself.
        debug: 2 lists each goroutine, and stops the program meanwhile; 1 counts them by stack, which is quicker.
        deadline_s: for the whole answer.

    Raises:
        As :func:`fetch_profile`; Malformed: the answer is no dump.
    """
    content = fetch_profile(url, "goroutine", debug=debug, deadline_s=deadline_s)
    return redacted(dump_evidence(parse_dumps(content), source="pprof"))


def fetch_leaked(url: str, *, deadline_s: float = DEADLINE_S) -> frozenset[int]:
    """Return the numbers of goroutines that can never go on, as the program's garbage collector finds them now.

    This runs a garbage collection in the program. Goroutines that wait for a descriptor, and for channels or locks that anything
    can still reach, are never among them.

    Raises:
        As :func:`fetch_profile`; Unsupported: the program was built with a Go that has no such profile (before 1.27).
    """
    content = fetch_profile(url, "goroutineleak", debug=2, deadline_s=deadline_s)
    dumps = parse_dumps(content).dumps
    return frozenset(one.goid for dump in dumps for one in dump.goroutines if one.is_leaked)


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
