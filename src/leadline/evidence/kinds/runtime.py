"""The kinds of evidence about the Go runtime of a process: goroutines, what they wait for, and who holds which connection.

They come from the memory of a live process, or from a goroutine dump. Addresses never leave the probe that read them: objects
have small numbers.
"""

from __future__ import annotations

import msgspec

from leadline.model import SiteFrame

__all__ = [
    "Connection",
    "DescriptorUse",
    "GoRuntime",
    "Goroutine",
    "GoroutineGroup",
    "PanicSite",
    "Pool",
    "PoolHolder",
    "Retention",
    "RetentionRoot",
    "WaitObject",
]


class GoRuntime(msgspec.Struct, frozen=True, kw_only=True, tag="go_runtime"):
    """The Go runtime of one process as a whole.

    Attributes:
        pid: the process; 0 when a dump does not tell it.
        source: ``memory`` (read from the live process), ``dump`` (a goroutine dump that somebody made), ``pprof`` (asked from
            the process's own net/http/pprof).
        go_version: such as ``go1.26.8``; None when unknown.
        first_mono_ns, last_mono_ns: when goroutines were read first and last; None for a dump.
        passes: how often goroutines were read.
        goroutines: how many there were at the last look, without those of the runtime itself.
        first_goroutines: how many there were at the first look; None when there was one look only.
        system_goroutines: goroutines of the runtime itself (GC workers and the like), which are not listed.
        running: goroutines that were on a CPU at the last look, so that they have no readable stack.
        unstable: goroutines whose stack did not hold still while it was read.
        runnable: goroutines that were ready to run and waited for a CPU, at each look in turn.
        gomaxprocs: how many goroutines may run at once; None when unknown.
        threads: threads that the runtime has made (M); None when unknown.
        gc_cycles: garbage collections begun since the start of the process; None when unknown.
        gc_cycles_in_window: of these between the first and the last look; None when unknown.
        last_gc_mono_ns: when the last collection ended; 0 when there was none; None when unknown.
        heap_live_bytes: heap in use since the last collection; None when unknown.
        heap_goal_bytes: size of the heap at which the next collection begins; None when unknown.
        gc_percent: GOGC, -1 when the collector is off; None when unknown.
        cause: what a dump says before its goroutines, such as ``fatal error: all goroutines are asleep - deadlock!``,
            redacted; "" when nothing.
    """

    pid: int
    source: str
    go_version: str | None = None
    first_mono_ns: int | None = None
    last_mono_ns: int | None = None
    passes: int = 1
    goroutines: int = 0
    first_goroutines: int | None = None
    system_goroutines: int = 0
    running: int = 0
    unstable: int = 0
    runnable: tuple[int, ...] = ()
    gomaxprocs: int | None = None
    threads: int | None = None
    gc_cycles: int | None = None
    gc_cycles_in_window: int | None = None
    last_gc_mono_ns: int | None = None
    heap_live_bytes: int | None = None
    heap_goal_bytes: int | None = None
    gc_percent: int | None = None
    cause: str = ""


