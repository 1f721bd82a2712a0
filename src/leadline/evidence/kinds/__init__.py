"""The kinds of evidence, typed.

Every record is frozen and tagged; a bundle keeps one member per kind, one record per line. Times are integer
nanoseconds with the clock in the name (``mono`` is CLOCK_MONOTONIC, the clock of BPF's ``bpf_ktime_get_ns``; ``boot`` is
CLOCK_BOOTTIME; ``unix`` is CLOCK_REALTIME). ``None`` means unknown, never zero.

An observed but empty kind (no sockets at all) differs from one that was not observed: see ``Evidence.get``.
"""

from __future__ import annotations

import msgspec

from leadline.evidence.kinds.descriptors import (
    Birthplace,
    BirthSample,
    CgroupState,
    CloseFailure,
    Descriptor,
    DescriptorKind,
    HostInfo,
    LifetimeBucket,
    Listener,
    NetCounter,
    Origin,
    ProcessInfo,
    Refusal,
    SelfCost,
    SocketState,
    Stack,
    TimelineSample,
    Window,
)
from leadline.evidence.kinds.runtime import (
    Connection,
    DescriptorUse,
    Goroutine,
    GoroutineGroup,
    GoRuntime,
    PanicSite,
    Pool,
    PoolHolder,
    Retention,
    RetentionRoot,
    WaitObject,
)
from leadline.model import Gap

__all__ = [
    "KINDS",
    "BirthSample",
    "Birthplace",
    "CgroupState",
    "CloseFailure",
    "Connection",
    "Descriptor",
    "DescriptorKind",
    "DescriptorUse",
    "GoRuntime",
    "Goroutine",
    "GoroutineGroup",
    "HostInfo",
    "LifetimeBucket",
    "Listener",
    "NetCounter",
    "Origin",
    "PanicSite",
    "Pool",
    "PoolHolder",
    "ProcessInfo",
    "Refusal",
    "Retention",
    "RetentionRoot",
    "SelfCost",
    "SocketState",
    "Stack",
    "TimelineSample",
    "WaitObject",
    "Window",
]

KINDS: dict[str, type[msgspec.Struct]] = {
    "window": Window,
    "host_info": HostInfo,
    "process_info": ProcessInfo,
    "cgroup_state": CgroupState,
    "descriptor": Descriptor,
    "socket_state": SocketState,
    "net_counter": NetCounter,
    "stack": Stack,
    "birthplace": Birthplace,
    "timeline_sample": TimelineSample,
    "close_failure": CloseFailure,
    "refusal": Refusal,
    "go_runtime": GoRuntime,
    "goroutine": Goroutine,
    "goroutine_group": GoroutineGroup,
    "descriptor_use": DescriptorUse,
    "connection": Connection,
    "pool": Pool,
    "wait_object": WaitObject,
    "retention": Retention,
    "panic_site": PanicSite,
    "self_cost": SelfCost,
    "gap": Gap,
}
"""Every kind by its name in a bundle, in the order in which members are written."""
