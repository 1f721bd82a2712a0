"""All readers of connections, locks and pools, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.contracts import gap_of
from leadline.model import Gap, GapReason, LeadlineError, TargetGone
from leadline.probes.snapshot_runtime import (
    fasthttp,
    handshakes,
    http2,
    http_client,
    http_server,
    pollers,
    sql_pools,
    streams,
    waits,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from leadline.contracts import Host
    from leadline.probes.snapshot_runtime.looks import Found, GoProcess, Look

    Reader = Callable[[GoProcess, Look, Found], None]

__all__ = ["READERS", "read_all"]

NAME = "snapshot_runtime"

READERS: tuple[tuple[str, Reader], ...] = (
    ("HTTP client connections", http_client.read),
    ("HTTP server connections", http_server.read),
    ("HTTP/2 connections", http2.read),
    ("fasthttp connections", fasthttp.read),
    ("TLS handshakes", handshakes.read),
    ("connections of other kinds", streams.read),
    ("database pools", sql_pools.read),
    ("what goroutines wait for", waits.read),
)
"""Name of what is missing when a reader fails, and the reader. A later one sees what earlier ones found."""


def read_all(
    host: Host,
    process: GoProcess,
    look: Look,
    found: Found,
    *,
    readers: tuple[tuple[str, Reader], ...] = READERS,
) -> None:
    """Fill ``found`` by all readers. One that fails leaves a gap and does not hinder the others.

    Raises:
        TargetGone: the process has ended.
    """
    found.unix_minus_mono_ns = host.clock.unix_ns() - host.clock.mono_ns()
    _fenced("who waits on which descriptor", lambda: pollers.read(host, process, look, found), process, found)
    for what, reader in readers:
        _fenced(what, lambda reader=reader: reader(process, look, found), process, found)  # type: ignore[misc]


def _fenced(what: str, run: Callable[[], None], process: GoProcess, found: Found) -> None:
    try:
        run()
    except TargetGone:
        raise
    except LeadlineError as exc:
        found.gaps.append(gap_of(exc, what=what, probe=NAME))
    except KeyError as exc:
        found.gaps.append(
            Gap(
                what=what,
                reason=GapReason.UNSUPPORTED,
                detail=f"where {exc} lies is not known for {process.go_version}",
                remedy="update leadline, or rebuild the program with a release of Go that it knows",
                probe=NAME,
            )
        )
    except Exception as exc:  # noqa: BLE001  whatever the memory of a target holds, the other readers go on
        found.gaps.append(
            Gap(
                what=what,
                reason=GapReason.MALFORMED,
                detail=f"{type(exc).__name__}: {exc}",
                remedy="report this to leadline's maintainers, with the release of Go",
                probe=NAME,
            )
        )
