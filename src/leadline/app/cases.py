"""Case files and reports on disk: written whole or not at all, never over an existing file unasked."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from typing import TYPE_CHECKING

from leadline.evidence.bundle import MAX_TEXT_BYTES, decode_bundle, encode_bundle
from leadline.model import BundleError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from leadline.evidence import Evidence

__all__ = ["check_writable", "read_case", "write_case", "write_file"]


def read_case(path: Path) -> Evidence:
    """Return the evidence of a case file.

    Raises:
        UsageError: the file cannot be read at all.
        BundleError: not a case file, damaged, or of an unknown version; the message names the file.
    """
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise BundleError(
                f"{path}: larger than any case file may be", remedy="give a file that leadline wrote with -o"
            )
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", remedy="give a case file that leadline wrote with -o"
        ) from error
    try:
        return decode_bundle(content)
    except BundleError as error:
        raise BundleError(f"{path}: {error.message}", remedy=error.remedy) from error


def write_case(path: Path, evidence: Evidence, *, force: bool = False) -> None:
    """Write a case file, readable by its owner only; raises as ``write_file``."""
    write_file(path, encode_bundle(evidence), force=force, private=True)


def check_writable(path: Path, *, force: bool = False) -> None:
    """Check before a long watch that the file may be written after it.

    Raises:
        UsageError: it exists and ``force`` is not given, or its directory is missing or not writable.
    """
    if _is_special(path):
        return
    if path.is_dir():
        raise UsageError(f"{path} is a directory", remedy="name a file")
    if path.exists() and not force:
        raise _exists(path)
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(
            f"{path.parent} is not a directory that may be written to", remedy="name another place"
        )


def write_file(path: Path, content: bytes, *, force: bool = False, private: bool = False) -> None:
    """Write a file by way of a temporary one beside it, flushed to disk, then renamed: a reader sees all of it or nothing.

    Devices and pipes (``/dev/stdout``) are written to directly. Under sudo the file belongs to the user who called sudo.

    Args:
        path: where to.
        content: all of it.
        force: replace an existing file.
        private: readable by the owner only; else as the umask says.

    Raises:
        UsageError: it exists and ``force`` is not given, or it cannot be written.
    """
    try:
        if _is_special(path):
            with path.open("wb") as special:
                special.write(content)
            return
        _replace(path, content, force=force, private=private)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", remedy="name another place"
        ) from error


def _replace(path: Path, content: bytes, *, force: bool, private: bool) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o600 if private else 0o666 & ~_umask())
            _give_to_caller(file.fileno())
            os.fsync(file.fileno())
        if force:
            os.replace(temporary, path)  # noqa: PTH105  both are plain paths
        else:
            os.link(temporary, path)  # unlike a rename it fails when the name is taken, without a race
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _give_to_caller(descriptor: int) -> None:
    """Hand the file to the user who called sudo, as far as the file system lets us."""
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and user.isdecimal() and group.isdecimal():
        with contextlib.suppress(OSError):
            os.fchown(descriptor, int(user), int(group))


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists", remedy="choose another name, or add --force to overwrite it")
