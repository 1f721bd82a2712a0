"""Requests of net/http in memory, told as method and path: what a connection was asked for.

Neither query nor user information is read. An address is taken for a request only when its fields make sense together: a method
of capital letters and a URL of a known scheme with a path.

Sources: net/http/request.go (Request), net/http/transport.go (transportRequest, requestAndChan), net/url (URL).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from leadline.probes.snapshot_runtime.words import texts, words_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from leadline.probes.snapshot_runtime.looks import GoProcess, Look, Words
    from leadline.probes.snapshot_runtime.sites import Sites

__all__ = ["CLIENT_SCHEMES", "SERVER_SCHEMES", "find_requests", "tell_requests"]

CLIENT_SCHEMES = frozenset({"http", "https"})
SERVER_SCHEMES = frozenset({"", "http", "https"})
"""A request that a server reads has a URL without scheme, except from clients that take it for a proxy."""
_METHOD = re.compile(r"[A-Z][A-Z-]{1,15}\Z")
_MAX_PATH = 200
_MAX_BYTES = 2000
_SAMPLES = 6
_FIRST_PAGE = 4096


def find_requests(
    process: GoProcess, look: Look, sites: Sites, indices: Sequence[int], function: str
) -> dict[int, str]:
    """Return what goroutines ask for, by index, from the request that they have in the frame of a client's function.

    The frame may have the ``http.Request`` itself, its ``transportRequest`` or its ``http.Response``. A goroutine that has
    different ones is left out, since some are left over.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    groups: dict[int, list[int]] = {}
    for i in indices:
        groups.setdefault(int(look.stack_of[i]), []).append(i)
    found: dict[int, set[str]] = {}
    for members in groups.values():
        extent = sites.extent(members[0], function.__eq__)
        rows = [look.words(i)[slice(*extent)] for i in members] if extent is not None else []
        width = min(map(len, rows), default=0)
        if not width:
            continue
        table = np.stack([row[:width] for row in rows])
        for place in (
            process.offsets.need("transportRequest.Request"),
            process.offsets.need("http.Response.Request"),
            None,
        ):
            # Goroutines with the same stack have the same at the same places of the frame.
            some = table[:_SAMPLES]
            told = np.array(_told(process, some.reshape(-1), place), object).reshape(some.shape)
            for column in np.flatnonzero((told != None).any(axis=0)).tolist():  # noqa: E711  element by element
                for i, text in zip(members, _told(process, table[:, column], place), strict=True):
                    if text is not None:
                        found.setdefault(i, set()).add(text)
    return {i: next(iter(told)) for i, told in found.items() if len(told) == 1}


def _told(process: GoProcess, words: Words, place: int | None) -> list[str | None]:
    """Return the requests at addresses, or at the addresses that lie at a distance behind them."""
    if place is not None:
        inner = np.zeros(len(words), np.uint64)
        likely = _are_pointers(words)
        inner[likely] = _followed(process, words[likely] + np.uint64(place))
        words = inner
    return tell_requests(process, words, CLIENT_SCHEMES)


def tell_requests(process: GoProcess, addresses: Words, schemes: frozenset[str]) -> list[str | None]:
    """Return method and path of the ``http.Request`` at each address, such as ``GET /v1/prices``; None where there is none.

    Args:
        process: whose memory it is.
        addresses: any words.
        schemes: that the URL may have.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    need = process.offsets.need
    answer: list[str | None] = [None] * len(addresses)
    chosen = np.flatnonzero(_are_pointers(addresses))
    method, url = need("http.Request.Method"), need("http.Request.URL")
    rows, good = process.memory.gather(addresses[chosen], max(method + 16, url + 8))
    urls, sizes = words_at(rows, url), words_at(rows, method + 8)
    good &= _are_pointers(urls) & (sizes <= 16)
    chosen, rows, urls = chosen[good], rows[good], urls[good]
    scheme, path = need("url.URL.Scheme"), need("url.URL.Path")
    parts, good = process.memory.gather(urls, max(scheme, path) + 16)
    good &= (words_at(parts, scheme + 8) <= 5) & (words_at(parts, path + 8) <= _MAX_BYTES)
    chosen, rows, parts = chosen[good], rows[good], parts[good]
    columns = [
        texts(process, words_at(table, place), words_at(table, place + 8))
        for table, place in ((rows, method), (parts, scheme), (parts, path))
    ]
    for place, verb, name, way in zip(chosen.tolist(), *columns, strict=True):
        if verb is None or way is None or name not in schemes or not _METHOD.match(verb or "GET"):
            continue
        if way and not way.startswith("/") and way != "*":
            continue
        answer[place] = f"{verb or 'GET'} {way[:_MAX_PATH] or '/'}{'...' if len(way) > _MAX_PATH else ''}"
    return answer


def _followed(process: GoProcess, addresses: Words) -> Words:
    """Return the words at addresses, 0 where none can be read."""
    words, are_read = process.memory.gather_words(addresses)
    return np.where(are_read, words, np.uint64(0))


def _are_pointers(words: Words) -> NDArray[np.bool_]:
    answer: NDArray[np.bool_] = (words > _FIRST_PAGE) & (words < 1 << 47) & (words % 8 == 0)
    return answer
