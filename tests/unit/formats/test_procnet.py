"""proc/net counters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.formats.procnet import parse_paired_counters, parse_snmp6, parse_sockstat
from leadline.model import Malformed

SNMP = b"""Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 8540
Tcp: RtoAlgorithm MaxConn ActiveOpens CurrEstab
Tcp: 1 -1 4711 23
"""
SOCKSTAT = b"sockets: used 16\nTCP: inuse 1 orphan 0 tw 1 alloc 1 mem 303\nFRAG: inuse 0 memory 0\n"


def test_counters_are_found_by_name_not_by_place() -> None:
    counters = parse_paired_counters(SNMP, source="proc/net/snmp")
    assert counters == {
        "Ip.Forwarding": 2, "Ip.DefaultTTL": 64, "Ip.InReceives": 8540,
        "Tcp.RtoAlgorithm": 1, "Tcp.MaxConn": -1, "Tcp.ActiveOpens": 4711, "Tcp.CurrEstab": 23,
    }  # fmt: skip


def test_64_bit_counters_stay_exact() -> None:
    text = b"IpExt: InOctets\nIpExt: 18446744073709551615\n"
    assert parse_paired_counters(text)["IpExt.InOctets"] == 2**64 - 1


def test_sockstat_pairs_names_and_values() -> None:
    assert parse_sockstat(SOCKSTAT)["TCP.alloc"] == 1
    assert parse_sockstat(SOCKSTAT)["sockets.used"] == 16
    assert parse_sockstat(b"") == {}


def test_snmp6_is_one_counter_per_line() -> None:
    assert parse_snmp6(b"Ip6InReceives      \t12\nUdp6InDatagrams \t0\n") == {
        "Ip6InReceives": 12,
        "Udp6InDatagrams": 0,
    }


@pytest.mark.parametrize(
    "text",
    [
        b"Tcp: A B\nTcp: 1\n",
        b"Tcp: A\nUdp: 1\n",
        b"Tcp: A\n",
        b"Tcp: A\nTcp: one\n",
        b"Tcp A\nTcp 1\n",
        b" \n \n",
    ],
)
def test_lines_that_do_not_pair_are_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_paired_counters(text)


@pytest.mark.parametrize("text", [b"TCP: inuse", b"TCP inuse 1", b"TCP: inuse x", b"TCP:inuse 1"])
def test_other_sockstat_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_sockstat(text)


@pytest.mark.parametrize("text", [b"Ip6InReceives", b"Ip6InReceives 1 2", b"Ip6InReceives x"])
def test_other_snmp6_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_snmp6(text)


@given(
    st.binary(max_size=150)
    | st.builds(lambda a, b: SNMP[:a] + b + SNMP[a:], st.integers(0, 120), st.binary(max_size=9))
)
def test_any_bytes_give_a_value_or_malformed(text: bytes) -> None:
    for parse in (parse_paired_counters, parse_sockstat, parse_snmp6):
        try:
            value = all(isinstance(value, int) for value in parse(text).values())
        except Malformed:
            continue
        assert value
