"""Words of the evidence: closed sets, and what follows from a record."""

from __future__ import annotations

import msgspec
import pytest

from leadline.evidence.kinds import KINDS, DescriptorKind, Window

REPORT_WORDS = {"tcp", "udp", "unix", "file", "pipe", "eventpoll", "eventfd", "timerfd", "inotify", "other"}


def test_report_words_are_the_closed_set_of_the_report_document() -> None:
    assert {kind.report_word for kind in DescriptorKind} == REPORT_WORDS


@pytest.mark.parametrize("kind", DescriptorKind)
def test_sockets_of_every_family_are_sockets_and_nothing_else_is(kind: DescriptorKind) -> None:
    assert kind.is_socket == (kind.value in {"tcp", "udp", "unix", "netlink", "packet", "socket"})


def test_a_window_knows_its_length() -> None:
    assert Window(begin_mono_ns=5, end_mono_ns=12, begin_unix_ns=0, mode="bpf").duration_ns == 7


def test_kinds_are_named_by_their_tags_and_frozen() -> None:
    for name, kind in KINDS.items():
        assert kind.__struct_config__.tag == name
        assert kind.__struct_config__.frozen


def test_a_record_of_an_older_version_without_later_fields_is_read() -> None:
    """Later fields have defaults, so that old bundles stay readable."""
    window = msgspec.json.decode(
        b'{"type":"window","begin_mono_ns":1,"end_mono_ns":2,"begin_unix_ns":3,"mode":"bpf"}', type=Window
    )
    assert window.ended_by == "duration"
