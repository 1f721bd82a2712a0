"""Sample evidence and verdicts for tests of reports, exports and bundles: one Go service that leaks, with healthy company."""

from __future__ import annotations

from dataclasses import dataclass

from leadline.evidence import Evidence
from leadline.evidence.kinds import (
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
from leadline.model import (
    Because,
    Cleared,
    Finding,
    Gap,
    GapReason,
    Layer,
    NotJudged,
    Severity,
    Site,
    SiteFrame,
)

__all__ = [
    "HOSTILE",
    "LEAK_COUNT",
    "S",
    "SampleVerdicts",
    "sample_cleared",
    "sample_evidence",
    "sample_findings",
    "sample_not_judged",
    "sample_verdicts",
]

S = 1_000_000_000
LEAK_COUNT = 23
PID = 4711
HOSTILE = "x<script>alert(1)</script></style>\"'&\x1b[31mred\x1b]0;t\x07\u202egnp\u2066\r\n::error::%"
"""What a target may call a function, file or path to hurt whoever looks."""

FETCH = SiteFrame(function="main.fetchQuote", file="/src/quotes/quote.go", line=42, role="app")
HANDLE = SiteFrame(function="main.(*server).handle", file="/src/quotes/main.go", line=17, role="app")
DIAL_STACK = (
    SiteFrame(
        function="syscall.Socket", file="/usr/local/go/src/syscall/syscall_unix.go", line=508, role="std"
    ),
    SiteFrame(
        function="net.sysSocket",
        file="/usr/local/go/src/net/sock_cloexec.go",
        line=19,
        role="std",
        inlined=True,
    ),
    SiteFrame(function="net.socket", file="/usr/local/go/src/net/sock_posix.go", line=18, role="std"),
    SiteFrame(
        function="net/http.(*Transport).dialConn",
        file="/usr/local/go/src/net/http/transport.go",
        line=1780,
        role="std",
    ),
    SiteFrame(
        function="runtime.goexit", file="/usr/local/go/src/runtime/asm_amd64.s", line=1693, role="runtime"
    ),
)
CALLER_STACK = (
    SiteFrame(
        function="net/http.(*Transport).roundTrip",
        file="/usr/local/go/src/net/http/transport.go",
        line=640,
        role="std",
    ),
    SiteFrame(
        function="net/http.(*Client).Get", file="/usr/local/go/src/net/http/client.go", line=480, role="std"
    ),
    FETCH,
    HANDLE,
    SiteFrame(
        function="net/http.HandlerFunc.ServeHTTP",
        file="/usr/local/go/src/net/http/server.go",
        line=2220,
        role="std",
    ),
    SiteFrame(
        function="runtime.goexit", file="/usr/local/go/src/runtime/asm_amd64.s", line=1693, role="runtime"
    ),
)
POOL_SITE = SiteFrame(function="main.openPool", file="/src/quotes/db.go", line=31, role="app")


def _series(
    births_per_s: float, deaths_per_s: float, final_alive: int, seconds: int = 30
) -> tuple[BirthSample, ...]:
    samples = []
    for second in range(seconds + 1):
        births = int(births_per_s * second)
        deaths = min(int(deaths_per_s * second), births)
        alive = final_alive if second == seconds else births - deaths
        samples.append(BirthSample((100 + second) * S, births, deaths, alive))
    return tuple(samples)


def sample_evidence(
    *, leaking: bool = True, hostile: bool = False, sockets: int = 0, scale: int = 1
) -> Evidence:
    """Return evidence of 30 s of a service.

    Args:
        leaking: whether 23 client connections stay; else every one that is made dies.
        hostile: names from the target try to break out of whatever shows them.
        sockets: so many further accepted connections.
        scale: births of the healthy birthplace, in hundreds.
    """
    evidence = Evidence()
    comm = HOSTILE if hostile else "quotes"
    site = (
        FETCH
        if not hostile
        else SiteFrame(function=f"main.{HOSTILE}", file=f"/src/{HOSTILE}.go", line=42, role="app")
    )
    alive = LEAK_COUNT if leaking else 0
    evidence.put(
        Window(begin_mono_ns=100 * S, end_mono_ns=130 * S, begin_unix_ns=1_790_000_000 * S, mode="bpf")
    )
    evidence.put(
        HostInfo(
            kernel_release="6.1.0-18-amd64",
            machine="x86_64",
            cpu_count=4,
            features={"bpf": "yes", "uprobe": "yes"},
            file_nr=3_210,
            file_max=1_000_000,
            nr_open=1_048_576,
        )
    )
    evidence.put(
        ProcessInfo(
            pid=PID,
            start_boot_ns=5_000 * S,
            comm=comm,
            exe="/srv/quotes",
            cmdline="/srv/quotes -listen=:8080",
            nofile_soft=1_024,
            nofile_hard=1_048_576,
            go_version="go1.26.8",
            main_package="example.com/quotes",
            main_module="example.com/quotes",
            modules=(("example.com/pool", "v1.4.0"),),
            build_settings={"-trimpath": "true", "CGO_ENABLED": "0"},
            build_id="abc/def",
            threads=9,
            cpu_begin_ns=1 * S,
            cpu_ns=3 * S,
            rss_bytes=40 << 20,
            listeners=(Listener(inode=900, address="::", port=8080, accept_queue=0, backlog=4096),),
            cgroup_path="/system.slice/quotes.service",
        )
    )
    evidence.put(
        CgroupState(
            pid=PID,
            when="end",
            version=2,
            path="/system.slice/quotes.service",
            memory_bytes=60 << 20,
            memory_limit_bytes=None,
        )
    )
    descriptors = [
        Descriptor(
            pid=PID,
            fd=fd,
            kind=DescriptorKind.DEVICE,
            origin=Origin.BEFORE,
            inode=5,
            device=6,
            file_ref=1,
            name="/dev/null",
            seen_since_mono_ns=100 * S,
        )
        for fd in range(3)
    ]
    descriptors.append(
        Descriptor(
            pid=PID,
            fd=3,
            kind=DescriptorKind.TCP,
            origin=Origin.BEFORE,
            inode=900,
            file_ref=2,
            name="socket:[900]",
            seen_since_mono_ns=100 * S,
        )
    )
    descriptors.append(
        Descriptor(
            pid=PID,
            fd=4,
            kind=DescriptorKind.EVENTPOLL,
            origin=Origin.BEFORE,
            inode=12,
            file_ref=3,
            name="anon_inode:[eventpoll]",
            seen_since_mono_ns=100 * S,
        )
    )
    descriptors.append(
        Descriptor(
            pid=PID,
            fd=5,
            kind=DescriptorKind.FILE,
            origin=Origin.UNKNOWN,
            inode=77,
            device=8,
            file_ref=4,
            name=f"/var/{HOSTILE}" if hostile else "/var/lib/quotes/data.db",
            seen_since_mono_ns=110 * S,
        )
    )
    states = [
        SocketState(
            inode=900,
            protocol="tcp",
            family="inet6",
            state="LISTEN",
            laddr="::",
            lport=8080,
            rqueue_bytes=0,
            wqueue_bytes=4096,
            timer="off",
        )
    ]
    for number in range(alive):
        born = (101 + number) * S
        descriptors.append(
            Descriptor(
                pid=PID,
                fd=10 + number,
                kind=DescriptorKind.TCP,
                origin=Origin.TRACED,
                inode=1000 + number,
                file_ref=10 + number,
                name=f"socket:[{1000 + number}]",
                birthplace=1,
                born_mono_ns=born,
                seen_since_mono_ns=born,
                goid=50 + number,
                cloexec=True,
            )
        )
        states.append(
            SocketState(
                inode=1000 + number,
                protocol="tcp",
                family="inet",
                state="CLOSE_WAIT",
                laddr="10.0.0.5",
                lport=40000 + number,
                raddr="10.0.0.9",
                rport=443,
                rqueue_bytes=1,
                wqueue_bytes=0,
                timer="off",
                rtt_us=412,
                rto_us=204_000,
                last_data_recv_ms=29_000 - 1000 * number,
                bytes_received=1_431,
                total_retrans=0,
                congestion="cubic",
            )
        )
    for number in range(4):
        descriptors.append(
            Descriptor(
                pid=PID,
                fd=60 + number,
                kind=DescriptorKind.TCP,
                origin=Origin.TRACED,
                inode=2000 + number,
                file_ref=100 + number,
                name=f"socket:[{2000 + number}]",
                birthplace=2,
                born_mono_ns=102 * S,
                seen_since_mono_ns=102 * S,
            )
        )
        states.append(
            SocketState(
                inode=2000 + number,
                protocol="tcp",
                family="inet",
                state="ESTABLISHED",
                laddr="10.0.0.5",
                lport=50000 + number,
                raddr="10.0.0.7",
                rport=5432,
                rqueue_bytes=0,
                wqueue_bytes=0,
                timer="keepalive",
                timer_expires_ms=9_000,
                rtt_us=180,
            )
        )
    for number in range(sockets):
        descriptors.append(
            Descriptor(
                pid=PID,
                fd=1000 + number,
                kind=DescriptorKind.TCP,
                origin=Origin.BEFORE,
                inode=10_000 + number,
                file_ref=1000 + number,
                name=f"socket:[{10_000 + number}]",
                seen_since_mono_ns=100 * S,
            )
        )
        states.append(
            SocketState(
                inode=10_000 + number,
                protocol="tcp",
                family="inet",
                state="ESTABLISHED",
                laddr="10.0.0.5",
                lport=8080,
                raddr=f"10.1.{number >> 8 & 255}.{number & 255}",
                rport=1024 + number,
                rqueue_bytes=0,
                wqueue_bytes=0,
                timer="off",
                rtt_us=100 + number,
            )
        )
    evidence.put_all(Descriptor, descriptors)
    evidence.put_all(SocketState, states)
    evidence.put(NetCounter(name="TcpExt.ListenOverflows", begin=5, end=5))
    frames = tuple(site if frame is FETCH else frame for frame in CALLER_STACK)
    evidence.put(Stack(id=1, pid=PID, frames=DIAL_STACK))
    evidence.put(Stack(id=2, pid=PID, frames=frames))
    evidence.put(Stack(id=3, pid=PID, frames=(DIAL_STACK[0], DIAL_STACK[2], POOL_SITE)))
    evidence.put_all(
        Birthplace,
        [
            Birthplace(
                id=1,
                pid=PID,
                kind=DescriptorKind.TCP,
                syscall="socket",
                role="dialed",
                stack=1,
                stacks=(1,),
                callers=(2,),
                site=site,
                site_role="caller",
                births=LEAK_COUNT + 2,
                deaths=LEAK_COUNT + 2 - alive,
                alive=alive,
                lifetimes=(LifetimeBucket(1 << 20, 1 << 21, LEAK_COUNT + 2 - alive),),
                ages_ns=tuple(sorted((130 - 101 - number) * S for number in range(alive))),
                series=_series(0.8, 0.05 if leaking else 0.8, alive),
                peers=((("10.0.0.9:443", alive),) if alive else ()),
            ),
            Birthplace(
                id=2,
                pid=PID,
                kind=DescriptorKind.TCP,
                syscall="socket",
                role="dialed",
                stack=3,
                stacks=(3,),
                site=POOL_SITE,
                births=scale * 100,
                deaths=scale * 100 - 4,
                alive=4,
                lifetimes=(LifetimeBucket(1 << 24, 1 << 25, scale * 100 - 4),),
                ages_ns=(28 * S,) * 4,
                series=_series(3.3 * scale, 3.2 * scale, 4),
                peers=(("10.0.0.7:5432", 4),),
            ),
        ],
    )
    evidence.put_all(
        TimelineSample,
        [
            TimelineSample(
                pid=PID,
                mono_ns=(100 + second) * S,
                alive=10 + (alive * second) // 30,
                births=4 * second,
                deaths=3 * second,
                by_kind={"tcp": 5 + (alive * second) // 30, "device": 3, "eventpoll": 1, "file": 1}
                if second % 10 == 0
                else {},
            )
            for second in range(31)
        ],
    )
    evidence.put_all(
        CloseFailure,
        [
            CloseFailure(
                id=1, pid=PID, error="EBADF", count=3, fds=(12, 13), verdict="double", stack=3, site=POOL_SITE
            )
        ],
    )
    evidence.put_all(Refusal, [])
    evidence.put(
        SelfCost(
            cpu_ns=900_000_000,
            rss_bytes=70 << 20,
            window_ns=30 * S,
            bpf_ns=4_500_000,
            bpf_runs=6_000,
            births_seen=125,
            deaths_seen=100,
            uprobe_hits=25,
            uprobe_note="on: 25 hits, 0.8 per second",
            reconciles=4,
            attach_ns=120_000_000,
        )
    )
    evidence.gap(
        Gap(
            what="descriptors received over unix sockets in bulk",
            reason=GapReason.OVERRUN,
            detail="1 event did not fit",
            remedy="raise --ring-size",
            lost_count=1,
            probe="trace_descriptors",
        )
    )
    return evidence


def sample_findings(*, hostile: bool = False) -> tuple[Finding, ...]:
    """Return two findings, the milder first, so that the order must come from the view."""
    function = f"main.{HOSTILE}" if hostile else FETCH.function
    file = f"/src/{HOSTILE}.go" if hostile else FETCH.file
    site = Site(
        function=function,
        file=file,
        line=42,
        role="caller",
        stack=tuple(
            SiteFrame(function=function, file=file, line=42, role="app") if frame is FETCH else frame
            for frame in CALLER_STACK
        ),
        source=(
            (41, "\tclient := &http.Client{}"),
            (42, f"\tresp, err := client.Get(url) {HOSTILE if hostile else ''}".rstrip()),
            (43, "\tif err != nil {"),
        ),
    )
    dialed = Site(
        function=DIAL_STACK[3].function,
        file=DIAL_STACK[3].file,
        line=DIAL_STACK[3].line,
        role="acquired",
        stack=DIAL_STACK,
    )
    return (
        Finding(
            code="FDL301",
            name="double-close",
            severity=Severity.MEDIUM,
            confidence=0.8,
            layer=Layer.SYSCALL,
            title="3 closes failed with EBADF at main.openPool",
            explanation="A descriptor is closed twice.",
            pid=PID,
            remedy="Close it once, where it is owned.",
            verify="Trace again: no failing close is listed.",
            count=3,
            because=(
                Because(
                    evidence="close_failure:1",
                    layer=Layer.SYSCALL,
                    says="close of 12 and 13 failed with EBADF, 3 times",
                ),
            ),
            sites=(
                Site(
                    function=POOL_SITE.function,
                    file=POOL_SITE.file,
                    line=POOL_SITE.line,
                    role="closed",
                    stack=(POOL_SITE,),
                ),
            ),
        ),
        Finding(
            code="FDL101",
            name="leaking-tcp-client",
            severity=Severity.HIGH,
            confidence=0.97,
            layer=Layer.SYSCALL,
            pid=PID,
            title=f"23 TCP connections dialled for {function} are never closed",
            explanation="Each call leaves one connection open. The body of the response is neither read to its end nor closed, so"
            " the connection can neither be used again nor given back.",
            remedy="Close resp.Body on every path: `defer resp.Body.Close()` right after the error check.",
            verify="leadline trace port:8080 -d 60s: FDL101 is gone and the birthplace is listed as churning.",
            kind="tcp",
            count=LEAK_COUNT,
            rate_per_s=0.77,
            sites=(site, dialed),
            because=(
                Because(
                    evidence="birthplace:1",
                    layer=Layer.SYSCALL,
                    says="25 births, 2 deaths in 30 s; 23 alive, the oldest for 29 s",
                ),
                Because(
                    evidence="socket:1000",
                    layer=Layer.KERNEL,
                    says="23 of 23 sockets are in CLOSE_WAIT: the peer has closed, we have not",
                ),
            ),
            against=(
                Because(
                    evidence="window",
                    layer=Layer.SYSCALL,
                    says="the window was 30 s: a pool with a longer idle timeout looks alike",
                ),
            ),
            related=("SRC101",),
        ),
    )


def sample_cleared() -> tuple[Cleared, ...]:
    """Return one healthy birthplace."""
    return (
        Cleared(
            code="FDL101",
            name="leaking-tcp-client",
            subject="TCP connections dialled at main.openPool /src/quotes/db.go:31",
            reason="100 births, 96 deaths; the alive count stayed at 4",
            pattern="plateau",
            count=4,
            kind="tcp",
            because=(Because(evidence="birthplace:2", layer=Layer.SYSCALL, says="4 alive since second 2"),),
        ),
        Cleared(
            code="FDL201",
            name="limit-near",
            subject="descriptors of quotes",
            reason="33 of 1024 (3.2 %)",
            pattern="none",
        ),
    )


def sample_not_judged() -> tuple[NotJudged, ...]:
    """Return one rule that could not look."""
    return (
        NotJudged(
            code="NET201",
            name="accept-queue-full",
            missing="the listener's accept queue",
            remedy="run as root or with CAP_NET_ADMIN",
        ),
    )


@dataclass(frozen=True, slots=True)
class SampleVerdicts:
    """All verdicts on the sample; the engine's ``Diagnosis`` has the same fields."""

    findings: tuple[Finding, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    gaps: tuple[Gap, ...] = ()


def sample_verdicts(*, hostile: bool = False) -> SampleVerdicts:
    """Return two findings, two cleared subjects and a rule that could not judge."""
    return SampleVerdicts(sample_findings(hostile=hostile), sample_cleared(), sample_not_judged())
