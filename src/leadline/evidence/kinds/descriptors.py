"""The kinds of evidence about processes, descriptors and sockets."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from leadline.model import SiteFrame

__all__ = [
    "BirthSample",
    "Birthplace",
    "CgroupState",
    "CloseFailure",
    "Descriptor",
    "DescriptorKind",
    "HostInfo",
    "LifetimeBucket",
    "Listener",
    "NetCounter",
    "Origin",
    "ProcessInfo",
    "Refusal",
    "SelfCost",
    "SocketState",
    "Stack",
    "TimelineSample",
    "Window",
]


class DescriptorKind(StrEnum):
    """What a descriptor refers to."""

    TCP = "tcp"
    UDP = "udp"
    UNIX = "unix"
    NETLINK = "netlink"
    PACKET = "packet"
    SOCKET = "socket"  # another family, or not looked up
    FILE = "file"
    DIRECTORY = "directory"
    DEVICE = "device"
    PIPE = "pipe"
    EVENTPOLL = "eventpoll"
    EVENTFD = "eventfd"
    TIMERFD = "timerfd"
    SIGNALFD = "signalfd"
    INOTIFY = "inotify"
    FANOTIFY = "fanotify"
    MEMFD = "memfd"
    USERFAULTFD = "userfaultfd"
    PIDFD = "pidfd"
    PERF_EVENT = "perf_event"
    BPF = "bpf"
    IO_URING = "io_uring"
    OTHER = "other"

    @property
    def report_word(self) -> str:
        """Return the word used in report documents (a closed, stable set)."""
        words = {"tcp", "udp", "unix", "file", "pipe", "eventpoll", "eventfd", "timerfd", "inotify"}
        return self.value if self.value in words else "other"

    @property
    def is_socket(self) -> bool:
        """Return whether it is a socket of any family."""
        return self.value in {"tcp", "udp", "unix", "netlink", "packet", "socket"}


class Origin(StrEnum):
    """How leadline knows where a descriptor came from."""

    TRACED = "traced"  # its birth was seen, with a stack
    BEFORE = "before"  # it was open when tracing began
    INHERITED = "inherited"  # it came over fork or exec from the parent
    UNKNOWN = "unknown"  # it appeared while tracing by a way the event stream does not see (io_uring, SCM_RIGHTS bulk, ...)


class Window(msgspec.Struct, frozen=True, kw_only=True, tag="window"):
    """The time that was observed.

    Attributes:
        begin_mono_ns, end_mono_ns: first and last moment of observation.
        begin_unix_ns: wall clock at the beginning.
        mode: ``bpf`` (births and deaths traced), ``snapshots`` (differences of tables), ``single`` (one look).
        ended_by: ``duration``, ``interrupt``, ``sure``, ``target-gone``.
    """

    begin_mono_ns: int
    end_mono_ns: int
    begin_unix_ns: int
    mode: str
    ended_by: str = "duration"

    @property
    def duration_ns(self) -> int:
        """Return the length of the window."""
        return self.end_mono_ns - self.begin_mono_ns


class HostInfo(msgspec.Struct, frozen=True, kw_only=True, tag="host_info"):
    """The machine and what it allows.

    Attributes:
        kernel_release: as ``uname -r`` says; for people, never compared.
        machine: as ``uname -m`` says, such as ``x86_64``.
        cpu_count: CPUs online.
        features: feature name to ``yes`` or the reason why not ("EPERM at BPF_PROG_LOAD").
        file_nr, file_max: host-wide open file descriptions and limit (proc/sys/fs/file-nr), None when unreadable.
        nr_open: highest allowed RLIMIT_NOFILE (proc/sys/fs/nr_open), None when unreadable.
    """

    kernel_release: str
    machine: str
    cpu_count: int
    features: dict[str, str] = {}
    file_nr: int | None = None
    file_max: int | None = None
    nr_open: int | None = None


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One listening socket.

    Attributes:
        inode: joins to Descriptor.inode.
        address: local address, ``0.0.0.0`` or ``::`` for all.
        port: local port.
        accept_queue: connections waiting to be accepted; None when unknown.
        backlog: limit of that queue; None when unknown.
    """

    inode: int
    address: str
    port: int
    accept_queue: int | None = None
    backlog: int | None = None


