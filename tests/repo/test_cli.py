"""Every command is documented, has help with worked examples, and starts quickly."""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from house.files import ROOT
from leadline.cli import build

# The promise is 300 ms from start to first output on an idle machine. Here other tests run beside it, so the test takes the
# CPU time, which is the same but for waiting, as the median of seven, and allows half as much again for a cold cache.
START_UP_PROMISE_S = 0.3
START_UP_ALLOWED_S = 1.5 * START_UP_PROMISE_S
HEAVY = ("numpy", "elftools", "zstandard", "leadline.host", "leadline.rules", "leadline.probes")


def commands(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    """Yield each command that runs something, with its full name."""
    for name, child in group.commands.items():
        if hasattr(child, "commands"):
            yield from commands(f"{prefix} {name}", child)
        else:
            yield f"{prefix} {name}", child


# A call in a document: command, then what follows on the line. Not part of a path, such as that of an image.
CALL = re.compile(r"(?<![/\w])leadline ((?:lab )?[a-z]+)((?: [^|&>#\n]*)?)")
COMMANDS = dict(commands("leadline", typer.main.get_command(build())))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_and_examples_that_name_it(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert re.match(r"[A-Z].*\.", command.help), "the first line is a sentence"
    assert command.epilog, "help ends with worked examples"
    assert re.search(r"Examples?\b", command.epilog)
    assert name in command.epilog, "an example calls the command"
    for param in command.params:
        if param.name != "help":
            assert param.help, f"{param.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_in_the_reference(name: str) -> None:
    assert f"\n## {name}\n" in (ROOT / "docs" / "reference" / "cli.md").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_use_options_that_exist(name: str) -> None:
    command = COMMANDS[name]
    known = {option for param in command.params for option in param.opts}
    for line in command.epilog.splitlines():
        if f"leadline {name.removeprefix('leadline ')}" not in line:
            continue
        own = line.split("leadline ", 1)[1].split(" -- ")[0].split("&&")[0].split(" > ")[0]
        for option in re.findall(r"(?<= )(--?[a-z][a-z-]*)", own):
            assert option in known, f"{option} in: {line.strip()}"


def test_documents_use_commands_and_options_that_exist() -> None:
    bad = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for kind, block in re.findall(
            r"^```(sh|console|yaml)\b.*\n((?:.*\n)*?)```", page.read_text(), re.MULTILINE
        ):
            lines = [line for line in block.splitlines() if kind != "console" or line.startswith("$ ")]
            for call in re.findall(CALL, "\n".join(lines)):
                name = f"leadline {call[0]}"
                if name not in COMMANDS:
                    bad.append(f"{page.name}: {name}")
                    continue
                known = {option for param in COMMANDS[name].params for option in param.opts}
                for option in re.findall(r"(?<= )(--?[a-z][a-z-]*)", call[1].split(" -- ")[0]):
                    if option not in known:
                        bad.append(f"{page.name}: {name} {option}")
    assert not bad


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "COLUMNS": "80"}
    command = [sys.executable, "-m", "leadline", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_start_up_is_quick() -> None:
    run_cli("--help")  # Byte code is written once.
    times = []
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run_cli("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert statistics.median(times) <= START_UP_ALLOWED_S, (
        f"--help took {statistics.median(times):.2f} s of CPU"
    )


@pytest.mark.parametrize("arguments", [("--help",), ("trace", "--help"), ("--version",)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    program = (
        "import sys\nsys.argv = ['leadline', *" + repr(list(arguments)) + "]\nfrom leadline.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert "HEAVY []" in done.stdout, done.stdout[-300:] + done.stderr[-300:]


@pytest.mark.parametrize(
    "arguments", [("trace",), ("nonsense",), ("trace", "--nonsense", "1"), ("explain", "NOPE999")]
)
def test_wrong_use_is_exit_2_without_traceback(arguments: tuple[str, ...]) -> None:
    done = run_cli(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    assert done.stdout == ""