class Goroutine(msgspec.Struct, frozen=True, kw_only=True, tag="goroutine", gc=False, omit_defaults=True):
    """One goroutine at the last look.

    Attributes:
        pid: the process.
        goid: its number, never used again in this process.
        state: as Go prints it: ``running``, ``runnable``, ``syscall``, or the reason why it waits, such as ``IO wait``.
        stack: id of its Stack; None when it is on a CPU, or the stack was not read.
        created_by: the ``go`` statement that started it; None for the main goroutine or when unknown.
        parent_goid: the goroutine that started it; None when unknown (before Go 1.21).
        waited_ns: it has waited at least so long, by the runtime's own notes; None when the runtime has not noted it, which
            does not mean that the wait is short.
        moved: whether it has run between the first and the last look: False is parked all the time, True has run, None is one
            look only or a goroutine that was not there at the first one.
        is_new: it was not there at the first look; False when there was one look only.
        still_ns: for at least so long it has not run, by the looks in between too: the time since the earliest look that had it
            and since which it has not run; None when it has run since the last look but one, is newer, or there was one look.
        is_stable: False when the stack did not hold still while it was read, and may be of two moments.
        tid: the thread that runs it or that it is locked to; None when there is none.
        is_locked: locked to its thread (runtime.LockOSThread).
        syscall: the system call in which its thread is; None when in none or unknown.
        syscall_fd: the descriptor that call waits on; None when it is about none or unknown.
        waits_on: ids of the WaitObjects that it waits for.
        is_leaked: the garbage collector found that nothing can ever wake it (dumps of Go 1.26+ say so).
        labels: its pprof labels, redacted.
    """

    pid: int
    goid: int
    state: str
    stack: int | None = None
    created_by: SiteFrame | None = None
    parent_goid: int | None = None
    waited_ns: int | None = None
    moved: bool | None = None
    is_new: bool = False
    still_ns: int | None = None
    is_stable: bool = True
    tid: int | None = None
    is_locked: bool = False
    syscall: str | None = None
    syscall_fd: int | None = None
    waits_on: tuple[int, ...] = ()
    is_leaked: bool = False
    labels: dict[str, str] = {}


class GoroutineGroup(
    msgspec.Struct, frozen=True, kw_only=True, tag="goroutine_group", gc=False, omit_defaults=True
):
    """Goroutines that a dump only counts by their stack (``debug=1``): it tells neither their numbers nor their states.

    Attributes:
        pid: the process; 0 when the dump does not tell it.
        stack: id of the Stack that they have in common.
        count: how many.
        labels: the pprof labels that they have in common, redacted.
    """

    pid: int
    stack: int
    count: int
    labels: dict[str, str] = {}


