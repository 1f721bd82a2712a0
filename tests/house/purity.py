"""Refuses the machine to tests of pure rooms while their body runs.

Imports cannot show everything: a rule may call ``open`` without importing a thing. So the unit tests of ``rules`` and
``formats`` run under an audit hook that refuses files, sockets and processes. Fixtures and module level are free: load
samples there.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Impure", "refusing"]

ROOT = Path(__file__).resolve().parents[2]
# Code and the tables shipped with it are not the machine: late imports, tracebacks and package data may be read.
# Hypothesis keeps its own tables (character classes) and examples in .hypothesis.
_READABLE = tuple(
    {
        str(ROOT / "src" / "leadline"),
        str(ROOT / "tests"),
        *(
            str(Path(sysconfig.get_path(name)).resolve())
            for name in ("stdlib", "platstdlib", "purelib", "platlib")
        ),
        *(str(Path(sysconfig.get_path(name))) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)
_CODE_SUFFIXES = (".py", ".pyc", ".so", ".json", ".bin", ".gz", ".md", ".txt")
_REFUSED_EVENTS = frozenset(
    {
        "os.system",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "subprocess.Popen",
        "ctypes.dlopen",
    }
)


class Impure(AssertionError):
    """A test of a pure room reached for the machine."""


class _Guard:
    def __init__(self) -> None:
        self.thread: int | None = None
        self.seen: list[str] = []
        self.installed = False

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if self.thread is None or threading.get_ident() != self.thread:
            return
        if event == "open":
            if self._may_open(args):
                return
        elif not event.startswith("socket.") and event not in _REFUSED_EVENTS:
            return
        what = f"{event}({', '.join(repr(arg)[:80] for arg in args[:2])})"
        self.seen.append(what)
        raise Impure(
            f"a pure room reached for the machine: {what}; load samples at module level or in a fixture"
        )

    def _may_open(self, args: tuple[object, ...]) -> bool:
        path, mode = args[0], args[1]
        if isinstance(path, int):
            return True  # a descriptor: opening it was seen by its path (Hypothesis writes its tables so)
        if not isinstance(path, str | bytes):
            return False
        text = path.decode(errors="replace") if isinstance(path, bytes) else path
        if "/.hypothesis/" in text or text.startswith(".hypothesis"):
            return True
        if isinstance(mode, str) and set(mode) & set("wax+"):
            # Byte code of a late import is written beside its source.
            return "__pycache__" in text
        return text.endswith(_CODE_SUFFIXES) and text.startswith(_READABLE)


_GUARD = _Guard()


@contextmanager
def refusing() -> Iterator[None]:
    """Refuse files, sockets and processes to this thread inside the block.

    Raises:
        Impure: at the call, and again at the end of the block when the code under test swallowed it.
    """
    if not _GUARD.installed:  # An audit hook cannot be removed: one for the session, armed when wanted.
        sys.addaudithook(_GUARD)
        _GUARD.installed = True
    _GUARD.seen = []
    _GUARD.thread = threading.get_ident()
    try:
        yield
    finally:
        _GUARD.thread = None
    if _GUARD.seen:
        raise Impure(f"a pure room reached for the machine, and hid it: {'; '.join(_GUARD.seen)}")
