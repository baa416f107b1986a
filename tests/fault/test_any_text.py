"""Any bytes, through every argument of every command: refused or taken, and shown as text.

The short form takes some texts for each argument, the long one all of them:
``VOLFS_ROUNDS`` says how many, ``VOLFS_SEED`` which.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from tests.crash.children import count_rounds, first_seed, is_long
from tests.fault.any_text import choose_texts, iter_commands
from tests.harness.mounted import Mounted, Mounts
from volfs_cli.main import cli

pytestmark = pytest.mark.fuse

SHORT, ALL = 3, 1000
SLOW = {"run", "rebuild-index"}
"""Commands that take long: they get a few texts."""
RAW = {("ls",), ("nfs", "ls")}
"""What lists bare paths, byte for byte where that is no terminal."""
GIVEN: dict[str, list[str]] = {
    "volume": ["data"], "name": ["nosuch"], "old_name": ["nosuch"], "new_name": ["other"],
    "target": ["nosuch"], "mountpoint": ["/nowhere/m"], "directory": ["/nowhere/d"],
    "old": ["0"], "new": ["head"], "version": ["0"], "path": ["/"], "paths": ["f", "g"],
    "remote_path": ["f"], "local_path": ["here"], "local_destination": ["there"],
    "source": ["f"], "destination": ["g"], "key": ["k"], "n": ["1"],
    "secret_name": ["s"], "keyvalues": ["K=v"], "command": ["true"], "shell": ["bash"],
}  # fmt: skip
OUTSIDE = {"local_path", "local_destination", "directory", "mountpoint"}
"""Parameters that are files of the machine: not its root, please."""
NOWHERE = "--host=192.0.2.1"
SERVING = {
    "ui": NOWHERE,
    "metrics serve": NOWHERE,
    "docker serve": "--socket=/dev/null/s",
    "top": "--once",
}
"""Commands that go on until Ctrl-C, and what lets them end at once. The options that this gives
take no texts here."""
MARKER = re.compile(rb"\x00(\d+) (-?\d+)\x00")


@dataclass
class Case:
    words: list[str]
    arguments: list[bytes]

    @property
    def argv(self) -> list[bytes]:
        return [*map(str.encode, self.words), *self.arguments]

    @property
    def is_raw(self) -> bool:
        return tuple(word for word in self.words if word != "volume") in RAW

    @property
    def is_program(self) -> bool:
        """A command's own words, that it is not there for example, are not ours."""
        return self.words == ["run"] and self.arguments[-1] != b"true"


def make_cases(texts: list[bytes]) -> Iterator[Case]:
    for words, command in iter_commands(cli, ()):
        few = texts[:4] if SLOW & {*words} else texts
        for parameter in command.params:
            if not _ends(words).startswith(max(parameter.opts, key=len)):
                yield from _substitute(words, command, parameter, few)


def _ends(words: list[str]) -> str:
    return SERVING.get(" ".join(words), "")


def _substitute(
    words: list[str], command: click.Command, parameter: click.Parameter, texts: list[bytes]
) -> Iterator[Case]:
    if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count):
        return
    as_json = any("--json" in other.opts for other in command.params)
    for text in texts:
        if parameter.name in OUTSIDE and text in (b"/", b"-"):
            continue
        ends = [_ends(words).encode()] if _ends(words) else []
        given = [*ends, *_give(command, parameter, text)]
        yield Case(words, given)
        if as_json:
            yield Case(words, [b"--json", *given])


def _give(command: click.Command, parameter: click.Parameter, text: bytes) -> Iterator[bytes]:
    """A command's arguments, that one with the text."""
    if any("--yes" in other.opts for other in command.params):
        yield b"--yes"
    if isinstance(parameter, click.Option):
        option = parameter.opts[-1].encode()
        yield from (option + b"=" + text,) if option.startswith(b"--") else (option, text)
    yield b"--"
    for argument in command.params:
        if not isinstance(argument, click.Argument):
            continue
        if argument is parameter:
            yield text
        elif argument.name in GIVEN:
            yield from map(str.encode, GIVEN[argument.name])


def split(output: bytes) -> list[tuple[bytes, int]]:
    """What each case has printed, and its exit status."""
    pieces = MARKER.split(output)
    return list(zip(pieces[0::3], map(int, pieces[2::3]), strict=False))


