"""Which process a TARGET means: a pid, ``name:``, ``port:``, ``unit:``, ``container:`` or ``pod:``.

A name must mean one process: a guess would send a person on call to the wrong service. A port, unit, container or pod may
hold several; then the one that listens is meant, of several the oldest, and the others are told.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadline.evidence.redaction import redact_command_line
from leadline.formats.cgroup import container_id, parse_cgroup, pod_uid, unit_name
from leadline.formats.procfd import socket_inodes
from leadline.formats.procstat import parse_stat
from leadline.formats.procstatus import parse_status
from leadline.formats.sockdiag import AF_INET, AF_INET6, ALL_STATES, ANY_FAMILY, SocketTable, decode_dump
from leadline.model import (
    AccessError,
    LeadlineError,
    Malformed,
    NotPermitted,
    TargetGone,
    UsageError,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from leadline.contracts import Host

__all__ = ["Candidate", "FoundTarget", "resolve"]

FORMS = "a pid, name:NAME, port:8080, unit:NAME, container:ID or pod:NAMESPACE/NAME"
_MOST_LISTED = 12
_SHORTEST_CONTAINER_ID = 12
_COMM_BYTES = 15
_COMMAND_WIDTH = 48
_TCP, _UDP = 6, 17
_LISTEN_STATE = 1 << 10
_DELETED = " (deleted)"
_PAUSE = frozenset({"pause", "catatonit", "conmon", "tini", "dumb-init", "docker-init"})
_AS_ROOT = "run as root with all capabilities, outside of containers"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A process that could be meant."""

    pid: int
    comm: str
    start_ticks: int


@dataclass(frozen=True, slots=True)
class FoundTarget:
    """The process that is meant.

    Attributes:
        pid: in the pid namespace of leadline's proc.
        start_ticks: with the pid its identity.
        asked: the TARGET as written.
        note: why this one of several, empty when there was only one.
        others: the processes that could have been meant, too.
    """

    pid: int
    comm: str
    start_ticks: int
    asked: str
    note: str = ""
    others: tuple[Candidate, ...] = ()


def resolve(host: Host, target: str) -> FoundTarget:
    """Return the process that a TARGET means.

    Raises:
        UsageError: it means none, or a name means several; the message lists them.
        NotPermitted: what it means exists, but may not be read.
    """
    form, colon, value = target.partition(":")
    if not colon:
        if target.isascii() and target.isdigit() and len(target) <= 10:
            return _by_pid(host, int(target))
        raise UsageError(
            f"{printable(target)!r} is not a target", remedy=f"write {FORMS}; a name as name:{target}"
        )
    finders: dict[str, Callable[[Host, str, str], FoundTarget]] = {
        "pid": lambda host, value, _: resolve(host, value),
        "name": _by_name,
        "port": _by_port,
        "unit": _by_unit,
        "container": _by_container,
        "pod": _by_pod,
    }
    if form not in finders or not value:
        raise UsageError(f"{printable(target)!r} is not a target", remedy=f"write {FORMS}")
    return finders[form](host, value, target)


# -- one process ---------------------------------------------------------------------------------------------


def _by_pid(host: Host, pid: int) -> FoundTarget:
    try:
        stat = parse_stat(host.read_proc(f"{pid}/stat"))
        status = parse_status(host.read_proc(f"{pid}/status"))
    except (TargetGone, Malformed) as exc:
        raise UsageError(f"there is no process {pid}", remedy="ps -e lists what there is") from exc
    if status.pid != pid:
        raise UsageError(
            f"{pid} is a thread of process {status.pid}", remedy=f"name the process: {status.pid}"
        )
    if stat.state in {"Z", "X"}:
        raise UsageError(f"process {pid} has ended and only waits for its parent to notice")
    return FoundTarget(pid=pid, comm=stat.comm, start_ticks=stat.start_ticks, asked=str(pid))


def _by_name(host: Host, name: str, asked: str) -> FoundTarget:
    matches = [
        candidate
        for candidate in _processes(host)
        if candidate.comm == name[:_COMM_BYTES] or _program_name(host, candidate.pid) == name
    ]
    if not matches:
        raise UsageError(
            f"no process is named {printable(name)!r}",
            remedy="the name is that of ps -e, or the program's file name",
        )
    if len(matches) > 1:
        raise UsageError(
            f"{len(matches)} processes are named {printable(name)!r}:\n{_listing(host, matches)}",
            remedy="name one by its pid, or by port:N",
        )
    return _chosen(matches[0], (), asked, "")


# -- a listening port ----------------------------------------------------------------------------------------


