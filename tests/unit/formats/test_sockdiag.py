"""Socket dumps, made here byte by byte as the kernel makes them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.sockdiag import AF_INET, AF_INET6, decode_dump
from leadline.model import Malformed
from socket_dumps import (
    CLOSE_WAIT,
    CONG,
    ESTABLISHED,
    INFO,
    LISTEN,
    SKMEM,
    attribute,
    done,
    inet,
    message,
    tcp_info,
    unix,
    word,
)

FULL = (
    attribute(INFO, tcp_info(ca_state=3, rto=204_000, unacked=2, lost=1, last_data_recv=60_000, rtt=33, total_retrans=5,
                             bytes_acked=2**40, bytes_received=2**63, segs_in=9, bytes_sent=77))
    + attribute(CONG, b"cubic\0")
    + attribute(SKMEM, struct.pack("=9I", 1, 2, 3, 4, 5, 6, 7, 8, 9))
    + attribute(8, b"\0")
)  # fmt: skip


def test_every_field_of_a_connection() -> None:
    record = decode_dump(
        inet(41822, CLOSE_WAIT, attributes=FULL, timer=1, queues=(17, 4)) + done(), "tcp"
    ).records()[0]
    assert (record.inode, record.protocol, record.family, record.state) == (
        41822,
        "tcp",
        "inet",
        "CLOSE_WAIT",
    )
    assert (record.laddr, record.lport, record.raddr, record.rport) == ("10.0.0.1", 8080, "10.0.0.2", 51000)
    assert (record.uid, record.cookie, record.rqueue_bytes, record.wqueue_bytes) == (1000, 2**32 + 5, 17, 4)
    assert (record.timer, record.timer_expires_ms, record.retransmits_pending) == ("on", 1500, 3)
    assert (record.ca_state, record.rto_us, record.rtt_us, record.unacked, record.lost) == (
        "Recovery",
        204_000,
        33,
        2,
        1,
    )
    assert (record.last_data_recv_ms, record.total_retrans, record.segs_in) == (60_000, 5, 9)
    assert (record.bytes_acked, record.bytes_received, record.bytes_sent) == (2**40, 2**63, 77)
    assert record.congestion == "cubic"
    assert (record.skmem_rmem_bytes, record.skmem_rcvbuf_bytes) == (1, 2)
    assert (record.skmem_wmem_bytes, record.skmem_sndbuf_bytes, record.skmem_drops) == (3, 4, 9)


@pytest.mark.parametrize(
    ("size", "known"),
    [
        (71, set()),
        (72, {"rtt_us"}),
        (103, {"rtt_us", "rttvar_us"}),
        (104, {"rtt_us", "rttvar_us", "total_retrans"}),
        (136, {"rtt_us", "rttvar_us", "total_retrans", "bytes_acked"}),
        (208, {"rtt_us", "rttvar_us", "total_retrans", "bytes_acked", "bytes_sent"}),
    ],
)
def test_fields_that_an_older_kernel_does_not_send_are_unknown(size: int, known: set[str]) -> None:
    record = decode_dump(inet(1, attributes=attribute(INFO, tcp_info(size, rtt=33))), "tcp").records()[0]
    names = {"rtt_us", "total_retrans", "bytes_acked", "bytes_sent", "rttvar_us"}
    assert {name for name in names if getattr(record, name) is not None} == known


def test_without_attributes_only_the_message_is_known() -> None:
    record = decode_dump(inet(1), "tcp").records()[0]
    assert (record.rtt_us, record.congestion, record.skmem_drops, record.ca_state) == (None,) * 4
    assert (record.timer, record.timer_expires_ms) == ("off", None)


def test_a_listener_shows_its_queue_and_no_peer() -> None:
    dump = inet(
        9,
        LISTEN,
        ports=(443, 0),
        target=b"",
        queues=(3, 4096),
        attributes=attribute(INFO, tcp_info(unacked=3)),
    )
    record = decode_dump(dump, "tcp").records()[0]
    assert (record.state, record.rqueue_bytes, record.wqueue_bytes) == ("LISTEN", 3, 4096)
    assert (record.raddr, record.rport, record.rtt_us, record.unacked) == ("", None, None, None)


def test_ipv6_and_ipv4_over_ipv6() -> None:
    mapped = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7])
    local = bytes.fromhex("20010db8000000000000000000000001")
    dump = inet(1, family=AF_INET6, source=local, target=bytes(15) + b"\1") + inet(
        2, family=AF_INET6, source=mapped, target=mapped
    )
    first, second = decode_dump(dump, "tcp").records()
    assert (first.family, first.laddr, first.raddr) == ("inet6", "2001:db8::1", "::1")
    assert (second.family, second.laddr) == ("inet6", "192.0.2.7")


def test_unix_names_peers_and_queues() -> None:
    dump = (
        unix(7, ESTABLISHED, word(2, 8) + attribute(4, struct.pack("=II", 5, 6)) + word(7, 33))
        + unix(8, LISTEN, attribute(0, b"/run/app.sock\0"))
        + unix(9, LISTEN, attribute(0, b"\0hidden\xff"))
        + done()
    )  # fmt: skip
    pair, path, abstract = decode_dump(dump, "unix").records("begin")
    assert (pair.inode, pair.peer_inode, pair.rqueue_bytes, pair.wqueue_bytes, pair.uid) == (7, 8, 5, 6, 33)
    assert (pair.name, pair.when, pair.cookie) == ("", "begin", 9)
    assert (path.name, path.state, path.peer_inode) == ("/run/app.sock", "LISTEN", None)
    assert abstract.name == "@hidden\udcff"


def test_rows_of_different_length_and_order_of_attributes_are_decoded_together() -> None:
    layouts = [
        b"",
        FULL,
        attribute(SKMEM, struct.pack("=9I", *range(9))) + attribute(INFO, tcp_info(232, rtt=7)),
        attribute(99, b"unknown") + attribute(CONG, b"bbr\0"),
    ]
    dump = b"".join(inet(number + 1, attributes=layouts[number % 4]) for number in range(1001)) + done()
    records = decode_dump(dump, "tcp").records()
    assert [record.inode for record in records] == list(range(1, 1002))
    assert [record.rtt_us for record in records[:4]] == [None, 33, 7, None]
    assert [record.congestion for record in records[:4]] == [None, "cubic", None, "bbr"]
    assert [record.skmem_drops for record in records[996:1001]] == [None, 9, 8, None, None]


def test_only_the_rows_of_wanted_inodes_are_made() -> None:
    dump = b"".join(inet(number) for number in (0, 5, 6, 7)) + done()
    table = decode_dump(dump, "tcp")
    assert [record.inode for record in table.of_inodes([7, 0, 5, 99, 2**40]).records()] == [5, 7]
    assert len(table.of_inodes([])) == 0
    assert table.of_inodes([]).records() == []


def test_a_socket_that_the_kernel_lists_twice_is_one() -> None:
    table = decode_dump(inet(7) + inet(5) + inet(7, CLOSE_WAIT) + done(), "tcp").of_inodes([5, 7])
    assert [(record.inode, record.state) for record in table.records()] == [
        (7, "ESTABLISHED"),
        (5, "ESTABLISHED"),
    ]


def test_states_are_counted() -> None:
    dump = b"".join(inet(n, CLOSE_WAIT if n < 23 else LISTEN) for n in range(30)) + inet(99, 200)
    assert decode_dump(dump, "tcp").state_counts() == {"CLOSE_WAIT": 23, "LISTEN": 7, "UNKNOWN(200)": 1}


def test_numbers_are_columns_over_all_sockets() -> None:
    table = decode_dump(b"".join(inet(n, attributes=FULL) for n in range(50)), "tcp")
    assert table.numbers["rtt_us"].values.tolist() == [33] * 50
    assert table.numbers["inode"].values.tolist() == list(range(50))
    assert len(table.numbers) > 25


def test_messages_of_the_older_request_are_decoded_alike() -> None:
    assert decode_dump(inet(5, kind=18), "tcp").records() == decode_dump(inet(5), "tcp").records()


def test_an_empty_dump_is_complete() -> None:
    table = decode_dump(done(), "tcp")
    assert (len(table), table.is_complete, table.error_raw, table.records(), table.state_counts()) == (
        0,
        True,
        None,
        [],
        {},
    )
    assert not decode_dump(b"", "tcp").is_complete


def test_an_interrupted_dump_says_so_and_keeps_its_rows() -> None:
    whole = inet(1)
    marked = whole[:6] + struct.pack("=H", 0x12) + whole[8:]
    table = decode_dump(inet(2) + marked + done(), "tcp")
    assert (table.is_interrupted, table.inodes.tolist()) == (True, [2, 1])
    assert not decode_dump(whole + done(), "tcp").is_interrupted


@pytest.mark.parametrize("end", [message(struct.pack("=i", -12) + bytes(16), kind=2), done(-12)])
def test_an_error_in_the_middle_keeps_the_rows_before_it(end: bytes) -> None:
    table = decode_dump(inet(1) + inet(2) + end, "tcp")
    assert (table.error_raw, table.inodes.tolist()) == (12, [1, 2])


@pytest.mark.parametrize(
    ("dump", "protocol"),
    [
        (inet(1)[:-4], "tcp"),
        (inet(1) + b"\0\0\0", "tcp"),
        (b"\0" * 16, "tcp"),
        (message(bytes([AF_INET, 1]) + bytes(66)), "tcp"),
        (message(bytes([99, 1]) + bytes(70)), "tcp"),
        (unix(1, 1), "tcp"),
        (inet(1), "unix"),
    ],
)
def test_other_bytes_are_malformed(dump: bytes, protocol: str) -> None:
    with pytest.raises(Malformed):
        decode_dump(dump, protocol)


@pytest.mark.parametrize(
    "attributes", [struct.pack("=HH", 2, INFO), struct.pack("=HH", 400, INFO) + bytes(8)]
)
def test_attributes_that_do_not_fit_are_malformed(attributes: bytes) -> None:
    with pytest.raises(Malformed):
        decode_dump(inet(1, attributes=attributes), "tcp").records()


WHOLE = inet(1, attributes=FULL) + inet(2) + inet(3, attributes=FULL) + done()


@given(
    st.binary(max_size=300)
    | st.builds(
        lambda at, raw: WHOLE[:at] + raw + WHOLE[at + len(raw) :],
        st.integers(0, len(WHOLE)),
        st.binary(max_size=40),
    )
    | st.builds(lambda raw: inet(1, attributes=raw + b"\0" * (-len(raw) % 4)), st.binary(max_size=80))
    | st.builds(lambda raw: unix(1, 1, raw + b"\0" * (-len(raw) % 4)), st.binary(max_size=80)),
    st.sampled_from(["tcp", "udp", "unix"]),
)
def test_any_bytes_give_a_value_or_malformed(dump: bytes, protocol: str) -> None:
    try:
        table = decode_dump(dump, protocol)
        records = table.records()
    except Malformed:
        return
    assert len(records) == len(table)
    assert np.all(table.ends <= len(dump))
