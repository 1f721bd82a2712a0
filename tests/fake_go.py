"""A `go` command that is a shell script: it writes down how it was called and "builds" small scripts instead of programs."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["LAB_PROGRAM", "calls", "fake_go"]

LAB_PROGRAM = rf"""#!{sys.executable} -IS
import signal, sys, time
argument = dict(zip(sys.argv[1:], sys.argv[2:]))
second, holds = argument.get("-role") == "peer", "-hold" in sys.argv
if "-die" in sys.argv:
    sys.exit("no such luck")
if "-mute" in sys.argv:
    time.sleep(60)
if "-dump" in sys.argv:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGQUIT])  # taken by sigwait: a handler might run too late
if "-deaf" in sys.argv:
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
print("a library says something that is not JSON")
if argument.get("-peer") == "external":
    print('{{"listening": "127.0.0.1:1"}}', flush=True)
print('{{"ready": true, "pid": 0, "addr": "%s"}}' % ("10.0.0.2:2" if second else "10.0.0.1:1"), flush=True)
if holds and not sys.stdin.readline():
    sys.exit()
if not second:
    print('{{"child_pid": 4711}}')
    for done in range(1, 24):
        print('{{"done": %d}}' % done)
    print('{{"done": 23, "finished": true}}', flush=True)
if "-dump" in sys.argv:
    signal.sigwait([signal.SIGQUIT])
    sys.exit("goroutine 1 [running]:")
if "-end" not in sys.argv:
    sys.stdin.read()
"""
"""Speaks as the lab programs do; the flags -die, -mute, -end, -dump and -deaf make it misbehave."""


def fake_go(folder: Path, *, says: str = "go version go1.26.0 linux/amd64", fails: bool = False) -> Path:
    """Write the command into a folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "program").write_text(LAB_PROGRAM)
    (folder / "program").chmod(0o755)
    go = folder / "go"
    go.write_text(
        f"""#!/bin/sh
if [ "$1" = version ]; then echo "{says}"; exit; fi
env | sort > "{folder}/environment"
echo "$@" >> "{folder}/calls"
{"echo main.go:1: no >&2; exit 1" if fails else ""}
out=
for word; do
  case $word in
    ./*) cp "{folder}/program" "$out/${{word#./}}" ;;
    */) out=$word ;;
  esac
done
"""
    )
    go.chmod(0o755)
    return go


def calls(go: Path) -> list[str]:
    """Return the arguments of each call but `version`, in order."""
    path = go.parent / "calls"
    return path.read_text().splitlines() if path.exists() else []
