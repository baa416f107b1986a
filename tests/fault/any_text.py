"""Texts that a system may hand to a program, and a process that runs commands with them.

``python -m tests.fault.any_text CASES`` runs each command of a JSON list, whose
arguments are hexadecimal, and says after each, between NULs, on both of its outputs
which number and exit status it had.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import click

SPECIAL = (
    b"",
    b"caf\xe9",
    b"\xc3\x28",
    b"\xed\xb3\xa9",
    b"\xf4\x90\x80\x80",
    b"\x1b[2J\x1b]0;title\x07",
    b"\x9b31m",
    "\u009b31m".encode(),
    "\u202egnp.exe".encode(),
    "a\u2028b\u2029c\u0085d".encode(),
    "a\u200bb\u200d\ufeff".encode(),
    "\u2066x\u2069".encode(),
    "\U0001f600\u6f22\u5b57\u0301".encode(),
    b"x\ny 1 2\n",
    b"x\ty\tz",
    b"x\r\ny",
    b"a\x0bb\x0cc\x1cd\x1de\x1ef",
    b"\\x1b\\n\\",
    b"[bold]x[/bold] :smile: [/]",
    b"%s%d%(name)s{0}{}",
    b" lead and trail ",
    b"-",
    b"--",
    b"--help",
    b"-\xff",
    b"/",
    b"../..",
    b"~",
    b"$HOME`id`",
    b"file://\xff",
    b"s3://\xff/\n",
    b"x" * 300,
    b"/" + b"y" * 255 + b"/\xff" * 200,
    b"\xff" * 70_000,
    ("\u00e9" * 5000).encode(),
)
BYTES = tuple(bytes((number,)) for number in range(1, 256))


def choose_texts(seed: int, count: int | None) -> list[bytes]:
    """All of them, or so many in a seeded order, of which a third are special."""
    if count is None:
        return [*SPECIAL, *BYTES]
    chance = random.Random(seed)
    chosen = chance.sample(SPECIAL, min(len(SPECIAL), -(-count // 3)))
    return chosen + chance.sample(BYTES, count - len(chosen))


def iter_commands(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[list[str], click.Command]]:
    """Every command of the tree with the words that call it; groups that run alone, too."""
    for name, command in group.commands.items():
        words = [*path, name]
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield words, command
            yield from iter_commands(command, tuple(words))
        else:
            yield words, command


def main() -> None:
    from volfs_cli.main import run

    cases = json.loads(Path(sys.argv[1]).read_text())
    for number, case in enumerate(cases):
        arguments = [os.fsdecode(bytes.fromhex(argument)) for argument in case]
        try:
            status = run(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.write(stream.fileno(), f"\0{number} {status}\0".encode())


if __name__ == "__main__":
    from volfs_cli.terminal import speak_utf8

    speak_utf8()
    main()
