from __future__ import annotations

import errno
import os

import pytest

from leadline.host.bpf import syscalls
from leadline.model import NotPermitted, TargetGone, Unsupported


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.EPERM, NotPermitted, "EPERM"),
        (errno.EACCES, NotPermitted, "EACCES"),
        (errno.EINVAL, Unsupported, "EINVAL"),
        (errno.ESRCH, TargetGone, "ESRCH"),
        (524, Unsupported, "ENOTSUPP"),
        (9999, Unsupported, "9999"),
    ],
)
def test_errors_name_call_and_errno(number: int, kind: type[Exception], word: str) -> None:
    error = syscalls.error_of("BPF_PROG_LOAD", number)
    assert type(error) is kind
    assert error.message.startswith(f"BPF_PROG_LOAD: {word}")
    assert error.errno_raw == number


def test_missing_rights_are_named() -> None:
    assert "CAP_BPF and CAP_PERFMON" in syscalls.error_of("BPF_MAP_CREATE", errno.EPERM).remedy


def test_attributes_are_little_endian_at_their_offsets() -> None:
    attr = syscalls.make_attr(16, (0, 4, 7), (8, 8, 1 << 40), (4, 4, -1))
    assert bytes(attr) == b"\7\0\0\0\xff\xff\xff\xff" + (1 << 40).to_bytes(8, "little")


def test_a_refused_call_is_an_error_of_ours() -> None:
    with pytest.raises((Unsupported, NotPermitted)) as caught:
        syscalls.bpf("MAP_LOOKUP_ELEM", syscalls.make_attr(32, (0, 4, 0xFFFFFF)))
    assert "BPF_MAP_LOOKUP_ELEM" in caught.value.message


def test_closing_twice_is_quiet() -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    syscalls.close_quietly(fd)
    syscalls.close_quietly(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