class ProcessInfo(msgspec.Struct, frozen=True, kw_only=True, tag="process_info"):
    """One observed process. The first record of a bundle is the target; others are its children.

    Attributes:
        pid: as seen from where leadline ran; start_boot_ns completes its identity.
        start_boot_ns: CLOCK_BOOTTIME at start (proc/PID/stat field 22, resolution 10 ms).
        comm, exe, cmdline: names; cmdline is redacted.
        parent_pid: None for the target.
        nofile_soft, nofile_hard: RLIMIT_NOFILE; None when unreadable or unlimited is impossible to tell.
        go_version: such as ``go1.26.8``; None for other languages.
        uid: effective user id; None when unreadable.
        main_package, main_module: from Go build info; None for other languages.
        modules: dependency modules from Go build info as (path, version) pairs, in their order there.
        build_settings: Go build settings such as ``-trimpath``, ``CGO_ENABLED`` (no environment secrets are in there).
        build_id: GNU or Go build id, hex or text.
        threads: thread count at the last look.
        cpu_begin_ns, cpu_ns: user + system CPU time at the first and at the last look; None when unreadable.
        rss_bytes: resident memory at the last look; None when unreadable.
        ended_mono_ns: when it was seen to have ended, None while it lives.
        exec_count: how often it called exec during the window.
        listeners: listening TCP sockets at the last look.
        container_id: 64 hex digits as the container engine names it; None outside containers or when not told by the cgroup.
        cgroup_path: as in proc/PID/cgroup; None when unreadable.
        pid_in_namespace: its pid in its own pid namespace; None when that is the same or unreadable.
    """

    pid: int
    start_boot_ns: int
    comm: str
    exe: str = ""
    cmdline: str = ""
    parent_pid: int | None = None
    uid: int | None = None
    nofile_soft: int | None = None
    nofile_hard: int | None = None
    go_version: str | None = None
    main_package: str | None = None
    main_module: str | None = None
    modules: tuple[tuple[str, str], ...] = ()
    build_settings: dict[str, str] = {}
    build_id: str | None = None
    threads: int | None = None
    cpu_begin_ns: int | None = None
    cpu_ns: int | None = None
    rss_bytes: int | None = None
    ended_mono_ns: int | None = None
    exec_count: int = 0
    listeners: tuple[Listener, ...] = ()
    container_id: str | None = None
    cgroup_path: str | None = None
    pid_in_namespace: int | None = None


class CgroupState(msgspec.Struct, frozen=True, kw_only=True, tag="cgroup_state"):
    """Memory and CPU quota of the target's cgroup, at the beginning and at the end of the window.

    Limits that say "max" (v2) or >= 2**62 (v1) are None: unlimited.

    Attributes:
        pid: the process whose cgroup it is.
        when: ``begin`` or ``end``.
        version: 1 or 2.
        path: below the cgroup mount, as in proc/PID/cgroup.
        memory_bytes: charged now; None when unreadable.
        memory_limit_bytes: memory.max or memory.limit_in_bytes; None when unlimited or unreadable.
        oom_kill_total: processes killed since the cgroup was made; None when unreadable.
        cpu_quota_us, cpu_period_us: CPU time allowed per period; quota None when unlimited or unreadable.
        nr_periods, nr_throttled: periods with runnable threads, and those in which the quota ran out, since the cgroup was made.
        throttled_ns: time that its threads were held back, since the cgroup was made.
    """

    pid: int
    when: str
    version: int
    path: str
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    oom_kill_total: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None
    nr_periods: int | None = None
    nr_throttled: int | None = None
    throttled_ns: int | None = None


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, tag="descriptor", gc=False):
    """One descriptor of the final table (or of a process's table at its exit).

    Attributes:
        pid, fd: whose table, and the number in it.
        kind: what it refers to.
        origin: how leadline knows where it came from.
        file_ref: small integer; equal numbers in one bundle mean the same open file description. None when unknown.
        inode: i_ino; None when unknown.
        device: st_dev; with ``inode`` the identity of the inode. None when unknown.
        name: link target as in proc/PID/fd (path, ``socket:[N]``, ``anon_inode:[...]``); raw from the target: escape when shown.
        birthplace: id of the Birthplace that made it; None unless origin is ``traced``.
        born_mono_ns: when it was made; None when before tracing.
        seen_since_mono_ns: first moment at which leadline knew it to be open.
        at_exit: the process had ended; this was open in the moment before.
        flags_raw: file status flags (O_*) as the kernel keeps them; None when unknown.
        cloexec: FD_CLOEXEC set; None when unknown.
        goid: goroutine that made it; None when unknown or not Go.
        tid: thread that made it; None when not traced.
    """

    pid: int
    fd: int
    kind: DescriptorKind
    origin: Origin
    inode: int | None = None
    device: int | None = None
    file_ref: int | None = None
    name: str = ""
    flags_raw: int | None = None
    cloexec: bool | None = None
    birthplace: int | None = None
    born_mono_ns: int | None = None
    seen_since_mono_ns: int
    goid: int | None = None
    tid: int | None = None
    at_exit: bool = False