class DescriptorUse(
    msgspec.Struct, frozen=True, kw_only=True, tag="descriptor_use", gc=False, omit_defaults=True
):
    """What the Go runtime knows of one descriptor: who is parked on it, until when.

    Attributes:
        pid, fd: the descriptor.
        is_polled: it is registered with the runtime's network poller. False: in blocking mode, or not opened by Go's
            own packages.
        reader_goid, writer_goid: the goroutine that is parked until it can read, and until it can write; None when there
            is none.
        syscall_goids: goroutines whose thread is in a system call on it (blocking mode).
        read_deadline_mono_ns, write_deadline_mono_ns: when a read or write is given up; 0 is no deadline, -1 has expired; None
            when unknown.
        is_closing: Close was called and has not finished; None when unknown.
    """

    pid: int
    fd: int
    is_polled: bool
    reader_goid: int | None = None
    writer_goid: int | None = None
    syscall_goids: tuple[int, ...] = ()
    read_deadline_mono_ns: int | None = None
    write_deadline_mono_ns: int | None = None
    is_closing: bool | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True, tag="connection", gc=False, omit_defaults=True):
    """What the program does with one connection, as far as its layers were recognised.

    Attributes:
        pid, fd: the descriptor.
        role: ``client``, ``server``, ``listener`` or ``other``.
        protocol: ``http/1.1``, ``http/2``, ``grpc``, ``websocket``, ``sql``, ``redis``, ``tls``, ``tcp``, ``unix`` ...
        activity: clients: ``idle`` (in the pool), ``awaiting-response`` (request sent, no answer), ``body-held`` (answered,
            the body neither read to its end nor closed), ``body-reading`` (a goroutine reads it now), ``in-use``,
            ``tls-handshake``.
            Servers: ``first-byte`` (nothing came yet), ``tls-handshake``, ``headers``, ``body``, ``handler``, ``writing``,
            ``keep-alive`` (between requests), ``hijacked``. Others: ``accepting``, ``reading``, ``writing``, ``blocked`` (its
            goroutine waits for something else), ``no-goroutine`` (nobody waits on it or was seen to work with it).
        tls: whether TLS is spoken on it.
        scheme, host: as written in the URL that it was dialed for, redacted; None when unknown.
        owner_goid: the goroutine of the program that uses it now; None when there is none or it was not recognised.
        goids: all goroutines that belong to it, the owner first.
        site: the frame of the program that uses it (or waits for it); None when unknown.
        handler: the HTTP handler that serves the current request; None when there is none.
        pool: id of the Pool that it belongs to; None when in none or unknown.
        held_by: what keeps it out of its pool, as a Go type such as ``*sql.Rows`` or ``*sql.Tx``; "" when nothing does or
            it is unknown.
        since_mono_ns: since when it is in this activity; None when unknown.
        streams: open streams of HTTP/2; None when not HTTP/2 or unknown.
        known_to_goids: goroutines of the program that have the response of a ``body-held`` connection on their stack, and so may
            still read it; words on a stack may be left over from earlier calls.
        read_limit_ns, header_limit_ns, idle_limit_ns: how long the HTTP server lets a client take for a whole request, for its
            header, and between requests, as set (ReadTimeout, ReadHeaderTimeout, IdleTimeout; the latter two fall back on the
            first); 0 is no limit, None when unknown or not an HTTP server.
        server_closing: the HTTP server that took it was told to shut down; None when unknown or not an HTTP server.
        request: method and path of the HTTP/1 request that it is busy with, such as ``GET /v1/prices``, redacted; None when
            there is none or it was not recognised.
        is_reused: a client connection that has served an earlier request: who dialed it need not be who asked last; None when
            unknown or not a client's of HTTP/1.
    """

    pid: int
    fd: int
    role: str
    protocol: str
    activity: str
    tls: bool = False
    scheme: str | None = None
    host: str | None = None
    owner_goid: int | None = None
    goids: tuple[int, ...] = ()
    site: SiteFrame | None = None
    handler: SiteFrame | None = None
    pool: int | None = None
    held_by: str = ""
    since_mono_ns: int | None = None
    streams: int | None = None
    known_to_goids: tuple[int, ...] = ()
    read_limit_ns: int | None = None
    header_limit_ns: int | None = None
    idle_limit_ns: int | None = None
    server_closing: bool | None = None
    request: str | None = None
    is_reused: bool | None = None


