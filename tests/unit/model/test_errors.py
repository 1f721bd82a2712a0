"""Errors say what happened and what to do, and keep what a reader needs to act."""

from __future__ import annotations

import pytest

from leadline import model
from leadline.model import AccessError, LeadlineError, Malformed, NotPermitted, errors


def test_every_error_of_ours_is_caught_as_one() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), LeadlineError), name
        assert getattr(model, name) is getattr(errors, name), f"{name} is not a public name of model"


def test_message_and_remedy_are_kept_apart() -> None:
    error = NotPermitted("bpf(2) was refused: EPERM", remedy="run as root", errno_raw=1)
    assert str(error) == error.message == "bpf(2) was refused: EPERM"
    assert error.remedy == "run as root"
    assert error.errno_raw == 1
    assert isinstance(error, AccessError)


def test_malformed_says_where_and_keeps_a_bounded_sample() -> None:
    error = Malformed(".gopclntab", "bad magic", offset_bytes=8, sample=bytes(1000))
    assert str(error) == ".gopclntab: bad magic at byte 8"
    assert error.sample == bytes(64)
    assert str(Malformed("proc/1/stat", "too short")) == "proc/1/stat: too short"


@pytest.mark.parametrize("kind", [model.TargetGone, model.Unsupported, model.DeadlineExceeded])
def test_access_errors_have_no_errno_unless_there_was_one(kind: type[AccessError]) -> None:
    assert kind("gone").errno_raw is None
    assert kind("gone").remedy == ""
