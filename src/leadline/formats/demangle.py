"""Names of C++ and Rust functions as their authors wrote them. A name that no library understands is returned as it is."""

from __future__ import annotations

import re
from functools import lru_cache

import itanium_demangler
import rust_demangler

__all__ = ["demangle"]

_MAX_NAME_CHARS = 4096  # longer names are templates nobody reads, and cost the libraries seconds
_RUST_LEGACY = re.compile(r"_ZN.*17h[0-9a-f]{16}E(?:\.|@|\Z)")
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}\Z")


@lru_cache(maxsize=8192)
def demangle(name: str) -> str:
    """Return the readable form of a symbol name.

    Rust legacy names look like C++ names, so Rust comes first; its hash is dropped. Symbol versions (``@GLIBC_2.2``)
    and suffixes of the compiler (``.part.0``, ``.cold``) are kept out of demangling.

    >>> demangle("_ZNSt6vectorIiSaIiEE9push_backEOi"), demangle("_RNvC6_123foo3bar"), demangle("epoll_wait@GLIBC_2.3")
    ('std::vector<int, std::allocator<int>>::push_back(int&&)', '123foo::bar', 'epoll_wait')
    """
    base = name.partition("@")[0]
    if not base.startswith(("_Z", "__Z", "_R")) or len(base) > _MAX_NAME_CHARS:
        return base or name
    try:
        if base.startswith("_R") or _RUST_LEGACY.match(base):
            return _RUST_HASH.sub("", str(rust_demangler.demangle(base))) or base
        tree = itanium_demangler.parse(base.partition(".")[0])
        return (str(tree) if tree is not None else "") or base
    except Exception:  # noqa: BLE001  names come from the target; the libraries raise errors of any kind on odd ones
        return base
