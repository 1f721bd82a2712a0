"""The small tools behind the commands do what their first lines say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from house.files import ROOT
from house.tools import load_tool

AS_ROOT = ROOT / "tools" / "as_root.sh"


def as_root(tools: Path, *, uid: int, sudo: str | None) -> subprocess.CompletedProcess[str]:
    """Run ``as_root.sh printf ran`` with an ``id`` and a ``sudo`` of our own on the path."""
    commands = {"id": f"echo {uid}"} | ({} if sudo is None else {"sudo": sudo})
    for name, body in commands.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    for name in ("env", "printf"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    return subprocess.run(
        ["/bin/sh", str(AS_ROOT), "printf", "ran"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": str(tools)},
    )


def test_root_runs_the_command_at_once(tmp_path: Path) -> None:
    done = as_root(tmp_path, uid=0, sudo="exit 9")
    assert (done.stdout, done.stderr, done.returncode) == ("ran", "", 0)


def test_sudo_is_used_when_it_asks_for_nothing(tmp_path: Path) -> None:
    done = as_root(tmp_path, uid=1000, sudo='[ "$1" = -n ] && exit 0\necho "as root: $*"')
    assert done.stdout.startswith(f"as root: -H env PATH={tmp_path} PYTHONDONTWRITEBYTECODE=1 printf ran")
    assert done.stderr == ""


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_without_rights_it_says_so_and_goes_on(tmp_path: Path, sudo: str | None) -> None:
    done = as_root(tmp_path, uid=1000, sudo=sudo)
    assert done.stdout == "ran"
    assert "reduced diagnosis" in done.stderr


def test_the_session_is_put_between_the_marks_of_both_readmes() -> None:
    tool = load_tool("readme_session")
    for name in tool.READMES:
        text = (ROOT / name).read_text()
        new = tool.replaced(text, "```console\n$ new\n```\n")
        assert tool.replaced(new, "```console\n$ new\n```\n") == new
        assert new.count("$ new") == 1
        assert new.startswith(text[: text.index(tool.BEGIN)])
        assert new.endswith(text[text.index(tool.END) :])


def test_benchmarks_describe_the_machine() -> None:
    described = load_tool("bench").machine()
    for fact in ("day", "CPU", "memory", "kernel", "Python"):
        assert f"- {fact}: " in described
