"""Names of C++ and Rust functions as their authors wrote them. A name that no library understands is returned as it is.

Names come from the target. A mangled name of 200 bytes can stand for gigabytes of text (substitutions of substitutions,
as in the billion-laughs attack), and neither library has a limit: so the calls that they make are counted, and the name
stays mangled when there are too many.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import itanium_demangler
import rust_demangler

__all__ = ["demangle"]

_MAX_NAME_CHARS = 4096  # longer names are templates nobody reads, and cost the libraries seconds
_MAX_CALLS = 100_000  # a real name of 2,000 bytes takes about 20,000; this many take some 50 ms
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
        with _calls_counted():
            return _demangled(base) or base
    except _TooMuchError:
        return base
    except Exception:  # noqa: BLE001  names come from the target; the libraries raise errors of any kind on odd ones
        return base


def _demangled(name: str) -> str:
    if name.startswith("_R") or _RUST_LEGACY.match(name):
        return _RUST_HASH.sub("", str(rust_demangler.demangle(name)))
    tree = itanium_demangler.parse(name.partition(".")[0])
    return "" if tree is None else str(tree)


class _TooMuchError(BaseException):
    """Too many calls; not an Exception, so that a library's own handler does not take it."""


@contextmanager
def _calls_counted() -> Iterator[None]:
    """Raise _TooMuchError inside the block after too many calls; the profile hook is this thread's alone."""
    left = _MAX_CALLS

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _TooMuchError

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
