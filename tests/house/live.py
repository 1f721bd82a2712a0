"""Decides whether live tests can run here, and says what would let them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

__all__ = ["must_run", "obstacle"]

# Bits of capability sets (linux/capability.h).
CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF = 19, 38, 39


def must_run() -> bool:
    """Return whether a live test that cannot run is a failure: ``LEADLINE_REQUIRE_LIVE=1``, as CI sets it."""
    return os.environ.get("LEADLINE_REQUIRE_LIVE", "") not in {"", "0"}


@cache
def obstacle() -> str | None:
    """Return why live tests cannot run on this machine, with the remedy; None when they can."""
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "this kernel has no BTF (/sys/kernel/btf/vmlinux); remedy: a kernel with CONFIG_DEBUG_INFO_BTF"
    status = Path("/proc/self/status").read_text()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    wanted = {"CAP_BPF": CAP_BPF, "CAP_PERFMON": CAP_PERFMON, "CAP_SYS_PTRACE": CAP_SYS_PTRACE}
    missing = [name for name, bit in wanted.items() if not effective >> bit & 1]
    if missing:
        return f"{', '.join(missing)} missing; remedy: sudo .venv/bin/python -m pytest tests/live"
    return None
