"""The groups dict, queue and secret as scripts see them; and that secrets do not leak."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command

on_both = pytest.mark.usefixtures("kept")
"""Runs with Dicts and Queues in the store, and on a server."""

CANARY = "cAnArY-5f1d7e"
ABORTED = "Aborted: no interactive terminal detected. Rerun with --yes (-y) to skip confirmation."


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VOLFS_ENVIRONMENT", "MODAL_ENVIRONMENT", "VOLFS_SECRET_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def run_python(volfs: Command, code: str) -> str:
    """Run a program of a user's on the same store."""
    done = subprocess.run(
        [sys.executable, "-c", f"import volfs as modal\n{code}"],
        env=volfs.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


# --- all three --------------------------------------------------------------


@on_both
@pytest.mark.parametrize("kind", ["dict", "queue", "secret"])
def test_listing_and_deleting(volfs: Command, kind: str) -> None:
    values = ["A=b"] if kind == "secret" else []
    assert volfs(kind, "list").out == b""
    for name in ("one", "two"):
        volfs(kind, "create", name, *values)
    volfs(kind, "create", "-e", "test", "three", *values)
    assert [line.split("\t")[0] for line in volfs(kind, "list").lines] == ["two", "one"]
    rows = volfs(kind, "list", "--json").json
    assert list(rows[0])[:3] == ["name", "created_at", "created_by"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", rows[0]["created_at"])
    assert [row["name"] for row in volfs(kind, "list", "--env", "test", "--json").json] == ["three"]
    listed = volfs(kind, "list", "--json", MODAL_ENVIRONMENT="test").json
    assert [row["name"] for row in listed] == ["three"]
    result = volfs(kind, "delete", "one", status=1)
    question = f"Are you sure you want to irrevocably delete the {kind.title()} 'one'? [y/N]: "
    assert result.err.splitlines() == [question, f"volfs: {kind} delete: {ABORTED}"]
    assert volfs(kind, "delete", "one", "-y").out == b""
    assert "not found in environment" in volfs(kind, "delete", "one", "-y", status=1).err
    volfs(kind, "delete", "--allow-missing", "one", "--yes")
    assert len(volfs(kind, "list").lines) == 1
    store = volfs.directory / "other"
    assert volfs(kind, "--store", store, "list").out == b""
    assert volfs(kind, "list", "--store", volfs.store).lines == volfs(kind, "list").lines


@on_both
@pytest.mark.parametrize("kind", ["dict", "queue"])
def test_create_is_silent_and_may_be_repeated(volfs: Command, kind: str) -> None:
    for _ in range(2):
        assert volfs(kind, "create", "n").out == b""
    noun = kind.title()
    message = f"volfs: {kind} create: Invalid {noun} name: 'a/b'. Names may contain only"
    assert volfs(kind, "create", "a/b", status=2).err.startswith(message)


@pytest.mark.parametrize("kind", ["dict", "queue", "secret"])
def test_bare_groups_and_commands_show_help(volfs: Command, kind: str) -> None:
    assert f"Usage: volfs {kind}" in volfs(kind, status=2).err
    assert f"Usage: volfs {kind} delete" in volfs(kind, "delete", status=2).err
    assert f"volfs: {kind} list: No such option" in volfs(kind, "list", "--x", status=2).err


# --- dict -------------------------------------------------------------------


@on_both
def test_dict_get_items_clear(volfs: Command) -> None:
    volfs("dict", "create", "d")
    run_python(volfs, "modal.Dict.from_name('d').update({'k': 'v' * 90, 'l': [1], 'm': {1, 2}})")
    assert volfs("dict", "get", "d", "l").lines == ["[1]"]
    assert volfs("dict", "get", "d", "none").lines == ["None"]
    shown = dict(line.split("\t") for line in volfs("dict", "items", "d").lines)
    assert shown == {"k": "v" * 80 + "...", "l": "[1]", "m": "{1, 2}"}
    shown = dict(line.split("\t") for line in volfs("dict", "items", "d", "-r").lines)
    assert shown["'l'"] == "[1]"
    assert len(volfs("dict", "items", "d", "2").lines) == 3
    assert volfs("dict", "items", "d", "2").lines[-1] == "...\t..."
    assert len(volfs("dict", "items", "d", "2", "--all").lines) == 3
    rows = volfs("dict", "items", "d", "1", "--json").json
    assert {row["key"]: row["value"] for row in rows} == {"k": "v" * 90, "l": [1], "m": "{1, 2}"}
    result = volfs("dict", "clear", "d", status=1)
    assert "irrevocably delete the contents of Dict 'd'? [y/N]" in result.err
    volfs("dict", "clear", "-y", "d")
    assert volfs("dict", "items", "d").out == b""
    assert "Dict 'e' not found" in volfs("dict", "get", "e", "k", status=1).err


# --- queue ------------------------------------------------------------------


@on_both
def test_queue_peek_len_clear(volfs: Command) -> None:
    volfs("queue", "create", "q")
    run_python(
        volfs,
        "q = modal.Queue.from_name('q')\nq.put_many([1, 'two', None])\nq.put('p', partition='p')",
    )
    assert volfs("queue", "peek", "q").lines == ["1"]
    assert volfs("queue", "peek", "q", "5").lines == ["1", "two", "None"]
    assert volfs("queue", "peek", "q", "-p", "p").lines == ["p"]
    assert volfs("queue", "len", "q").lines == ["3"]
    assert volfs("queue", "len", "q", "-p", "p").lines == ["1"]
    assert volfs("queue", "len", "q", "--total").lines == ["4"]
    (row,) = volfs("queue", "list", "--json").json
    assert (row["partitions"], row["total_size"], row["total_size_truncated"]) == (2, 4, False)
    assert volfs("queue", "list").lines[0].split("\t")[3:] == ["2", "4"]
    volfs("queue", "clear", "q", "-y")
    assert volfs("queue", "len", "q", "-t").lines == ["1"]
    volfs("queue", "clear", "q", "--all", "-y")
    assert volfs("queue", "len", "q", "-t").lines == ["0"]
    both = volfs("queue", "clear", "q", "-a", "-p", "p", "-y", status=2)
    assert "Partition must be null when requesting to clear all" in both.err


# --- secret -----------------------------------------------------------------

READ = "from volfs.api.secret import read_environment as r; print(r([modal.Secret.from_name('s')]))"


def test_secret_create(volfs: Command) -> None:
    out = volfs("secret", "create", "s", "A=1", "B=x=y", "C=").lines
    assert out[0] == "Created a new secret 's' with the keys 'A', 'B', 'C'"
    assert '    os.getenv("A")' in out
    assert run_python(volfs, READ) == "{'A': '1', 'B': 'x=y', 'C': ''}\n"
    again = volfs("secret", "create", "s", "A=2", status=1)
    assert again.err == "volfs: secret create: Secret 's' already exists in environment 'main'\n"
    out = volfs("secret", "create", "--force", "s", "D=2").lines
    assert out[0] == "Created a new secret 's' with the key 'D'"
    assert run_python(volfs, READ) == "{'D': '2'}\n"
    (row,) = volfs("secret", "list", "--json").json
    assert row["last_used_at"].startswith("20")
    volfs("secret", "create", "t", "A=1")
    assert volfs("secret", "list").lines[0].split("\t")[3] == "-"
    assert volfs("secret", "rotate-key").lines == [
        f"Encrypted 2 secrets with a new key in {volfs.store}.secret-key."
    ]
    assert run_python(volfs, READ) == "{'D': '2'}\n"


def test_secret_create_from_files(volfs: Command, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A=dotenv\nB='dot env'\n")
    (tmp_path / "json").write_text('{"B": "json", "C": "{\\"type\\": 1}"}')
    volfs("secret", "create", "s", "A=a", "D=d", "--from-dotenv=env", "--from-json", "json")
    assert (
        run_python(volfs, READ)
        == str({"A": "dotenv", "D": "d", "B": "json", "C": '{"type": 1}'}) + "\n"
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([CANARY], "Each item should be of the form KEY=VALUE; item 1 is not"),
        (["A=" + CANARY, CANARY], "item 2 is not"),
        (["--from-dotenv", "none"], "Could not read .env file at none"),
        (["--from-dotenv", "half"], "Could not read .env file at half:2: B has no value"),
        (["--from-json", "none"], "Could not read JSON file at none"),
        (["--from-json", "bad"], "Could not parse JSON file at bad"),
        (["--from-json", "list"], "Could not parse JSON file at list: it is no object"),
        (["--from-json", "number"], "Non-string value for secret 'A'"),
        ([], "You need to specify at least one key for your secret"),
        (["=" + CANARY], "Invalid key: ''"),
        (["A-B=" + CANARY], "Invalid key: 'A-B'"),
    ],
)
def test_secret_create_refuses(volfs: Command, tmp_path: Path, args: list[str], said: str) -> None:
    (tmp_path / "half").write_text(f"A={CANARY}\nB\n")
    (tmp_path / "bad").write_text(f'{{"A": "{CANARY}" nonsense')
    (tmp_path / "list").write_text(f'["{CANARY}"]')
    (tmp_path / "number").write_text('{"A": 17}')
    result = volfs("secret", "create", "s", *args, status=2)
    assert said in result.err
    assert len(result.err.splitlines()) == 1
    assert CANARY not in result.err
    assert volfs("secret", "list").out == b""


def test_secret_from_an_editor(volfs: Command, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf 'typed\\n' > \"$1\"\n")
    editor.chmod(0o755)
    controller, terminal = pty.openpty()
    environment = volfs.environment | {"EDITOR": str(editor), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [*volfs.argv, "secret", "create", "s", "A=-"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
    )
    os.close(terminal)
    said = b""
    while b"..." not in said:
        said += os.read(controller, 1000)
    assert b"Pressing enter will open an external editor for editing 'A'" in said
    os.write(controller, b"\n")
    assert process.wait(timeout=60) == 0
    os.close(controller)
    assert run_python(volfs, READ) == "{'A': 'typed'}\n"


# --- leaks ------------------------------------------------------------------


def files_with(directory: Path, word: bytes) -> Iterator[Path]:
    for path in directory.rglob("*"):
        if path.is_file() and word in path.read_bytes():
            yield path


def wait_until_hidden(pid: int) -> bytes:
    """The process's arguments, as soon as the word is no more among them."""
    while True:
        shown = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"secret" in shown and CANARY.encode() not in shown:
            return shown


def test_values_leave_the_list_of_processes(volfs: Command) -> None:
    with subprocess.Popen(
        [*volfs.argv, "secret", "create", "s", f"A={CANARY}", "B=-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=volfs.environment,
    ) as process:
        # It waits for its standard input, where B comes from.
        assert b"A=\0" in wait_until_hidden(process.pid)
        out, _ = process.communicate(b"from a pipe\n", timeout=60)
    assert process.returncode == 0
    assert CANARY.encode() not in out
    assert run_python(volfs, READ) == f"{{'A': '{CANARY}', 'B': 'from a pipe'}}\n"


def test_a_secret_is_nowhere_in_the_clear(volfs: Command, tmp_path: Path) -> None:
    said = [
        volfs("secret", "create", "s", "A=-", stdin=CANARY.encode()),
        volfs("secret", "create", "s", "A=-", stdin=CANARY.encode(), status=1),
        volfs("secret", "create", "s", "A=-", "--force", stdin=CANARY.encode()),
        volfs("secret", "create", "t", "A-B=-", stdin=CANARY.encode(), status=2),
        volfs("secret", "create", "t", "A=-", stdin=CANARY.encode() * 3000, status=2),
        volfs("secret", "list"),
        volfs("secret", "list", "--json"),
        volfs("secret", "rotate-key"),
        volfs("check"),
    ]
    run_python(volfs, f"modal.Secret.from_name('s').update({{'B': '{CANARY}' * 100}})")
    assert CANARY in run_python(volfs, READ)
    key_file = Path(f"{volfs.store}.secret-key")
    key_file.chmod(0o644)
    said.append(volfs("secret", "create", "t", "A=-", stdin=CANARY.encode(), status=1))
    said.append(
        volfs("secret", "create", "t", "A=-", stdin=CANARY.encode(), status=1, VOLFS_TRACEBACK="1")
    )
    assert all(CANARY not in result.err + result.out.decode() for result in said)
    assert list(files_with(tmp_path, CANARY.encode())) == []
    key = key_file.read_text().split()[1]
    assert list(files_with(volfs.store, key.encode())) == []
    assert list(files_with(volfs.store, bytes.fromhex(key))) == []
    # Dicts are not sealed: so the search does find what is there.
    run_python(volfs, f"modal.Dict.from_name('d', create_if_missing=True)['k'] = '{CANARY}'")
    assert [path.name for path in files_with(tmp_path, CANARY.encode())] == ["data.mdb"]


def test_deleting_removes_the_sealed_bytes_from_the_table(volfs: Command) -> None:
    volfs("secret", "create", "s", "A=1")
    volfs("secret", "delete", "s", "-y")
    volfs("secret", "create", "s", "A=2")
    assert run_python(volfs, READ) == "{'A': '2'}\n"
