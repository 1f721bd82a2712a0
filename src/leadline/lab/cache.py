"""The lab's folder in the user's cache, and the lock that lets several processes share it."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadline.model import DeadlineExceeded

__all__ = ["cache_dir", "locked"]

_POLL_S = 0.05


def cache_dir() -> Path:
    """Return leadline's folder in the user's cache; it exists and is writable afterwards.

    ``LEADLINE_CACHE_DIR`` wins, then ``XDG_CACHE_HOME``, then ``~/.cache``; a private folder under the temporary directory
    when none of them can be written (a service account without a home).
    """
    given = os.environ.get("LEADLINE_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  Path.expanduser raises without a home
    for folder in ([Path(given)] if given else []) + [Path(base) / "leadline"]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if folder.is_absolute() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    folder = Path(tempfile.gettempdir()) / f"leadline-cache-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # somebody else made it first: never run what they left there
        folder = Path(tempfile.mkdtemp(prefix="leadline-cache-"))
    return folder


@contextmanager
def locked(path: Path, *, deadline_s: float) -> Iterator[None]:
    """Hold an exclusive lock between processes; the kernel frees it when the holder dies.

    Raises:
        DeadlineExceeded: another process held it for longer than ``deadline_s``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + deadline_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise DeadlineExceeded(
                        f"{path} is still locked by another process after {deadline_s:.0f} s",
                        remedy="wait for the other build to end, or find it with `fuser`",
                    ) from None
                time.sleep(_POLL_S)
        yield