class SocketState(msgspec.Struct, frozen=True, kw_only=True, tag="socket_state", gc=False):
    """One socket's kernel state.

    Fields that only TCP has, or that this kernel does not tell, are None. Names and meanings are those of tcp_info and
    inet_diag_msg (linux/tcp.h, linux/inet_diag.h).

    Attributes:
        inode: joins to Descriptor.inode.
        protocol: ``tcp``, ``udp``, ``unix``.
        family: ``inet``, ``inet6``, ``unix``.
        state: TCP state as the kernel names it (ESTABLISHED, CLOSE_WAIT, LISTEN ...); unix: ESTABLISHED, LISTEN, CLOSE.
        when: ``end`` or ``begin`` of the window.
        laddr, lport: local end, seen from the target.
        raddr, rport: remote end; empty and None for unix sockets and where there is none.
        uid: owner.
        cookie: the kernel's identity of the socket, never reused.
        rqueue_bytes, wqueue_bytes: bytes not read by the target, and not acknowledged by the peer; for LISTEN: connections
            waiting, and the backlog limit.
        timer: ``off``, ``on`` (retransmit), ``keepalive``, ``timewait``, ``persist``.
        timer_expires_ms: until that timer fires.
        retransmits_pending: unanswered retransmissions or probes so far.
        ca_state: congestion state: ``Open``, ``Disorder``, ``CWR``, ``Recovery``, ``Loss``.
        rto_us: retransmission timeout.
        rtt_us, rttvar_us: smoothed round-trip time and its variation.
        unacked, lost, retrans: segments in flight, held to be lost, and retransmitted in flight.
        total_retrans: segments retransmitted since the connection began.
        last_data_sent_ms, last_data_recv_ms, last_ack_recv_ms: how long ago.
        bytes_acked, bytes_received, bytes_sent: since the connection began.
        segs_out, segs_in: segments since the connection began.
        congestion: congestion control algorithm, such as ``cubic``.
        skmem_rmem_bytes, skmem_rcvbuf_bytes: memory of the receive side: in use, and allowed.
        skmem_wmem_bytes, skmem_sndbuf_bytes: memory of the send side: in use, and allowed.
        skmem_drops: packets dropped at this socket.
        peer_inode: unix: the other end.
        name: unix: bound name, ``@`` first for abstract ones; raw from the target: escape when shown.
    """

    inode: int
    protocol: str
    family: str
    state: str
    when: str = "end"
    laddr: str = ""
    lport: int | None = None
    raddr: str = ""
    rport: int | None = None
    uid: int | None = None
    cookie: int | None = None
    rqueue_bytes: int | None = None
    wqueue_bytes: int | None = None
    timer: str | None = None
    timer_expires_ms: int | None = None
    retransmits_pending: int | None = None
    ca_state: str | None = None
    rto_us: int | None = None
    rtt_us: int | None = None
    rttvar_us: int | None = None
    unacked: int | None = None
    lost: int | None = None
    retrans: int | None = None
    total_retrans: int | None = None
    last_data_sent_ms: int | None = None
    last_data_recv_ms: int | None = None
    last_ack_recv_ms: int | None = None
    bytes_acked: int | None = None
    bytes_received: int | None = None
    bytes_sent: int | None = None
    segs_out: int | None = None
    segs_in: int | None = None
    congestion: str | None = None
    skmem_rmem_bytes: int | None = None
    skmem_rcvbuf_bytes: int | None = None
    skmem_wmem_bytes: int | None = None
    skmem_sndbuf_bytes: int | None = None
    skmem_drops: int | None = None
    peer_inode: int | None = None
    name: str = ""