def _by_port(host: Host, value: str, asked: str) -> FoundTarget:
    if not (value.isascii() and value.isdigit() and 0 < int(value[:6]) < 1 << 16):
        raise UsageError(f"{printable(value)!r} is not a port", remedy="write a number from 1 to 65535")
    port = int(value)
    own = host.link_proc("self/ns/net")
    spaces = _network_namespaces(host, own)
    is_listened = False
    found: dict[str, list[Candidate]] = {}
    for space, members in spaces.items():
        inodes = _listening_inodes(host, 0 if space == own else members[0].pid, port)
        if inodes:
            is_listened = True
            owners = [candidate for candidate in members if _holds(host, candidate.pid, inodes)]
            if owners:
                found[space] = owners
    if not found and is_listened:
        raise NotPermitted(
            f"port {port} is listened on, but by a process that may not be read", remedy=_AS_ROOT
        )
    if not found:
        raise UsageError(
            f"nothing listens on port {port}", remedy="ss -ltnp lists what listens, in one network namespace"
        )
    if len(found) > 1:
        every = [candidate for owners in found.values() for candidate in owners]
        raise UsageError(
            f"port {port} is listened on in {len(found)} network namespaces:\n{_listing(host, every)}",
            remedy="name one by its pid",
        )
    owners = next(iter(found.values()))
    return _oldest(owners, asked)


def _network_namespaces(host: Host, own: str) -> dict[str, list[Candidate]]:
    """Return the processes by network namespace; those whose namespace may not be read are put into leadline's own."""
    spaces: dict[str, list[Candidate]] = {}
    for candidate in _processes(host):
        try:
            space = host.link_proc(f"{candidate.pid}/ns/net")
        except TargetGone:
            continue
        except AccessError:
            space = own
        spaces.setdefault(space, []).append(candidate)
    return spaces


def _listening_inodes(host: Host, pid: int, port: int) -> set[int]:
    """Return the sockets that accept on a port in the namespace of a process: TCP, else UDP without a peer."""
    for protocol, number, states, families in (
        ("tcp", _TCP, _LISTEN_STATE, (ANY_FAMILY,)),
        ("udp", _UDP, ALL_STATES, (AF_INET, AF_INET6)),
    ):
        inodes: set[int] = set()
        for family in families:
            try:
                table = decode_dump(host.sock_diag(pid, family, number, states, 0), protocol)
            except LeadlineError:
                continue
            inodes |= set(_on_port(table, port))
        if inodes:
            return inodes
    return set()


def _on_port(table: SocketTable, port: int) -> list[int]:
    mine = table.where(table.local_ports == port)
    return [record.inode for record in mine.records() if record.rport is None and record.inode]


def _holds(host: Host, pid: int, inodes: set[int]) -> bool:
    try:
        return not inodes.isdisjoint(socket_inodes(link.name for link in host.fd_links(pid)))
    except AccessError:
        return False


# -- control groups ------------------------------------------------------------------------------------------


def _by_unit(host: Host, value: str, asked: str) -> FoundTarget:
    names = {value} if "." in value else {f"{value}.service", f"{value}.scope", f"{value}.slice"}
    members = _members(host, lambda path: unit_name(path) in names)
    if not members:
        raise UsageError(
            f"no process is in unit {printable(value)!r}",
            remedy="systemctl list-units lists the running ones",
        )
    return _main(host, members, asked, "unit")


def _by_container(host: Host, value: str, asked: str) -> FoundTarget:
    prefix = value.lower()
    if len(prefix) < _SHORTEST_CONTAINER_ID or set(prefix) - set("0123456789abcdef") or len(prefix) > 64:
        raise UsageError(
            f"{printable(value)!r} is not a container id",
            remedy="write 12 to 64 hexadecimal digits, as docker ps, crictl ps or podman ps print them",
        )
    ids: set[str] = set()

    def is_member(path: str) -> bool:
        found = container_id(path)
        if found is None or not found.startswith(prefix):
            return False
        ids.add(found)
        return True

    members = _members(host, is_member)
    if len(ids) > 1:
        raise UsageError(f"{len(ids)} containers begin with {prefix}", remedy="write more digits")
    if not members:
        raise UsageError(
            f"no process is in container {prefix}",
            remedy="is it running on this host? inside a container leadline sees its own processes only (docker run --pid=host)",
        )
    return _main(host, members, asked, "container")


def _by_pod(host: Host, value: str, asked: str) -> FoundTarget:
    namespace, slash, name = value.partition("/")
    if not slash or not namespace or not name:
        raise UsageError(f"{printable(value)!r} is not a pod", remedy="write pod:NAMESPACE/NAME")
    uids = _pod_uids(host, namespace, name)
    members = (
        _members(host, lambda path: pod_uid(path) in uids)
        if uids
        else _pod_by_hostname(host, namespace, name)
    )
    if not members:
        where = "its directory is in /var/log/pods, but no process" if uids else "no process of this host"
        raise UsageError(
            f"pod {printable(value)} was not found: {where} belongs to it",
            remedy="is it on this node (kubectl get pod -o wide)? A pod with leadline needs hostPID and /var/log/pods",
        )
    return _main(host, members, asked, "pod")


def _pod_uids(host: Host, namespace: str, name: str) -> set[str]:
    """Return the uids of a pod by the directories that kubelet makes for its logs: NAMESPACE_NAME_UID."""
    try:
        names = host.list_var("log/pods")
    except AccessError:
        return set()
    parts = (entry.rsplit("_", 1) for entry in names)
    return {part[1] for part in parts if len(part) == 2 and part[0] == f"{namespace}_{name}"}


