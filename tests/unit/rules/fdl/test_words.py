"""Nouns and advice."""

from __future__ import annotations

from collections import Counter

import pytest

from leadline.evidence.kinds import Birthplace, DescriptorKind
from leadline.rules.fdl.suspects import Living, Standing
from leadline.rules.fdl.words import advice, things


@pytest.mark.parametrize(
    ("kind", "role", "count", "words"),
    [
        ("tcp", "dialed", 1, "1 TCP connection dialed"),
        ("tcp", "created", 2, "2 TCP sockets created"),
        ("file", "opened", 2, "2 files opened"),
        ("directory", "opened", 2, "2 directories opened"),
        ("pipe", "created", 1, "1 pipe end created"),
        ("unix", "accepted", 3, "3 unix connections accepted"),
    ],
)
def test_things(kind: str, role: str, count: int, words: str) -> None:
    assert things(DescriptorKind(kind), role, count) == words


@pytest.mark.parametrize("kind", list(DescriptorKind))
@pytest.mark.parametrize("role", ["dialed", "accepted", "opened", "duplicated", "created"])
@pytest.mark.parametrize("is_go", [True, False])
def test_every_kind_has_a_noun_and_advice(kind: DescriptorKind, role: str, *, is_go: bool) -> None:
    assert things(kind, role, 2).startswith("2 ")
    birthplace = Birthplace(
        id=1, pid=1, kind=kind, syscall="x", role=role, stack=None, births=2, deaths=0, alive=2
    )
    said = advice(birthplace, (), Living((1, 2)), is_go=is_go)
    assert said.mechanism.endswith(".")
    assert said.remedy.endswith(".")
    if not is_go:
        assert "defer" not in said.remedy


def dialed(functions: tuple[str, ...], **standings: int) -> str:
    birthplace = Birthplace(
        id=1,
        pid=1,
        kind=DescriptorKind.TCP,
        syscall="socket",
        role="dialed",
        stack=None,
        births=4,
        deaths=0,
        alive=4,
    )
    counts = Counter({Standing(name.replace("_", "-")): count for name, count in standings.items()})
    said = advice(birthplace, functions, Living((1, 2, 3, 4), standings=counts), is_go=True)
    return f"{said.mechanism} {said.remedy}"


def test_advice_follows_the_stack() -> None:
    assert "resp.Body.Close()" in dialed(("net/http.(*Transport).dialConn",), forgotten=4)
    assert "On 4 of them" in dialed(("net/http.(*Transport).dialConn",), unread=4)
    assert "http.Client.Timeout" in dialed(("net/http.(*Transport).dialConn",), waiting=3)
    assert "rows.Close" in dialed(("database/sql.(*DB).conn",))
    assert "Handshake" in dialed(("crypto/tls.Dial",))
    assert "defer conn.Close()" in dialed(("net.Dial",))
