"""Which stacks wait in their own TLS handshake."""

from __future__ import annotations

import pytest

from leadline.probes.snapshot_runtime.handshakes import handshake_role

READ = ("internal/poll.(*FD).Read", "net.(*conn).Read")
RECORD = (
    "crypto/tls.(*atLeastReader).Read",
    "bytes.(*Buffer).ReadFrom",
    "crypto/tls.(*Conn).readRecordOrCCS",
)
HANDSHAKE = ("crypto/tls.(*Conn).handshakeContext", "crypto/tls.(*Conn).HandshakeContext")


@pytest.mark.parametrize(
    ("functions", "role"),
    [
        ((*READ, *RECORD, "crypto/tls.(*Conn).clientHandshake", *HANDSHAKE, "main.dial"), "client"),
        ((*READ, *RECORD, "crypto/tls.(*clientHandshakeStateTLS13).readServerFinished", *HANDSHAKE), "client"),
        ((*READ, *RECORD, "crypto/tls.(*Conn).readClientHello", "crypto/tls.(*Conn).serverHandshake", *HANDSHAKE), "server"),
        # A read after the handshake is none.
        ((*READ, *RECORD, "crypto/tls.(*Conn).Read", "main.serve"), None),
        # A callback of the handshake waits for another connection.
        ((*READ, "main.certificateOf", "crypto/tls.(*Conn).serverHandshake", *HANDSHAKE), None),
        # So it does when that one has TLS too, whose handshake is over.
        ((*READ, *RECORD, "crypto/tls.(*Conn).Read", "main.get", "crypto/tls.(*Conn).serverHandshake", *HANDSHAKE), None),
        (READ, None),
        ((), None),
    ],
)  # fmt: skip
def test_only_the_record_layer_lies_between_the_handshake_and_the_wait(
    functions: tuple[str, ...], role: str | None
) -> None:
    assert handshake_role(functions) == role
