"""The command line as scripts see it: arguments, output, JSON keys, exit statuses."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Result
from tests.harness.waits import drop_waits
from volfs.control.mounts import list_volfs_mounts
from volfs.sessions.facts import SessionFacts, encode_facts


@pytest.fixture
def data(volfs: Command, tmp_path: Path) -> Path:
    """A volume ``v`` with files below ``d``; returns what they were put from."""
    local = tmp_path / "local"
    (local / "sub").mkdir(parents=True)
    (local / "a").write_bytes(b"a" * 10)
    (local / "sub/b").write_bytes(b"b" * 2000)
    volfs("create", "v")
    volfs("put", "v", local, "d")
    return local


def error(result: Result) -> str:
    """The one line on stderr."""
    (line,) = result.err.splitlines()
    assert "Traceback" not in line
    return line


def test_it_says_which_version_it_is(volfs: Command) -> None:
    assert volfs("--version").lines == [f"volfs {metadata.version('volfs')}"]


# --- volumes ----------------------------------------------------------------


def test_create_list_rename_delete(volfs: Command) -> None:
    assert volfs("create", "one").lines == ["Created Volume 'one'."]
    volfs("create", "two", "--version", "1", "--auto-commit")
    assert [line.split("\t")[0] for line in volfs("list").lines] == ["two", "one"]
    rows = volfs("list", "--json").json
    assert [row["name"] for row in rows] == ["two", "one"]
    assert list(rows[0]) == ["name", "created_at", "created_by", "environment"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", rows[0]["created_at"])
    assert volfs("rename", "-y", "one", "1st").out == b""
    assert volfs("delete", "--yes", "two").out == b""
    assert [row["name"] for row in volfs("list", "--json").json] == ["1st"]


def test_create_refuses_what_is_there_or_not_allowed(volfs: Command) -> None:
    volfs("create", "v")
    assert error(volfs("create", "v", status=1)) == "volfs: create: volume v: already exists"
    assert error(volfs("create", "a/b", status=2)).startswith("volfs: create: invalid volume name")
    assert "either 1 or 2" in error(volfs("create", "w", "--version", "3", status=2))
    assert "seconds" in error(volfs("create", "w", "--auto-commit=x", status=2))
    assert len(volfs("list").lines) == 1


@pytest.mark.parametrize(
    ("args", "seconds"),
    [
        ((), None),
        (("--auto-commit",), 5.0),
        (("--auto-commit", "2.5"), 2.5),
        (("--auto-commit=0",), None),
    ],
)
def test_auto_commit_may_stand_without_a_number(
    volfs: Command, args: tuple[str, ...], seconds: float | None
) -> None:
    volfs("create", *args, "v")
    info = volfs("info", "v", "--json").json
    assert info["auto_commit"] == seconds


def test_info(volfs: Command, data: Path) -> None:
    info = volfs("info", "v", "--json").json
    assert list(info) == [
        "name", "environment", "id", "profile", "version", "created_at", "created_by",
        "files", "directories", "bytes", "auto_commit", "mounts",
    ]  # fmt: skip
    assert (info["name"], info["profile"], info["version"]) == ("v", 2, 1)
    assert (info["files"], info["directories"], info["bytes"]) == (2, 2, 2010)
    assert info["mounts"] == []
    assert "Version:     1" in volfs("info", "v").lines


def test_delete_asks_and_without_a_terminal_refuses(volfs: Command) -> None:
    volfs("create", "v")
    refused = volfs("delete", "v", status=1, stdin=b"y\n")
    assert "Are you sure you want to irrevocably delete the Volume 'v'?" in refused.err
    assert (
        "Aborted: no interactive terminal detected. Rerun with --yes (-y) to skip confirmation."
        in refused.err
    )
    assert "w: no such volume" in error(volfs("delete", "-y", "w", status=1))
    volfs("delete", "-y", "--allow-missing", "w")
    volfs("delete", "-y", "v")
    volfs("delete", "-y", "--allow-missing", "v", VOLFS_STORE="/nowhere/at/all")


def test_on_a_terminal_the_answer_counts_and_tables_are_drawn(volfs: Command) -> None:
    volfs("create", "v")
    assert on_terminal(volfs, "list").splitlines()[0].split()[0] == "Name"
    assert "Aborted!" in on_terminal(volfs, "delete", "v", answer=b"n\n", status=1)
    on_terminal(volfs, "delete", "v", answer=b"y\n")
    assert volfs("list").lines == []


def test_a_terminal_gets_the_columns_that_it_has_room_for(volfs: Command) -> None:
    names = [f"{'long' * 15}-{number}" for number in range(2)]
    for name in names:
        volfs("create", name)

    def look(width: int, *options: str) -> list[str]:
        volfs.environment["COLUMNS"] = str(width)
        return on_terminal(volfs, "list", *options).replace("\r", "").splitlines()

    title, *rows = look(80)
    assert title.split() == ["Name", "Created", "at", "Created", "by"]
    assert all(len(row) <= 80 and "…" in row for row in rows)
    assert [row.split()[0][-6:] for row in rows] == ["long-1", "long-0"]
    title, *rows = look(60)
    assert (title.split(), max(map(len, rows))) == (["Name", "Created", "at"], 60)
    assert look(20)[0].split() == ["Name:", names[1]]
    for whole in (look(200), look(40, "--wide"), look(40, "-o", "Name")):
        assert [row.split()[0] for row in whole] == ["Name", names[1], names[0]]
    assert volfs("list", "-o", "created_by,name").lines[0].split("\t")[1] == names[1]
    assert volfs("list", "-o", "name", "--json").json == [{"name": name} for name in names[::-1]]
    wrong = volfs("list", "-o", "size", status=2).err
    assert "no column 'size'; there are name,created_at,created_by,environment" in wrong


def on_terminal(volfs: Command, *args: str, answer: bytes = b"", status: int = 0) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*volfs.argv, *args], stdin=theirs, stdout=theirs, stderr=theirs, env=volfs.environment
    ) as process:
        os.close(theirs)
        os.write(ours, answer)
        output = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # EIO: the other end is closed
                break
            if not part:
                break
            output += part
    os.close(ours)
    assert process.returncode == status, output
    return re.sub(r"\x1b\[[0-9;]*m", "", output.decode())


def test_a_session_keeps_a_volume_from_being_deleted(volfs: Command) -> None:
    volfs("create", "v")
    volume_id = volfs("info", "v", "--json").json["id"]
    session = volfs.store / "mounts/v-0"
    session.mkdir(parents=True)
    facts = SessionFacts(volume_id, "v", "/m", 1)
    (session / "session.json").write_bytes(encode_facts(facts))
    assert "not committed" in error(volfs("delete", "-y", "v", status=1))


# --- files ------------------------------------------------------------------


def test_ls(volfs: Command, data: Path) -> None:
    assert volfs("ls", "v").lines == ["d"]
    assert volfs("ls", "v", "/d/").lines == ["d/a", "d/sub"]
    assert volfs("ls", "v", "d/a").lines == ["d/a"]
    rows = volfs("ls", "--json", "v", "d").json
    assert list(rows[0]) == ["filename", "type", "created_modified", "size"]
    assert [(row["filename"], row["type"], row["size"]) for row in rows] == [
        ("d/a", "file", 10),
        ("d/sub", "dir", 2000),
    ]
    assert error(volfs("ls", "v", "no/such", status=1)) == (
        "volfs: ls: no/such: no such file or directory"
    )
    assert "w: no such volume" in error(volfs("ls", "w", status=1))


def test_put_as_modal_does(volfs: Command, data: Path) -> None:
    said = volfs("put", "v", data / "a", "x/y").lines
    assert said == [f"Uploaded file '{data / 'a'}' to 'x/y'"]
    volfs("put", "v", data / "a", "x/")
    volfs("put", "v", data)
    volfs("put", "v", f"{data}/", "/")
    assert volfs("ls", "v").lines == ["a", "d", "local", "sub", "x"]
    assert volfs("ls", "v", "x").lines == ["x/a", "x/y"]
    there = error(volfs("put", "v", data / "a", "x/y", status=2))
    assert there.startswith("volfs: put: x/y: already exists; use --force")
    volfs("put", "-f", "v", data / "sub/b", "x/y")
    assert volfs("get", "v", "x/y", "-").out == b"b" * 2000
    assert "Glob" in error(volfs("put", "v", "*.txt", status=2))
    assert "nope: No such file" in error(volfs("put", "v", "nope", status=1))


def test_get_as_modal_should(volfs: Command, data: Path, tmp_path: Path) -> None:
    done = volfs("get", "v", "d", "new/place")
    assert done.out == b""
    assert done.err.strip() == "Finished downloading files to local!"
    assert (tmp_path / "new/place/sub/b").read_bytes() == b"b" * 2000
    volfs("get", "v", "d/a")
    assert (tmp_path / "a").read_bytes() == b"a" * 10
    again = error(volfs("get", "v", "d/a", status=2))
    assert re.fullmatch(r"volfs: get: output path '.*a' already exists; use --force to .*", again)
    volfs("get", "--force", "v", "d/a")
    volfs("get", "v", "/", "root")
    assert (tmp_path / "root/d/a").exists()
    assert volfs("get", "v", "d", "-").out == b"a" * 10 + b"b" * 2000
    assert "d/nope" in error(volfs("get", "v", "d/nope", status=1))


def test_names_that_are_no_text_pass_through(volfs: Command, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.mkdir()
    Path(os.fsdecode(os.fsencode(local) + b"/\xff\xfe")).write_bytes(b"odd")
    volfs("create", "v")
    volfs("put", "v", f"{local}/", "/")
    assert volfs("ls", "v").out == b"\xff\xfe\n"
    assert os.fsencode(volfs("ls", "v", "--json").json[0]["filename"]) == b"\xff\xfe"
    assert volfs("get", "v", b"\xff\xfe", "-").out == b"odd"
    volfs("rm", "v", b"\xff\xfe")
    assert "\\xff" in error(volfs("rm", "v", b"\xff\xfe", status=1))


def test_cp_mv_rm(volfs: Command, data: Path) -> None:
    assert volfs("cp", "v", "d/a", "copy").out == b""
    volfs("cp", "-r", "v", "d", "twin")
    volfs("cp", "v", "copy", "d/sub/b", "twin")
    volfs("mv", "v", "copy", "twin/sub/")
    volfs("mv", "v", "d", "moved")
    assert volfs("ls", "v").lines == ["moved", "twin"]
    assert volfs("ls", "v", "twin").lines == ["twin/a", "twin/b", "twin/copy", "twin/sub"]
    assert volfs("ls", "v", "twin/sub").lines == ["twin/sub/b", "twin/sub/copy"]
    assert volfs("rm", "v", "twin/a").lines == ["twin/a was deleted successfully!"]
    assert "is a directory" in error(volfs("rm", "v", "twin", status=1))
    volfs("rm", "-r", "v", "twin")
    assert volfs("ls", "v").lines == ["moved"]
    assert "is a directory" in error(volfs("cp", "v", "moved", "x", status=1))
    assert "not a directory" in error(volfs("cp", "v", "moved/a", "moved/sub/b", "x", status=1))
    assert "source and a destination" in error(volfs("cp", "v", "x", status=2))
    assert [row["version"] for row in volfs("log", "v", "--json").json] == list(range(8, 0, -1))


# --- history ----------------------------------------------------------------


def test_log(volfs: Command, data: Path) -> None:
    volfs("rm", "v", "d/a")
    rows = volfs("log", "v", "--json").json
    assert list(rows[0]) == [
        "version", "created_at", "message", "author",
        "files", "directories", "bytes", "auto", "folded", "tags",
    ]  # fmt: skip
    assert [(row["version"], row["message"], row["files"]) for row in rows] == [
        (2, "rm d/a", 1),
        (1, "put d", 2),
    ]
    assert len(volfs("log", "v", "--limit", "1").lines) == 1
    assert volfs("log", "v", "--all").lines[1].split("\t")[0] == "1"


def test_check(volfs: Command, data: Path) -> None:
    clean = volfs("check", "--json").json
    facts = ["clean", "volumes", "versions", "trees", "bytes", "damage", "problems"]
    assert list(clean) == [*facts, "notices", "oddities", "missed"]
    assert clean["clean"] is True
    assert volfs("check").lines[-1].endswith("no problems.")
    for pack in (volfs.store / "packs").iterdir():
        stored = bytearray(pack.read_bytes())
        # In the first record, after the headers of pack and record.
        stored[90:91] = bytes(byte ^ 1 for byte in stored[90:91])
        pack.write_bytes(stored)
    broken = volfs("check", "--json", status=1).json
    assert broken["clean"] is False
    assert broken["damage"]
    assert broken["problems"]
    assert set(broken["problems"][0]) == {"volume", "versions", "path", "problem", "object"}
    assert "v: version" in volfs("check", status=1).out.decode()


# --- mounts -----------------------------------------------------------------


def test_what_is_not_mounted_cannot_be_committed(volfs: Command, data: Path) -> None:
    for verb in ("commit", "reload", "umount", "status"):
        line = error(volfs(verb, "v", status=1))
        # Mounts of others may have that name; without their sockets they are dead to us.
        assert line.startswith(f"volfs: {verb}: v: neither a mount point nor a mounted volume")
    assert "no volume is mounted there" in error(volfs("commit", "./nowhere", status=1))


def test_status_lists_mounts(volfs: Command) -> None:
    rows = volfs("status", "--json").json
    # Mounts of others may come and go; without their sockets they do not answer.
    assert len(rows) <= len(list_volfs_mounts()) + 5
    assert all({"volume", "mountpoint", "version", "pid", "dirty_files"} <= set(r) for r in rows)
    assert volfs("status", "v", "--json", status=1).out == b""


def test_mount_checks_its_options(volfs: Command, data: Path) -> None:
    assert volfs("mount", "v", status=2).err
    assert "mount" in error(volfs("mount", "--auto-commit", "v", "nowhere", status=1))
    assert "log-level" in error(volfs("mount", "v", "x", "--log-level", "loud", status=2))


def test_a_busy_reload_exits_with_16(monkeypatch: pytest.MonkeyPatch) -> None:
    from volfs.errors import VolumeBusyError

    busy = VolumeBusyError("volume busy: there are open files preventing the operation: a")
    assert busy.exit_status == 16


# --- the command itself -----------------------------------------------------


def test_volume_group_mirrors_everything(volfs: Command, data: Path) -> None:
    assert volfs("volume", "ls", "v", "--env", "main").lines == ["d"]
    assert volfs("volume", "list", "-e", "main").lines == volfs("list").lines
    others = {"volume", "dict", "queue", "secret", "nfs", "run", "completion"}
    others |= {"environment", "config", "serve", "store", "bucket", "cache", "help"}
    others |= {"docker", "install-helpers", "metrics", "top", "ui"}
    assert verbs(volfs("--help")) - verbs(volfs("volume", "--help")) == others
    assert error(volfs("volume", "rm", "v", "x", status=1)).startswith("volfs: rm: x: no such")


def verbs(help_text: Result) -> set[str]:
    begin = next(i for i, line in enumerate(help_text.lines) if line in ("Commands:", "Every day:"))
    indented = (line for line in help_text.lines[begin + 1 :] if line.startswith("  "))
    return {line.split()[0] for line in indented if line[2:3].strip()}


def test_the_store_is_named_before_or_after_the_verb(volfs: Command, tmp_path: Path) -> None:
    volfs("--store", "other", "create", "v")
    assert (tmp_path / "other").is_dir()
    assert len(volfs("list", "--store", tmp_path / "other").lines) == 1
    assert len(volfs("--store=nowhere", "volume", "list", "--store", "other").lines) == 1
    assert "no store at" in error(volfs("list", status=1))
    assert not volfs.store.exists()
    assert "unknown scheme" in error(volfs("list", "--store", "gopher://x", status=1))


def test_the_default_store_is_the_users(volfs: Command, tmp_path: Path) -> None:
    volfs.environment.pop("VOLFS_STORE")
    said = error(volfs("list", status=1, XDG_DATA_HOME=str(tmp_path / "data"), VOLFS_STORE=""))
    where = "/var/lib/volfs" if os.geteuid() == 0 else str(tmp_path / "data/volfs")
    assert where in said


def test_usage_errors_are_one_line_and_exit_2(volfs: Command) -> None:
    assert error(volfs("nope", status=2)) == "volfs: No such command 'nope'; see volfs --help"
    assert "No such option" in error(volfs("list", "--nope", status=2))
    assert "Missing argument" in error(volfs("put", "v", status=2))
    for bare in ((), ("volume",), ("ls",)):
        assert "Usage:" in volfs(*bare, status=2).err


def test_an_unknown_error_is_one_line_with_a_hint(volfs: Command, data: Path) -> None:
    record = volfs.store / "index/data.mdb"
    record.unlink()
    record.mkdir()
    line = error(volfs("list", status=1))
    assert line.startswith("volfs: list: ")
    assert "Traceback" in volfs("list", status=1, VOLFS_TRACEBACK="1").err


def test_a_reader_that_goes_away_is_no_error(volfs: Command, data: Path) -> None:
    script = f"{' '.join(volfs.argv)} get v d/sub/b - | head -c 1"
    done = subprocess.run(
        ["bash", "-c", script], env=volfs.environment, capture_output=True, check=True
    )
    assert done.stdout == b"b"
    assert drop_waits(done.stderr.decode()) == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(volfs: Command, shell: str) -> None:
    assert "_VOLFS_COMPLETE" in volfs("completion", shell).out.decode()


def test_volume_names_are_completed(volfs: Command, data: Path) -> None:
    def complete(*words: str) -> list[str]:
        line = " ".join(("volfs", *words))
        done = volfs(_VOLFS_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words)))
        return [item.split(",")[1] for item in done.lines]

    volfs("create", "vx")
    volfs("create", "other")
    assert complete("ls", "v") == ["v", "vx"]
    assert complete("volume", "rename", "o") == ["other"]
    assert "mount" in complete("mo")


def test_help_imports_neither_rich_nor_the_store(volfs: Command) -> None:
    done = subprocess.run(
        [volfs.argv[0], "-X", "importtime", "-m", "volfs_cli.main", "--help"],
        env=volfs.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    modules = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "click" in modules
    assert not modules & {"rich", "msgspec", "lmdb", "trio", "volfs.store.contract", "pyfuse3"}


def test_an_interrupted_put_publishes_nothing(volfs: Command, tmp_path: Path) -> None:
    volfs("create", "v")
    (tmp_path / "local").mkdir()
    (tmp_path / "local/f").touch()
    # The interrupt comes as soon as the file is read, wherever the machine is slow.
    script = (
        "import signal, sys, volfs.volume.put as put, volfs_cli.main as main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "put._Put.read_batch = lambda *args: signal.raise_signal(signal.SIGINT) or []\n"
        "put.BATCH_FILES = 1\n"
        "sys.argv = ['volfs', 'put', 'v', 'local']\n"
        "main.main()\n"
    )
    done = subprocess.run(
        [volfs.argv[0], "-c", script],
        env=volfs.environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, drop_waits(done.stderr.decode())) == (130, "")
    assert volfs("log", "v").lines == []
