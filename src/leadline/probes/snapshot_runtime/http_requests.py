"""Requests of net/http in memory, told as method and path: what a connection was asked for.

Neither query nor user information is read. An address is taken for a request only when its fields make sense together: a method
of capital letters and a URL of a known scheme with a path.

Sources: net/http/request.go (Request), net/http/transport.go (transportRequest, bodyEOFSignal), net/url (URL).
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
_BODY, _GZIP = "*http.bodyEOFSignal", "*http.gzipReader"
_FIRST_PAGE = 4096


def find_requests(
    process: GoProcess, look: Look, sites: Sites, indices: Sequence[int], function: str
) -> dict[int, str]:
    """Return what goroutines ask for, by index, from the request that they have in the frame of a client's function.

    An ``http.Response`` whose body is open speaks for it, else the ``transportRequest``, else the ``http.Request`` itself. Words
    of a frame may be left over from earlier requests: a goroutine whose best ones differ is left out.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    groups: dict[int, list[int]] = {}
    for i in indices:
        groups.setdefault(int(look.stack_of[i]), []).append(i)
    found: dict[int, str | None] = {}
    for members in groups.values():
        extent = sites.extent(members[0], function.__eq__)
        rows = [look.words(i)[slice(*extent)] for i in members] if extent is not None else []
        width = min(map(len, rows), default=0)
        if not width:
            continue
        table = np.stack([row[:width] for row in rows])
        for follow in (_of_responses, _of_transport_requests, _as_they_are):
            told: dict[int, set[str]] = {}
            # Goroutines with the same stack have the same at the same places of the frame.
            some = _told(process, follow(process, table[:_SAMPLES].reshape(-1)))
            for column in {place % width for place, text in enumerate(some) if text is not None}:
                texts_of = _told(process, follow(process, table[:, column]))
                for i, text in zip(members, texts_of, strict=True):
                    if text is not None:
                        told.setdefault(i, set()).add(text)
            for i, choice in told.items():
                found.setdefault(i, next(iter(choice)) if len(choice) == 1 else None)
    return {i: text for i, text in found.items() if text is not None}


def _told(process: GoProcess, words: Words) -> list[str | None]:
    return tell_requests(process, words, CLIENT_SCHEMES)


def _as_they_are(_: GoProcess, words: Words) -> Words:
    return words


def _of_transport_requests(process: GoProcess, words: Words) -> Words:
    """Return the addresses of the requests of the transportRequests at addresses, 0 where there can be none."""
    answer = np.zeros(len(words), np.uint64)
    likely = _are_pointers(words)
    answer[likely] = _followed(
        process, words[likely] + np.uint64(process.offsets.need("transportRequest.Request"))
    )
    return answer


def _of_responses(process: GoProcess, words: Words) -> Words:
    """Return the addresses of the requests of the responses at addresses, 0 where there is none or its body is done."""
    need = process.offsets.need
    body, request = need("http.Response.Body"), need("http.Response.Request")
    closed, error = need("bodyEOFSignal.closed"), need("bodyEOFSignal.rerr")
    answer = np.zeros(len(words), np.uint64)
    chosen = np.flatnonzero(_are_pointers(words))
    rows, are_read = process.memory.gather(words[chosen], max(body + 16, request + 8))
    tabs = words_at(rows, body)
    types = {
        tab: process.type_of_interface(tab, is_empty=False)
        for tab in np.unique(tabs[are_read]).tolist()
        if tab > _FIRST_PAGE
    }
    open_ones = are_read & np.isin(
        tabs, np.array([tab for tab, name in types.items() if name in (_BODY, _GZIP)], np.uint64)
    )
    chosen, rows, tabs = chosen[open_ones], rows[open_ones], tabs[open_ones]
    is_plain = np.array([types[tab] == _BODY for tab in tabs.tolist()], np.bool_)
    bodies, known = process.memory.gather(words_at(rows, body + 8), max(closed + 1, error + 8))
    is_open = known & (bodies[:, closed] == 0) & (words_at(bodies, error) == 0)
    answer[chosen] = np.where(is_open | ~is_plain, words_at(rows, request), np.uint64(0))
    return answer


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
        plain = way.partition("?")[0] or "/"  # a question mark was escaped in the path
        answer[place] = f"{verb or 'GET'} {plain[:_MAX_PATH]}{'...' if len(plain) > _MAX_PATH else ''}"
    return answer


def _followed(process: GoProcess, addresses: Words) -> Words:
    """Return the words at addresses, 0 where none can be read."""
    words, are_read = process.memory.gather_words(addresses)
    return np.where(are_read, words, np.uint64(0))


def _are_pointers(words: Words) -> NDArray[np.bool_]:
    answer: NDArray[np.bool_] = (words > _FIRST_PAGE) & (words < 1 << 47) & (words % 8 == 0)
    return answer