def find_problem(raw: bytes) -> str:
    """What is wrong with what a command has printed."""
    if b"Traceback" in raw or b"unexpected: " in raw:
        return "an error that was not expected"
    lines = os.fsdecode(raw).replace("\r\n", "\n").split("\n")
    # A tab is between columns; one in a value would make a row too long, see tests/cli.
    if any(not line.replace("\t", "").isprintable() for line in lines):
        return "characters that do not print"
    return "a forged row" if any(re.match(r"y [1z]|z$", line) for line in lines) else ""


def find_json_problem(raw: bytes) -> str:
    try:
        json.loads(raw)
    except ValueError as error:
        return str(error)
    return ""


@pytest.fixture
def place(mounts: Mounts) -> Path:
    """A directory to be in, deep enough for what goes up."""
    here = mounts.directory / "a" / "b" / "c"
    here.mkdir(parents=True)
    (here / "here").write_bytes(b"content")
    mounts.environment |= {
        "VOLFS_STORE": str(mounts.store_path),
        "TERM": "dumb",
        "COLUMNS": "200",
        "HOME": str(here),
        "EDITOR": "true",
    }
    return here


@pytest.fixture
def living(mounts: Mounts) -> Iterator[Mounted]:
    mounted = mounts.mount()
    (mounted.path / "f").write_bytes(b"content")
    mounted.commit()
    yield mounted
    assert mounted.status().pid == mounted.pid
    assert (mounted.path / "f").read_bytes() == b"content"


def start(mounts: Mounts, place: Path, cases: list[Case], out: int, err: int) -> int:
    """Run them all in one process; its exit status."""
    listed = mounts.directory / "cases"
    listed.write_text(json.dumps([[text.hex() for text in case.argv] for case in cases]))
    return subprocess.run(
        [sys.executable, "-m", "tests.fault.any_text", listed],
        env=mounts.environment,
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        check=False,
    ).returncode


@pytest.fixture
def cases() -> list[Case]:
    count = None if is_long() else count_rounds(SHORT, ALL)
    return list(make_cases(choose_texts(first_seed(), count)))


def test_every_argument_of_every_command_takes_any_bytes(
    mounts: Mounts, living: Mounted, place: Path, cases: list[Case]
) -> None:
    outputs = [mounts.directory / name for name in ("out", "err")]
    with outputs[0].open("wb") as out, outputs[1].open("wb") as err:
        status = start(mounts, place, cases, out.fileno(), err.fileno())
    printed, said = (split(path.read_bytes()) for path in outputs)
    assert status == 0, outputs[1].read_bytes()[-2000:]
    assert len(printed) == len(said) == len(cases)
    problems = []
    for case, (out_bytes, status), (err_bytes, _) in zip(cases, printed, said, strict=True):
        shown = b"" if case.is_raw and not status else out_bytes
        problem = "" if case.is_program else find_problem(shown) or find_problem(err_bytes)
        if status and not (err_bytes or out_bytes):
            problem = "no word of what is wrong"
        if not (status or problem) and b"--json" in case.arguments[:2] and out_bytes:
            problem = find_json_problem(out_bytes)
        if problem:
            problems.append((problem, case.argv, (out_bytes + err_bytes)[:300]))
    assert not problems, "\n".join(map(str, problems))


def test_nothing_reaches_a_terminal_as_it_is(
    mounts: Mounts, living: Mounted, place: Path, cases: list[Case]
) -> None:
    master, slave = os.openpty()
    reader = subprocess.Popen(["cat"], stdin=master, stdout=subprocess.PIPE)
    os.close(master)
    collected = mounts.directory / "terminal"
    with reader, collected.open("wb") as file:
        assert reader.stdout is not None
        pump = subprocess.Popen(["cat"], stdin=reader.stdout, stdout=file)
        status = start(mounts, place, cases, slave, slave)
        os.close(slave)
        reader.stdout.close()
        pump.wait()
    # Both outputs are the one terminal: there are two markers for each case.
    printed = split(collected.read_bytes())
    assert status == 0, collected.read_bytes()[-2000:]
    assert len(printed) == 2 * len(cases)
    found = [
        (find_problem(raw), case.argv, raw[:300])
        for case, (raw, _) in zip(cases, printed[0::2], strict=True)
        if not case.is_program
    ]
    problems = [problem for problem in found if problem[0]]
    assert not problems, "\n".join(map(str, problems))
