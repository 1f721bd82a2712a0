"""A command that cannot be run is refused before anything is attached."""

from __future__ import annotations

import pytest

from leadline.app.exec import ExecOptions, exec_command
from leadline.model import UsageError


@pytest.mark.parametrize("command", ["no-such-command-anywhere", "/no/such/file", "/etc/passwd", "/"])
def test_what_is_no_command_is_refused_by_name(command: str) -> None:
    with pytest.raises(UsageError, match=command) as caught:
        exec_command([command], ExecOptions())
    assert caught.value.remedy
