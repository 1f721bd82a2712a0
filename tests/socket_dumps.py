"""Socket dumps, made byte by byte as the kernel makes them (net/ipv4/inet_diag.c, net/unix/diag.c)."""

from __future__ import annotations

import struct

from leadline.formats.sockdiag import AF_INET, TCP_STATES

ESTABLISHED, CLOSE_WAIT, LISTEN = (TCP_STATES.index(name) for name in ("ESTABLISHED", "CLOSE_WAIT", "LISTEN"))
INFO, CONG, SKMEM = 2, 4, 7


def message(body: bytes, *, kind: int = 20, flags: int = 2) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 77, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def word(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def tcp_info(size: int = 248, **fields: int) -> bytes:
    at = {"ca_state": (1, "B"), "rto": (8, "I"), "unacked": (24, "I"), "lost": (32, "I"), "last_data_recv": (52, "I"),
          "rtt": (68, "I"), "total_retrans": (100, "I"), "bytes_acked": (120, "Q"), "bytes_received": (128, "Q"),
          "segs_in": (140, "I"), "bytes_sent": (200, "Q")}  # fmt: skip
    raw = bytearray(256)
    for name, value in fields.items():
        offset, form = at[name]
        struct.pack_into(f"={form}", raw, offset, value)
    return bytes(raw[:size])


def inet(
    inode: int,
    state: int = ESTABLISHED,
    *,
    family: int = AF_INET,
    source: bytes = bytes([10, 0, 0, 1]),
    target: bytes = bytes([10, 0, 0, 2]),
    ports: tuple[int, int] = (8080, 51000),
    attributes: bytes = b"",
    timer: int = 0,
    queues: tuple[int, int] = (0, 0),
    kind: int = 20,
) -> bytes:
    body = struct.pack("=BBBB", family, state, timer, 3) + struct.pack(">HH", *ports)
    body += source.ljust(16, b"\0") + target.ljust(16, b"\0") + struct.pack("=III", 0, 5, 1)
    body += struct.pack("=IIIII", 1500, *queues, 1000, inode)
    return message(body + attributes, kind=kind)


def unix(inode: int, state: int, attributes: bytes = b"") -> bytes:
    return message(struct.pack("=BBBBIII", 1, 1, state, 0, inode, 9, 0) + attributes)


def done(code: int = 0) -> bytes:
    return message(struct.pack("=i", code), kind=3)