class NetCounter(msgspec.Struct, frozen=True, kw_only=True, tag="net_counter"):
    """One counter of the target's network namespace, before and after.

    Attributes:
        name: protocol and counter as the kernel writes them, such as ``TcpExt.ListenOverflows``.
        begin, end: values at the beginning and at the end of the window; the difference is what counts.
    """

    name: str
    begin: int
    end: int


class Stack(msgspec.Struct, frozen=True, kw_only=True, tag="stack"):
    """One resolved user stack.

    Attributes:
        id: what records refer to; unique in the bundle.
        pid: the process whose stack it is.
        frames: leaf first; functions that were inlined have frames of their own.
        truncated: it had more than 64 frames or did not reach the root.
    """

    id: int
    pid: int
    frames: tuple[SiteFrame, ...]
    truncated: bool = False


class LifetimeBucket(msgspec.Struct, frozen=True, array_like=True):
    """Deaths by lifetime.

    Attributes:
        lower_ns, upper_ns: lifetimes from lower_ns up to, not including, upper_ns.
        count: deaths in this bucket.
    """

    lower_ns: int
    upper_ns: int
    count: int


class BirthSample(msgspec.Struct, frozen=True, array_like=True):
    """One birthplace at one time.

    Attributes:
        mono_ns: when the counts were read.
        births, deaths: since the beginning of the window.
        alive: births whose descriptor was open then.
    """

    mono_ns: int
    births: int
    deaths: int
    alive: int


class Birthplace(msgspec.Struct, frozen=True, kw_only=True, tag="birthplace"):
    """A place that makes descriptors: kind + system call + application frames.

    Attributes:
        id: unique among the birthplaces of the bundle.
        pid: the process.
        kind: what it makes.
        syscall: name of the system call that made them, such as ``accept4``; ``snapshot`` when only tables were seen.
        role: ``dialed`` (socket that connects), ``accepted``, ``opened``, ``duplicated``, ``created``.
        stack: id of a representative Stack (the most frequent one); None when no stack was seen.
        stacks: all ids that were merged into this birthplace.
        callers: Stack ids of the goroutines that asked, nearest first (joined by goroutine parentage).
        created_by: the ``go`` statement of the goroutine that made them (runtime gopc), None when unknown or not Go.
        site: the application frame that a person should read first: the nearest frame of the user's own module in
            stack, then in callers, then created_by; None when there is none.
        site_role: role of ``site``, ``acquired``, ``caller``, ``created-by``.
        births, deaths: during the window.
        alive: births whose descriptor is in the final table.
        lifetimes: of those that died, in rising order of bounds, empty buckets left out.
        ages_ns: of those alive at the end of the window, ascending (right-censored lifetimes).
        series: samples in order of time, the first at the beginning, the last at the end of the window.
        peers: (peer, count) of the living, most frequent first, at most 8: remote address:port, path pattern or "".
    """

    id: int
    pid: int
    kind: DescriptorKind
    syscall: str
    role: str
    stack: int | None
    stacks: tuple[int, ...] = ()
    callers: tuple[int, ...] = ()
    created_by: SiteFrame | None = None
    site: SiteFrame | None = None
    site_role: str = "acquired"
    births: int
    deaths: int
    alive: int
    lifetimes: tuple[LifetimeBucket, ...] = ()
    ages_ns: tuple[int, ...] = ()
    series: tuple[BirthSample, ...] = ()
    peers: tuple[tuple[str, int], ...] = ()