class PoolHolder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What keeps one connection out of its pool.

    Attributes:
        how: Go type that holds it, such as ``*sql.Rows``, ``*sql.Tx``, ``*sql.Conn``; ``unknown`` when none was recognised.
        fd: the connection; None when its descriptor was not found.
        goid: the goroutine that works with it or whose stack holds it; None when there is none: then it was forgotten.
        site: frame of the program in that goroutine; None when unknown.
    """

    how: str
    fd: int | None = None
    goid: int | None = None
    site: SiteFrame | None = None


class Pool(msgspec.Struct, frozen=True, kw_only=True, tag="pool"):
    """A pool of connections inside the program.

    Attributes:
        id: unique among the pools of the bundle.
        pid: the process.
        kind: Go type: ``database/sql.DB`` or ``net/http.Transport``.
        name: driver type, or the hosts it serves; "" when unknown.
        open: connections it has, idle or in use; None when unknown.
        in_use: of these handed out; None when unknown.
        idle: of these free; None when unknown.
        max_open: most connections that it may have; 0 is unlimited; None when unknown.
        waiting_goids: goroutines that wait for a connection.
        holders: what keeps connections out of the pool.
        fds: descriptors of its connections, as far as they were found.
    """

    id: int
    pid: int
    kind: str
    name: str = ""
    open: int | None = None
    in_use: int | None = None
    idle: int | None = None
    max_open: int | None = None
    waiting_goids: tuple[int, ...] = ()
    holders: tuple[PoolHolder, ...] = ()
    fds: tuple[int, ...] = ()


class WaitObject(msgspec.Struct, frozen=True, kw_only=True, tag="wait_object", omit_defaults=True):
    """A channel, lock or group that goroutines wait for.

    Attributes:
        id: unique among the wait objects of the bundle.
        pid: the process.
        kind: ``chan``, ``mutex``, ``rwmutex``, ``waitgroup``, ``cond`` or ``semaphore``.
        name: of the global variable that it is or lies in, such as ``main.mu``; "" when unknown.
        receivers, senders: goroutines that wait to receive from and to send to a channel (those in a ``select`` too).
        waiters: goroutines that wait for a lock, group or condition.
        holders: goroutines that seem to hold the lock, or that know the object and do not wait for it: they could release it.
        held_by_code: the holders were told by the code they are in (it locks this very object), not only by their stack.
        capacity, length: of a channel's buffer; None when not a channel or unknown.
        is_closed: the channel is closed; None when not a channel or unknown.
        reachable: who else can reach it: ``global``, ``goroutine`` (one that does not wait for it), ``heap`` (held by something
            whose holder is not known), ``nobody`` (proved by a search of the heap), None when not searched.
        stacks_searched: the stacks of all other goroutines were searched for it, so that no ``holders`` says that none has it at
            hand; one that reaches it through another object is not told.
    """

    id: int
    pid: int
    kind: str
    name: str = ""
    receivers: tuple[int, ...] = ()
    senders: tuple[int, ...] = ()
    waiters: tuple[int, ...] = ()
    holders: tuple[int, ...] = ()
    held_by_code: bool = False
    capacity: int | None = None
    length: int | None = None
    is_closed: bool | None = None
    reachable: str | None = None
    stacks_searched: bool = False


class RetentionRoot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way by which an object can be reached.

    Attributes:
        kind: ``global`` (a package variable) or ``goroutine`` (a word on a stack, which may be a dead slot).
        name: the variable, such as ``main.registry``; "" when the binary is stripped, or for goroutines.
        users: functions that use the global, where its name is not known.
        goid: the goroutine; None for globals.
        function: the function in whose frame the word lies; "" for globals or when unknown.
        path: what lies between, from the root to the connection, as Go types such as ``map``, ``*main.session``, ``net.Conn``;
            ``?`` where the type is not known.
    """

    kind: str
    name: str = ""
    users: tuple[str, ...] = ()
    goid: int | None = None
    function: str = ""
    path: tuple[str, ...] = ()


class Retention(msgspec.Struct, frozen=True, kw_only=True, tag="retention"):
    """Why one descriptor's connection is still reachable, or that it is not.

    Attributes:
        pid, fd: the descriptor.
        verdict: ``reachable``, ``unreachable`` (nothing was found to reach it: the next garbage collection closes it),
            ``not-found`` (no object of Go's net or os package has this descriptor).
        go_type: Go type of the outermost object that holds the connection, such as ``*net.TCPConn`` or ``*os.File``; "" when
            it is unknown.
        roots: at most three, globals first, then by length of the path.
        scanned_bytes: memory that was searched.
        handshake_complete: for a TLS connection whether its handshake has succeeded; None when it is none or unknown.
    """

    pid: int
    fd: int
    verdict: str
    go_type: str = ""
    roots: tuple[RetentionRoot, ...] = ()
    scanned_bytes: int | None = None
    handshake_complete: bool | None = None


class PanicSite(msgspec.Struct, frozen=True, kw_only=True, tag="panic_site"):
    """Panics of one place during the window that the process survived.

    Attributes:
        id: unique among the panic sites of the bundle.
        pid: the process.
        count: how many.
        stack: id of the Stack that panicked; None when unknown.
        site: the application frame to read first; None when there is none.
        created_by: the ``go`` statement of the goroutines that panicked; None for the main goroutine or when unknown.
        first_mono_ns, last_mono_ns: first and last; None when unknown.
    """

    id: int
    pid: int
    count: int
    stack: int | None
    site: SiteFrame | None = None
    created_by: SiteFrame | None = None
    first_mono_ns: int | None = None
    last_mono_ns: int | None = None
