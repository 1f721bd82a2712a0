"""proc/PID/net/netstat, snmp and sockstat: counters of one network namespace, by name."""

from __future__ import annotations

from leadline.model import Malformed

__all__ = ["parse_paired_counters", "parse_snmp6", "parse_sockstat"]


def parse_paired_counters(text: bytes, *, source: str = "proc/net/netstat") -> dict[str, int]:
    r"""Return the counters of proc/net/netstat or proc/net/snmp as ``Protocol.Name``.

    Each protocol has a line of names and a line of values; the order of names changes from kernel to kernel, so
    positions mean nothing.

    >>> parse_paired_counters(b"TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 23 23\n"
    ...     b"IpExt: InNoRoutes InOctets\nIpExt: 0 18446744073709551615\n")["TcpExt.ListenOverflows"]
    23

    Raises:
        Malformed: a line of values does not fit the line of names before it.

    Source: Linux net/ipv4/proc.c, netstat_seq_show and snmp_seq_show.
    """
    counters: dict[str, int] = {}
    lines = [line for line in text.split(b"\n") if line]
    if len(lines) % 2:
        raise Malformed(source, "odd number of lines", sample=text)
    for names_line, values_line in zip(lines[::2], lines[1::2], strict=True):
        names, values = names_line.split(), values_line.split()
        if len(names) != len(values) or not names or names[0] != values[0] or not names[0].endswith(b":"):
            raise Malformed(source, "names and values do not pair", sample=names_line)
        protocol = names[0][:-1].decode("utf-8", "replace")
        for name, value in zip(names[1:], values[1:], strict=True):
            counters[f"{protocol}.{name.decode('utf-8', 'replace')}"] = _number(value, source)
    return counters


def parse_sockstat(text: bytes, *, source: str = "proc/net/sockstat") -> dict[str, int]:
    r"""Return the gauges of proc/net/sockstat or sockstat6 as ``Protocol.name``; ``mem`` is in pages.

    ``sockets.used`` and ``TCP.mem`` are of the namespace and of the host respectively; TCP.tw holds no descriptors.

    >>> parse_sockstat(b"sockets: used 16\nTCP: inuse 1 orphan 0 tw 1 alloc 1 mem 303\n")
    {'sockets.used': 16, 'TCP.inuse': 1, 'TCP.orphan': 0, 'TCP.tw': 1, 'TCP.alloc': 1, 'TCP.mem': 303}

    Raises:
        Malformed: a line is not ``Protocol: name value ...``.

    Source: Linux net/ipv4/proc.c, sockstat_seq_show.
    """
    gauges: dict[str, int] = {}
    for line in text.split(b"\n"):
        words = line.split()
        if not words:
            continue
        if len(words) % 2 == 0 or not words[0].endswith(b":"):
            raise Malformed(source, "a name without a value", sample=line)
        protocol = words[0][:-1].decode("utf-8", "replace")
        for name, value in zip(words[1::2], words[2::2], strict=True):
            gauges[f"{protocol}.{name.decode('utf-8', 'replace')}"] = _number(value, source)
    return gauges


def parse_snmp6(text: bytes) -> dict[str, int]:
    r"""Return the counters of proc/net/snmp6, names as written.

    >>> parse_snmp6(b"Ip6InReceives                   \t12\nUdp6RcvbufErrors                \t0\n")
    {'Ip6InReceives': 12, 'Udp6RcvbufErrors': 0}

    Raises:
        Malformed: a line is not a name and a number.

    Source: Linux net/ipv6/proc.c, snmp6_seq_show.
    """
    counters: dict[str, int] = {}
    for line in text.split(b"\n"):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise Malformed("proc/net/snmp6", "not a name and a number", sample=line)
        counters[words[0].decode("utf-8", "replace")] = _number(words[1], "proc/net/snmp6")
    return counters


def _number(word: bytes, source: str) -> int:
    digits = word[1:] if word.startswith(b"-") else word  # Tcp.MaxConn is -1
    if not digits.isdigit() or len(digits) > 20:
        raise Malformed(source, "not a number", sample=word)
    return int(word)