class TimelineSample(msgspec.Struct, frozen=True, kw_only=True, tag="timeline_sample"):
    """Descriptors of one process at one time.

    Attributes:
        pid: the process.
        mono_ns: when it was looked at.
        alive: open descriptors of every origin.
        births, deaths: since the beginning of the window; None where only tables were seen.
        by_kind: open descriptors per kind where the table was read at that time, else empty.
    """

    pid: int
    mono_ns: int
    alive: int
    births: int | None = None
    deaths: int | None = None
    by_kind: dict[str, int] = {}


class CloseFailure(msgspec.Struct, frozen=True, kw_only=True, tag="close_failure"):
    """A group of failing closes: same error, same stack.

    Attributes:
        id: unique among the close failures of the bundle.
        pid: the process.
        count: failing closes in this group.
        error: errno name such as EBADF.
        fds: some of the numbers, at most 16.
        verdict: ``somebody-elses`` (an earlier close of the same number had hit a descriptor that another goroutine or thread
            had just been given), ``double`` (the same owner closed twice, nobody was hit), ``never-open`` (the number was not
            open while tracing), ``error`` (a real error such as EIO).
        stack: who called close; None when unknown.
        site: the application frame of ``stack`` to read first; None when there is none.
        victim_stack, victim_site: birth of the descriptor that was closed by mistake; None when nobody was hit.
        culprit_stack, culprit_site: who closed it by mistake; None when that close was not recorded.
        first_mono_ns, last_mono_ns: first and last failure; None when unknown.
    """

    id: int
    pid: int
    error: str
    count: int
    fds: tuple[int, ...]
    verdict: str
    stack: int | None
    site: SiteFrame | None = None
    victim_stack: int | None = None
    victim_site: SiteFrame | None = None
    culprit_stack: int | None = None
    culprit_site: SiteFrame | None = None
    first_mono_ns: int | None = None
    last_mono_ns: int | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """System calls that were refused a descriptor, grouped by error, call and stack.

    Attributes:
        id: unique among the refusals of the bundle.
        pid: the process.
        error: EMFILE (the process's limit) or ENFILE (the host's).
        syscall: name of the call, such as ``accept4``.
        count: refusals in this group.
        stack: id of the Stack that called; None when unknown.
        site: the application frame to read first; None when there is none.
        first_mono_ns, last_mono_ns: first and last refusal; None when unknown.
    """

    id: int
    pid: int
    error: str
    syscall: str
    count: int
    stack: int | None
    site: SiteFrame | None = None
    first_mono_ns: int | None = None
    last_mono_ns: int | None = None


class SelfCost(msgspec.Struct, frozen=True, kw_only=True, tag="self_cost"):
    """What leadline itself cost while observing.

    Attributes:
        cpu_ns: leadline's own user + system CPU time during the window.
        rss_bytes: leadline's resident memory at the end.
        window_ns: length of the window, to set cpu_ns against.
        bpf_ns, bpf_runs: run time and runs of its programs (kernel statistics); None when not measurable.
        births_seen, deaths_seen: events counted in the kernel; None in snapshot mode.
        lost_events: events that a full map or buffer lost.
        stale_dropped: descriptors that the event stream still believed in and the table did not contain.
        unknown_found: descriptors that appeared in the table without an event.
        uprobe_hits: how often the join probes fired; None when they were off.
        uprobe_note: whether they were on and why.
        reconciles: number of comparisons of the event stream with the descriptor table.
        attach_ns: from the first load to everything attached; None in snapshot mode.
    """

    cpu_ns: int
    rss_bytes: int
    window_ns: int
    bpf_ns: int | None = None
    bpf_runs: int | None = None
    births_seen: int | None = None
    deaths_seen: int | None = None
    lost_events: int = 0
    stale_dropped: int = 0
    unknown_found: int = 0
    uprobe_hits: int | None = None
    uprobe_note: str = ""
    reconciles: int = 0
    attach_ns: int | None = None
