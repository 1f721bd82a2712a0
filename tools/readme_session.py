"""Put the output of a real demo between the session marks of both READMEs.

    sudo .venv/bin/python tools/readme_session.py

The demo runs on the spot, 80 columns wide and without colour; what it prints is copied as it is, but for the paths of this
checkout and of this user's home, which are written ``~/leadline`` and ``~``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN = "<!-- session: written by tools/readme_session.py -->\n"
END = "<!-- end of session -->\n"
READMES = ("README.md", "README.zh-CN.md")


def session() -> str:
    """Run the demo and return its command and its report as a fenced block.

    Raises:
        CalledProcessError: the demo did not name the planted line.
    """
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80", "TERM": "dumb"}
    command = [sys.executable, "-m", "leadline", "lab", "demo"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=True, env=environment, cwd=ROOT
    )
    report = "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())
    report = report.replace(str(ROOT), "~/leadline").replace(str(Path.home()), "~")
    pid = re.search(r"\bpid (\d+)", done.stderr)
    asked = f"sudo leadline trace {pid[1]} -d 12s --source ." if pid else "sudo leadline lab demo"
    return f"```console\n$ {asked}\n{report}\n```\n"


def replaced(text: str, block: str) -> str:
    """Return a README with the block between its marks."""
    begin = text.index(BEGIN) + len(BEGIN)
    return text[:begin] + block + text[text.index(END) :]


def main() -> None:
    """Run the demo once and write both READMEs."""
    block = session()
    for name in READMES:
        path = ROOT / name
        path.write_text(replaced(path.read_text(), block))
    print(block, end="")


if __name__ == "__main__":
    main()
