"""Ports on which a server of net/http accepts. What comes in there and is read outside of net/http was taken over by a handler.

A server that was told to shut down does not accept any more, so that its ports are known only from earlier looks.

Sources: net/http/server.go (Server.Serve), net/tcpsock.go (TCPListener.Accept).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leadline.probes.snapshot_runtime import pollers
from leadline.probes.snapshot_runtime.looks import Found
from leadline.probes.snapshot_runtime.scene import Scene

if TYPE_CHECKING:
    from leadline.contracts import Host
    from leadline.probes.snapshot_runtime.looks import GoProcess, Look

__all__ = ["http_ports", "ports_at"]

_SERVE = "net/http.(*Server).Serve"
_ACCEPT = "internal/poll.(*FD).Accept"


def ports_at(host: Host, process: GoProcess, look: Look) -> frozenset[int]:
    """Return the same as :func:`http_ports` for a look of which nothing was read yet; cheap where no server accepts.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
        LeadlineError: the process has ended, or may not be read.
    """
    if not len(look.with_function(_SERVE.__eq__)):
        return frozenset()
    found = Found()
    pollers.read(host, process, look, found)
    return http_ports(process, look, found)


def http_ports(process: GoProcess, look: Look, found: Found) -> frozenset[int]:
    """Return the TCP ports on which goroutines accept for net/http; not those that another package accepts on for it.

    Args:
        process: the process.
        look: its goroutines.
        found: with the descriptors that they are parked on.

    Raises:
        KeyError: the offsets of this release do not have what is needed.
    """
    scene = Scene(process, look, found)
    chosen = np.array(
        [i for i in scene.having(_ACCEPT).tolist() if scene.sites.has(i, _SERVE.__eq__)], np.int64
    )
    if not len(chosen):
        return frozenset()
    objects = scene.objects(chosen, (_ACCEPT,), scene.nets.of_poll_fds, parked=True)
    names = scene.nets.names(np.array([one.address for one in objects.values()], np.uint64))
    return frozenset(name.port for name in names if name.network.startswith("tcp") and name.port)
