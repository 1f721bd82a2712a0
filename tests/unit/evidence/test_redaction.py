from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leadline.evidence import Evidence
from leadline.evidence.kinds import (
    Birthplace,
    Connection,
    Descriptor,
    DescriptorKind,
    Goroutine,
    Origin,
    ProcessInfo,
)
from leadline.evidence.redaction import MARK, redact_arguments, redact_command_line, redact_text, redacted
from leadline.model import Gap, GapReason

SECRET = "hunter2"


@pytest.mark.parametrize(
    "arguments",
    [
        ["srv", f"--token={SECRET}"],
        ["srv", f"-password={SECRET}"],
        ["srv", "--password", SECRET],
        ["srv", "--db-passwd", SECRET, "--port", "80"],
        ["srv", f"--api-key={SECRET}"],
        ["srv", f"--upstream=https://bob:{SECRET}@h/x"],
        ["srv", f"https://h/x?q={SECRET}"],
        ["srv", f"https://h/x#{SECRET}"],
        ["srv", f"postgres://u:a/{SECRET}@h/db"],
        ["srv", f"root:{SECRET}@tcp(db:3306)/x"],
        ["srv", f"--dsn=root:{SECRET}@tcp(db:3306)/x"],
        ["env", f"DB_URL={SECRET}", "srv"],
        ["curl", "-H", f"Authorization: Bearer {SECRET}"],
        ["curl", "-H", f"X-Api-Key: {SECRET}"],
        ["curl", "-u", f"bob:{SECRET}"],
        ["srv", f"Bearer {SECRET}"],
        ["/usr/bin/mysql", f"-p{SECRET}"],
        ["srv", "--ldflags", f"-X main.token={SECRET}"],
        ["sh", "-c", f"PASSWORD={SECRET} run"],
    ],
)
def test_secrets_go(arguments: list[str]) -> None:
    shown = redact_arguments(arguments)
    assert SECRET not in " ".join(shown)
    assert MARK in " ".join(shown)
    assert SECRET not in redact_command_line(" ".join(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["/srv/api", "-listen=:8080", "--config", "/etc/api/config.yaml", "--tls-key=/etc/k.pem"],
        ["srv", "--bypass=1", "-p", "8080", "https://host:443/path/a@b", "user@host", "--no-color"],
        ["./server", "-addr=[::1]:80", "-f", "C:/x", "k=v"],
        ["mysql", "-p", "db"],
    ],
)
def test_what_a_reader_needs_stays(arguments: list[str]) -> None:
    assert redact_arguments(arguments) == tuple(arguments)


def test_known_forms_of_tokens_go_wherever_they_stand() -> None:
    for token in (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc_123",
        "ghp_0123456789abcdefXYZ",
        "AKIAABCDEFGHIJKLMNOP",
        "xoxb-123456789012",
    ):
        assert token not in redact_text(f"see {token} there")


PIECES = st.sampled_from(
    [
        "--token",
        "=",
        "abc",
        " ",
        "https://",
        "u:p@h",
        "/",
        "?",
        "#",
        "@",
        ":",
        "Authorization:",
        "Bearer",
        "A_B",
        "-p",
        "mysql",
        "curl",
        "-u",
        "'",
        MARK,
    ]
)


@given(st.lists(st.lists(PIECES, max_size=6).map("".join) | st.text(), max_size=6))
@example(["--token", "--tokenu:p@h"])
def test_redacting_twice_changes_nothing(arguments: list[str]) -> None:
    once = redact_arguments(arguments)
    assert redact_arguments(once) == once


@given(st.lists(PIECES, max_size=12).map("".join) | st.text())
def test_any_command_line_and_text_can_be_redacted(text: str) -> None:
    assert redact_command_line(redact_command_line(text)) == redact_command_line(text)
    assert redact_text(redact_text(text)) == redact_text(text)


def test_all_records_lose_their_secrets_and_become_utf8() -> None:
    evidence = Evidence()
    evidence.put(
        ProcessInfo(
            pid=1,
            start_boot_ns=1,
            comm="a\udcff",
            cmdline=f"srv --token={SECRET}",
            build_settings={"-ldflags": f"-X main.password={SECRET}"},
        )
    )
    evidence.put(
        Descriptor(
            pid=1,
            fd=3,
            kind=DescriptorKind.FILE,
            origin=Origin.BEFORE,
            name="/tmp/caf\udce9",
            seen_since_mono_ns=1,
        )
    )
    evidence.gap(Gap(what="x", reason=GapReason.TIMEOUT, detail=f"GET http://a:{SECRET}@h/"))
    evidence.put_all(Birthplace, [])
    kept = redacted(evidence)
    assert kept.observed() == evidence.observed()
    process, descriptor = kept.all(ProcessInfo)[0], kept.all(Descriptor)[0]
    assert (process.comm, process.cmdline) == ("a\\xff", "srv --token=[redacted]")
    assert descriptor.name == "/tmp/caf\\xe9"
    assert SECRET not in str([kept.all(kind) for kind in (ProcessInfo, Gap)])
    assert redacted(kept).all(ProcessInfo) == kept.all(ProcessInfo)


def test_requests_keep_their_path_and_lose_tokens() -> None:
    evidence = Evidence()
    for fd, request in enumerate(
        ("GET /v1/prices", f"GET /share/ghp_{'a' * 20}/x", "GET /to/http://bob:hunter2@h/?q=hunter2", None)
    ):
        evidence.put(
            Connection(
                pid=1, fd=fd, role="client", protocol="http/1.1", activity="body-held", request=request
            )
        )
    assert [one.request for one in redacted(evidence).all(Connection)] == [
        "GET /v1/prices",
        f"GET /share/{MARK}/x",
        f"GET /to/http://{MARK}@h/?{MARK}",
        None,
    ]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (f"http://u:{SECRET}@h/p?token={SECRET}&key={SECRET}", f"http://{MARK}@h/p?{MARK}"),
        (f"u:{SECRET}@tcp(db:3306)/x?password={SECRET}", f"{MARK}@tcp(db:3306)/x?{MARK}"),
        (f"/api?token={SECRET}", f"/api?{MARK}"),
        (f"host=db password={SECRET} user=x", f"host=db password={MARK} user=x"),
        ("GET /orders", "GET /orders"),
        ("really?", "really?"),
    ],
)
def test_labels_lose_their_secrets_and_nothing_else(value: str, kept: str) -> None:
    evidence = Evidence()
    evidence.put(Goroutine(pid=1, goid=7, state="running", labels={"about": value, "password": SECRET}))
    once = redacted(evidence)
    [one] = once.all(Goroutine)
    assert one.labels == {"about": kept, "password": MARK}
    assert redacted(once).all(Goroutine) == (one,)
