"""proc/PID/status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.procstatus import CAPABILITY_BITS, parse_status
from leadline.model import Malformed

TEXT = b"""Name:\tapi server
Umask:\t0022
State:\tS (sleeping)
Tgid:\t41
Ngid:\t0
Pid:\t41
PPid:\t1
Uid:\t1000\t33\t0\t0
NSpid:\t41\t7\t1
Kthread:\t0
VmRSS:\t    1712 kB
Threads:\t9
CapEff:\t0000008000080000
"""


def test_fields_are_found_by_name() -> None:
    status = parse_status(TEXT)
    assert (status.name, status.state, status.pid, status.parent_pid, status.threads) == (
        "api server",
        "S",
        41,
        1,
        9,
    )
    assert (status.uid, status.effective_uid, status.namespace_pids) == (1000, 33, (41, 7, 1))
    assert (status.rss_bytes, status.is_kernel_thread) == (1712 * 1024, False)


def test_capabilities_are_told_by_bit() -> None:
    status = parse_status(TEXT)
    assert {name for name in CAPABILITY_BITS if status.has_capability(name)} == {"CAP_BPF", "CAP_SYS_PTRACE"}


def test_what_older_kernels_and_kernel_threads_lack_is_unknown() -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith((b"NSpid", b"Kthread", b"VmRSS"))]
    status = parse_status(b"\n".join(lines))
    assert (status.namespace_pids, status.is_kernel_thread, status.rss_bytes) == ((), None, None)


@pytest.mark.parametrize("gone", [b"Name", b"State", b"Tgid", b"PPid", b"Uid", b"Threads", b"CapEff"])
def test_a_missing_line_is_malformed_and_named(gone: bytes) -> None:
    text = b"\n".join(line for line in TEXT.splitlines() if not line.startswith(gone + b":"))
    with pytest.raises(Malformed, match=gone.decode()):
        parse_status(text)


@given(
    st.binary(max_size=300)
    | st.builds(lambda a, b: TEXT[:a] + b + TEXT[a + 2 :], st.integers(0, 220), st.binary(max_size=5))
)
def test_any_bytes_give_a_value_or_malformed(text: bytes) -> None:
    try:
        value = isinstance(parse_status(text).effective_capabilities, int)
    except Malformed:
        return
    assert value
