"""What a goroutine that is parked in the net package does."""

from __future__ import annotations

import pytest

from leadline.probes.snapshot_runtime.streams import action_of

WAIT = ("runtime.gopark", "internal/poll.runtime_pollWait", "internal/poll.(*pollDesc).wait")


@pytest.mark.parametrize(
    ("functions", "action"),
    [
        (("internal/poll.(*FD).Read", "net.(*netFD).Read", "net.(*conn).Read", "main.serve"), "reading"),
        (
            ("internal/poll.(*FD).ReadFromInet4", "net.(*netFD).readFromInet4", "net.(*UDPConn).readFrom"),
            "reading",
        ),
        (("internal/poll.(*FD).RawRead", "net.(*rawConn).Read", "main.peek"), "reading"),
        (("internal/poll.(*FD).Write", "net.(*netFD).Write", "net.(*conn).Write", "main.serve"), "writing"),
        (("internal/poll.(*FD).Accept", "net.(*netFD).accept", "net.(*TCPListener).accept"), "accepting"),
        (("internal/poll.(*FD).WaitWrite", "net.(*netFD).connect", "net.(*netFD).dial"), None),
        (("internal/poll.(*FD).Read", "os.(*File).read", "os.(*File).Read", "main.tail"), None),
        (("main.wait",), None),
        ((), None),
    ],
)
def test_actions_are_told_by_the_net_package_alone(functions: tuple[str, ...], action: str | None) -> None:
    assert action_of((*WAIT, *functions)) == action