def _pod_by_hostname(host: Host, namespace: str, name: str) -> list[Candidate]:
    """Return the processes of pods whose host name and service account say that they are the one."""

    def says(pid: int, path: str, expected: str) -> bool:
        try:
            return host.read_proc(f"{pid}/root/{path}", limit_bytes=512).strip() == expected.encode()
        except AccessError:
            return False

    account = "var/run/secrets/kubernetes.io/serviceaccount/namespace"
    in_pods = _members(host, lambda path: pod_uid(path) is not None)
    return [
        candidate
        for candidate in in_pods
        if says(candidate.pid, "etc/hostname", name) and says(candidate.pid, account, namespace)
    ]


def _members(host: Host, is_member: Callable[[str], bool]) -> list[Candidate]:
    """Return the processes with a control group, of any hierarchy, for which the test holds."""
    found = []
    for candidate in _processes(host):
        try:
            entries = parse_cgroup(host.read_proc(f"{candidate.pid}/cgroup"))
        except LeadlineError:
            continue
        if any([is_member(path) for path in {entry.path for entry in entries}]):  # noqa: C419  each path must be looked at
            found.append(candidate)
    return found


# -- choosing ------------------------------------------------------------------------------------------------


def _main(host: Host, members: list[Candidate], asked: str, what: str) -> FoundTarget:
    """Return the member that listens, of several the oldest; without one the oldest that is not a mere init."""
    if len(members) == 1:
        return _chosen(members[0], (), asked, "")
    listening = [member for member in members if _listens(host, member.pid)]
    if listening:
        chosen = min(listening, key=_age)
        why = f"the oldest of {len(listening)} that listen" if len(listening) > 1 else "the one that listens"
    else:
        chosen = min(members, key=lambda member: (member.comm in _PAUSE, *_age(member)))
        why = "the oldest"
    others = tuple(sorted((member for member in members if member is not chosen), key=_age))
    return _chosen(chosen, others, asked, f"{why} of {len(members)} processes in the {what}")


def _oldest(owners: list[Candidate], asked: str) -> FoundTarget:
    first, *others = sorted(owners, key=_age)
    note = f"the oldest of {len(owners)} processes that hold the listening socket" if others else ""
    return _chosen(first, tuple(others), asked, note)


def _chosen(candidate: Candidate, others: tuple[Candidate, ...], asked: str, note: str) -> FoundTarget:
    return FoundTarget(
        pid=candidate.pid,
        comm=candidate.comm,
        start_ticks=candidate.start_ticks,
        asked=asked,
        note=note,
        others=others,
    )


def _age(candidate: Candidate) -> tuple[int, int]:
    return candidate.start_ticks, candidate.pid


def _listens(host: Host, pid: int) -> bool:
    try:
        inodes = socket_inodes(link.name for link in host.fd_links(pid))
        if not inodes:
            return False
        table = decode_dump(host.sock_diag(pid, ANY_FAMILY, _TCP, _LISTEN_STATE, 0), "tcp")
        return len(table.of_inodes(inodes)) > 0
    except LeadlineError:
        return False


# -- all processes -------------------------------------------------------------------------------------------


def _processes(host: Host) -> list[Candidate]:
    """Return the running processes but leadline itself and kernel threads, by pid."""
    own = host.link_proc("self")
    found = []
    for name in host.list_proc("."):
        if not name.isdigit() or name == own:
            continue
        try:
            stat = parse_stat(host.read_proc(f"{name}/stat"))
        except LeadlineError:  # ended meanwhile
            continue
        if stat.state not in {"Z", "X"} and not stat.is_kernel_thread:
            found.append(Candidate(stat.pid, stat.comm, stat.start_ticks))
    return sorted(found, key=lambda candidate: candidate.pid)


def _command(host: Host, pid: int) -> str:
    try:
        raw = host.read_proc(f"{pid}/cmdline", limit_bytes=256)
    except AccessError:
        return ""
    words = raw.rstrip(b"\0").split(b"\0")
    text = redact_command_line(shlex.join(word.decode("utf-8", "surrogateescape") for word in words))
    return printable(text[:_COMMAND_WIDTH])


def _program_name(host: Host, pid: int) -> str:
    try:
        return host.link_proc(f"{pid}/exe").removesuffix(_DELETED).rpartition("/")[2]
    except AccessError:
        return ""


def _listing(host: Host, candidates: Iterable[Candidate]) -> str:
    ordered = sorted(candidates, key=_age)
    lines = [
        f"{one.pid:>8}  {printable(one.comm):<15}  {_command(host, one.pid)}"
        for one in ordered[:_MOST_LISTED]
    ]
    if len(ordered) > _MOST_LISTED:
        lines.append(f"        and {len(ordered) - _MOST_LISTED} more")
    return "\n".join(lines)
