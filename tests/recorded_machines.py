"""Recorded machines made by hand: small trees of proc, sys and var for ``RecordedHost``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from leadline.host.recorded import RecordedHost
from socket_dumps import LISTEN, done, inet

__all__ = ["HOST_NETNS", "Machine"]

HOST_NETNS = 4026531840
_LIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max open files            {soft:<20} {hard:<20} files     \n"
)


class Machine:
    """A recording under construction; ``host`` reads it as it stands."""

    def __init__(self, folder: Path, own_pid: int = 9) -> None:
        self.folder = folder
        self._dumps: dict[tuple[int, int, int], bytes] = {}
        self._protocols: dict[str, list[object]] = {}
        self.process(own_pid, "leadline", cgroup="0::/\n")
        self.write("proc/self/.keep", "")
        shutil.rmtree(folder / "proc" / "self")
        (folder / "proc" / "self").symlink_to(str(own_pid))

    def write(self, path: str, text: str | bytes) -> None:
        """Write a file of the recording."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)

    def link(self, path: str, target: str) -> None:
        """Make or replace a link of the recording."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def process(
        self,
        pid: int,
        comm: str,
        *,
        exe: str | None = None,
        args: Iterable[str] = (),
        cgroup: str = "0::/user.slice\n",
        start: int = 100,
        parent: int = 1,
        uid: int = 0,
        state: str = "S",
        flags: int = 0x400000,
        tgid: int | None = None,
        netns: int = HOST_NETNS,
        fds: Mapping[int, str] | None = None,
        nofile: tuple[int | str, int | str] = (1024, 524288),
    ) -> None:
        """Add a process."""
        fields = f"{state} {parent} 0 0 0 -1 {flags} 0 0 0 0 70 30 0 0 20 0 3 0 {start} 0 384 0 " + "0 " * 28
        root = f"proc/{pid}"
        self.write(f"{root}/stat", f"{pid} ({comm}) {fields}\n")
        self.write(
            f"{root}/status",
            f"Name:\t{comm}\nState:\t{state} (x)\nTgid:\t{tgid or pid}\nPPid:\t{parent}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
            f"NSpid:\t{pid}\nVmRSS:\t 100 kB\nThreads:\t3\nCapEff:\t0000000000000000\n",
        )
        self.write(f"{root}/cmdline", "\0".join([comm, *args]) + "\0")
        self.write(f"{root}/cgroup", cgroup)
        self.write(f"{root}/limits", _LIMITS.format(soft=nofile[0], hard=nofile[1]))
        self.write(f"{root}/mountinfo", "32 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        self.link(f"{root}/exe", exe or f"/usr/bin/{comm}")
        self.link(f"{root}/ns/net", f"net:[{netns}]")
        (self.folder / root / "fd").mkdir(parents=True, exist_ok=True)
        for fd, name in (fds or {}).items():
            self.link(f"{root}/fd/{fd}", name)

    def close(self, pid: int, *fds: int) -> None:
        """Close descriptors of a process."""
        for fd in fds:
            (self.folder / "proc" / str(pid) / "fd" / str(fd)).unlink()

    def end(self, pid: int) -> None:
        """End a process and reap it."""
        shutil.rmtree(self.folder / "proc" / str(pid))

    def sockets(self, *messages: bytes, netns: int = HOST_NETNS, family: int = 2, protocol: int = 6) -> None:
        """Set the sockets of a namespace, of one family and protocol."""
        self.write(f"netlink/{netns}-{family}-{protocol}.bin", b"".join(messages) + done())

    def listeners(self, ports: Mapping[int, int], *, netns: int = HOST_NETNS) -> None:
        """Set the listening TCP sockets of a namespace: inode to port."""
        self.sockets(
            *(
                inet(inode, LISTEN, ports=(port, 0), target=b"", queues=(0, 4096))
                for inode, port in ports.items()
            ),
            netns=netns,
        )

    def protocols(self, pid: int, names: Mapping[int, str]) -> None:
        """Set what the kernel calls the protocols of sockets, by descriptor."""
        self._protocols |= {f"{pid}/{fd}": [None, None, None, name] for fd, name in names.items()}
        clocks = {"mono_ns": 10**12, "boot_ns": 10**12, "unix_ns": 10**18}
        self.write("host.json", json.dumps({**clocks, "descriptors": self._protocols}))

    def host(self) -> RecordedHost:
        """Return the machine as probes see it."""
        return RecordedHost(self.folder)
