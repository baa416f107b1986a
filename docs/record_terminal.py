"""Make docs/terminal.svg, the picture of the README: real commands, and what they print.

Run it as root or as a user who can mount: python docs/record_terminal.py
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 84
COMMANDS = (
    "volfs create data",
    "volfs mount data /tmp/a",
    "echo 0.71 >/tmp/a/score",
    "volfs commit /tmp/a -m 'first run'",
    "volfs run --volume data:/data --fork -- sh -c 'echo 0.93 >/data/score'",
    "volfs diff {fork} 1",
    "volfs merge {fork}",
    "volfs reload /tmp/a",
    "cat /tmp/a/score",
    "volfs log data",
    "volfs get data score - --at 1",
)
_FORK = re.compile(r"to its fork (\S+)\.")


def record(folder: Path) -> str:
    """Run the commands and return the picture. ``folder`` stands for /tmp."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VOLFS_STORE": str(folder / "store"),
        "VOLFS_RUNTIME_DIR": str(folder / "run"),
        "VOLFS_STATE_DIR": str(folder / "state"),
        "COLUMNS": str(WIDTH),
        "TERM": "xterm-256color",
        "TZ": "UTC",
    }
    (folder / "a").mkdir()
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    fork = ""
    try:
        for command in COMMANDS:
            shown = command.format(fork=fork)
            console.print(Text.assemble(("$ ", "green"), (shown, "bold")))
            said = _run(shown.replace("/tmp/", f"{folder}/"), environment)
            found = _FORK.search(said)
            fork = found[1] if found else fork
            console.print(Text.from_ansi(said.replace(f"{folder}/", "/tmp/")), end="")
    finally:
        _run(f"volfs umount {folder}/a", environment)
    return console.export_svg(title="volfs", theme=MONOKAI)


def _run(command: str, environment: dict[str, str]) -> str:
    """What a command prints on a terminal. CalledProcessError if it fails."""
    words = ["script", "-qec", f"stty cols {WIDTH}; {command}", os.devnull]
    done = subprocess.run(words, env=environment, capture_output=True, check=True)
    # A progress bar comes first and is erased: what follows the last erased line stays.
    return done.stdout.decode().rpartition("\x1b[2K")[2].replace("\r\n", "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        picture = record(Path(place))
    Path(__file__).with_name("terminal.svg").write_text(picture)
