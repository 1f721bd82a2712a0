"""What leak findings say: nouns per kind, mechanisms and remedies per way of acquiring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.evidence.kinds import DescriptorKind
from leadline.rules.fdl.suspects import Living, Standing, is_pooled

if TYPE_CHECKING:
    from leadline.evidence.kinds import Birthplace

__all__ = ["Advice", "advice", "things"]

_NOUNS = {
    DescriptorKind.TCP: ("TCP socket", "TCP sockets"),
    DescriptorKind.UDP: ("UDP socket", "UDP sockets"),
    DescriptorKind.UNIX: ("unix socket", "unix sockets"),
    DescriptorKind.NETLINK: ("netlink socket", "netlink sockets"),
    DescriptorKind.PACKET: ("packet socket", "packet sockets"),
    DescriptorKind.SOCKET: ("socket", "sockets"),
    DescriptorKind.FILE: ("file", "files"),
    DescriptorKind.DIRECTORY: ("directory", "directories"),
    DescriptorKind.DEVICE: ("device", "devices"),
    DescriptorKind.PIPE: ("pipe end", "pipe ends"),
    DescriptorKind.EVENTPOLL: ("epoll instance", "epoll instances"),
    DescriptorKind.EVENTFD: ("eventfd", "eventfds"),
    DescriptorKind.TIMERFD: ("timerfd", "timerfds"),
    DescriptorKind.SIGNALFD: ("signalfd", "signalfds"),
    DescriptorKind.INOTIFY: ("inotify instance", "inotify instances"),
    DescriptorKind.FANOTIFY: ("fanotify group", "fanotify groups"),
    DescriptorKind.MEMFD: ("memfd", "memfds"),
    DescriptorKind.USERFAULTFD: ("userfaultfd", "userfaultfds"),
    DescriptorKind.PIDFD: ("pidfd", "pidfds"),
    DescriptorKind.PERF_EVENT: ("perf event", "perf events"),
    DescriptorKind.BPF: ("BPF object", "BPF objects"),
    DescriptorKind.IO_URING: ("io_uring", "io_urings"),
    DescriptorKind.OTHER: ("descriptor", "descriptors"),
}
_CONNECTIONS = {DescriptorKind.TCP, DescriptorKind.UNIX}


def things(kind: DescriptorKind, role: str, count: int, *, listening: bool = False) -> str:
    """Return ``23 TCP connections dialed`` and the like."""
    one, many = _NOUNS[kind]
    if listening:
        return f"{count} {'listening ' + (one if count == 1 else many)} opened"
    if kind in _CONNECTIONS and role in {"dialed", "accepted"}:
        one, many = one.replace("socket", "connection"), many.replace("sockets", "connections")
    if kind is DescriptorKind.PIPE or (role == "opened" and kind.is_socket):
        role = "created" if role == "opened" else role
    return f"{count} {one if count == 1 else many} {role}"


@dataclass(frozen=True, slots=True)
class Advice:
    """The mechanism of a leak and what to change."""

    mechanism: str
    remedy: str


def advice(birthplace: Birthplace, functions: tuple[str, ...], living: Living, *, is_go: bool) -> Advice:
    """Return what keeps these descriptors open and what to change, as far as stack and sockets tell."""
    if birthplace.role == "duplicated":
        return Advice(
            "Each duplicate holds the underlying socket or file open by itself; closing the original does not close it.",
            "Close the duplicate too: File() of a connection or listener returns a copy that needs its own Close.",
        )
    if birthplace.kind is DescriptorKind.TCP and birthplace.role == "accepted":
        return _accepted(is_go=is_go)
    if birthplace.kind.is_socket and birthplace.role == "dialed":
        return _dialed(functions, living, is_go=is_go)
    return _plain(birthplace, functions, is_go=is_go)


def _accepted(*, is_go: bool) -> Advice:
    mechanism = "The clients have closed their side; this process was told (end of file) but never closed its own descriptor."
    if is_go:
        return Advice(
            mechanism,
            "Put `defer conn.Close()` first in the goroutine that serves the connection, before any defer that"
            " recovers, and remove it from every table when it ends; give it a read deadline.",
        )
    return Advice(
        mechanism, "Close the accepted descriptor on every path, the one after read() returned 0 included."
    )


def _dialed(functions: tuple[str, ...], living: Living, *, is_go: bool) -> Advice:
    if not is_go:
        return Advice(
            "The descriptor that connect() used is still open after its work ended.",
            "Close it on every path, error paths included.",
        )
    if any(name.startswith("database/sql.") for name in functions):
        return Advice(
            "The pool dials a connection while others are silent: those are still checked out by rows or transactions"
            " that were not ended.",
            "Call rows.Close (defer it after the error check), Scan every QueryRow, end every Tx, and set"
            " SetMaxOpenConns so that the fault shows early.",
        )
    if is_pooled(functions):
        return _http(living)
    if any(name.startswith("crypto/tls.") for name in functions):
        return Advice(
            "The TLS layer does not own a connection that it was given: after a failed handshake the caller must close it.",
            "Close the connection on every path: `defer conn.Close()` after the dial, also when Handshake fails.",
        )
    return Advice(
        "Nothing closes the connection after its work; Go closes it only if a garbage collection finds it unreachable.",
        "Put `defer conn.Close()` directly after the error check of the dial, or hand it to something that closes it;"
        " cancelling the dial's context afterwards does not close it.",
    )


def _http(living: Living) -> Advice:
    waiting = living.standings[Standing.WAITING]
    if waiting * 2 > len(living.ages_ns):
        return Advice(
            f"{waiting} of them have sent a request and never received a byte: a goroutine waits for each answer, without"
            " a limit in time.",
            "Set http.Client.Timeout, or a context with a deadline on each request; see what the peer is waiting for.",
        )
    unread = living.standings[Standing.UNREAD] + living.standings[Standing.PEER_GONE]
    sure = f" On {unread} of them data or the peer's close waits unread." if unread else ""
    return Advice(
        "A connection goes back to the pool only when its response body was read to the end or closed. These were silent"
        f" while the client dialed new ones to the same peer, so the pool does not have them.{sure}",
        "Put `defer resp.Body.Close()` directly after the error check of every request, also when only the status is read."
        " If bodies are closed, use one http.Client and Transport for all requests instead of one for each.",
    )


def _plain(birthplace: Birthplace, functions: tuple[str, ...], *, is_go: bool) -> Advice:
    if not is_go:
        return Advice(
            "Nothing closes them after use.", "Close the descriptor on every path, error paths included."
        )
    if birthplace.kind is DescriptorKind.PIPE:
        if any(name.startswith("os/exec.") for name in functions):
            return Advice(
                "StdoutPipe, StderrPipe and StdinPipe are closed by Wait; a command that was started and not waited for"
                " keeps them.",
                "Call cmd.Wait on every path after cmd.Start, or use Run, Output or CombinedOutput.",
            )
        return Advice(
            "A pipe has two ends and both stay open until each is closed.",
            "Close both ends of every os.Pipe on every path, the end handed to a child too.",
        )
    if birthplace.kind in {DescriptorKind.FILE, DescriptorKind.DIRECTORY, DescriptorKind.DEVICE}:
        return Advice(
            "The file is opened again and again and something still refers to each os.File; Go closes one by itself only"
            " if a garbage collection finds it unreachable.",
            "Put `defer file.Close()` directly after the error check; inside a loop, move the body into a function, since"
            " defer runs at the end of the function.",
        )
    return Advice(
        "Nothing closes them after use.",
        "Close what this call returned on every path: put `defer x.Close()` (or the library's Stop or Shutdown) directly after"
        " the error check, and create long-lived ones once, not for each request.",
    )
