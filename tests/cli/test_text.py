"""Odd bytes in names, paths, messages and the environment: kept, shown, and no row forged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.forked import COMMAND_LINE, can_fork, run_forked, run_program
from tests.harness.mounted import is_running, wait_until
from volfs.model.text import show, to_text

NASTY = [b"caf\xe9", b"x\ny\t1", b"\x1b[2J", "\u202e\u2028".encode(), b"a\\nb", b"a\rb\x9b2J"]


@contextmanager
def mounted(volfs: Command, place: bytes, *more: str) -> Iterator[str]:
    os.makedirs(place, exist_ok=True)
    volfs("mount", "data", place, *more)
    try:
        yield to_text(place)
    finally:
        subprocess.run(["umount", place], check=False)


def test_rows_and_fields_are_never_forged(volfs: Command) -> None:
    volfs("create", "data")
    for name in NASTY:
        (volfs.directory / to_text(name)).write_bytes(b"1")
        volfs("put", "data", to_text(name), b"/" + name)
    log = volfs("log", "data").lines
    assert len(log) == len(NASTY)
    assert {len(line.split("\t")) for line in log} == {10}
    lines = volfs("diff", "data", "0").lines
    assert sorted(lines) == sorted(f"A {show(name)}" for name in NASTY)
    found = volfs("ls", "data", "--json").json
    assert {os.fsencode(item["filename"]) for item in found} == set(NASTY)
    # Byte for byte, as ls(1).
    assert volfs("ls", "data").out == b"".join(name + b"\n" for name in sorted(NASTY))


@pytest.mark.parametrize("message", [*NASTY, b"", b"\xff" * 500])
def test_any_message_is_kept(volfs: Command, message: bytes) -> None:
    volfs("create", "data")
    (volfs.directory / "f").write_bytes(b"1")
    volfs("put", "data", "f")
    volfs("restore", "data", "0", b"--message=" + message)
    newest = volfs("log", "data", "--json").json[0]
    if message:
        assert os.fsencode(newest["message"]) == message
    lines = volfs("log", "data").lines
    assert len(lines) == 2
    assert all(line.replace("\t", "").isprintable() for line in lines)


def test_a_message_too_long_is_refused_before_anything_is_written(volfs: Command) -> None:
    volfs("create", "data")
    (volfs.directory / "f").write_bytes(b"1")
    volfs("put", "data", "f")
    said = volfs("restore", "data", "0", "-m", b"\xff" * 30_000, status=2)
    assert "longer than" in said.err
    assert len(volfs("log", "data").lines) == 1


@pytest.mark.parametrize("name", [b"\xff", b"st\nore", b"\x1b[2J\xe9", "\u202e".encode()])
def test_a_store_of_any_name(volfs: Command, name: bytes) -> None:
    path = os.path.join(os.fsencode(volfs.directory), name)
    store = to_text(path)
    volfs("create", "data", VOLFS_STORE=store)
    (volfs.directory / "f").write_bytes(b"1")
    volfs("put", "data", "f", VOLFS_STORE=store)
    assert volfs("ls", "data", VOLFS_STORE=store).out == b"f\n"
    assert "no problems" in volfs("check", VOLFS_STORE=store).out.decode()
    volfs("gc", VOLFS_STORE=store)
    volfs("rebuild-index", VOLFS_STORE=store)
    volfs("dict", "create", "d", VOLFS_STORE=store)
    volfs("secret", "create", "s", b"K=caf\xe9", VOLFS_STORE=store)
    missing = volfs("list", "--store", path + b"2", status=1)
    assert missing.err.count("\n") == 1
    assert missing.err.strip().isprintable()


@pytest.mark.fuse
@pytest.mark.parametrize("name", [*NASTY, b"\xff", b"a b#c"])
def test_a_mount_point_of_any_name(volfs: Command, name: bytes) -> None:
    place = os.path.join(os.fsencode(volfs.directory), name)
    store = to_text(os.path.join(os.fsencode(volfs.directory), b"s\xe9"))
    volfs.environment["VOLFS_STORE"] = store
    volfs("create", "data")
    with mounted(volfs, place) as text:
        Path(text, "f").write_bytes(b"1")
        (found,) = volfs("status", place, "--json").json
        assert os.fsencode(found["mountpoint"]) == place
        assert os.fsencode(found["store"]) == os.fsencode(store)
        (line,) = volfs("status", place).lines
        assert show(place) in line
        (line,) = volfs("overlays").lines
        assert show(place) in line
        assert show(place) in volfs("info", "data").out.decode()
        volfs("commit", place, "-m", b"caf\xe9")
        volfs("reload", "data")
        again = volfs("mount", "data", place, status=1)
        assert again.err.strip().isprintable()
        assert again.err.count("\n") == 1
        volfs("umount", place)
    assert os.fsencode(volfs("log", "data", "--json").json[0]["message"]) == b"caf\xe9"


@pytest.mark.fuse
def test_an_overlay_of_an_odd_place_is_found_again(volfs: Command) -> None:
    volfs("create", "data")
    place = os.path.join(os.fsencode(volfs.directory), b"m\xe9\n")
    with mounted(volfs, place, "--log", str(volfs.directory / "log")) as text:
        with Path(text, "f").open("wb") as file:
            file.write(b"kept")
            file.flush()
            os.fsync(file.fileno())
        pid = volfs("status", place, "--json").json[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pid), "the daemon's end")
    (left,) = volfs("overlays", "--json").json
    assert os.fsencode(left["mountpoint"]) == place
    with mounted(volfs, place) as text:
        assert Path(text, "f").read_bytes() == b"kept"
        volfs("umount", place)


def test_an_author_of_any_name(volfs: Command) -> None:
    for number, user in enumerate([b"caf\xe9", b"a\nb\tc", b"\x1b[2J", b"u" * 5000, b"\xff" * 300]):
        name = f"v{number}"
        volfs("create", name, LOGNAME=to_text(user))
        (line,) = volfs("list").lines[:1]
        assert len(line.split("\t")) == 3
        by = volfs("info", name, "--json").json["created_by"]
        assert os.fsencode(by).startswith(user[:80])


ENVIRONMENT = {
    "LOGNAME": "caf\udce9\n", "USER": "\udcff", "HOSTNAME": "\udcff", "HOME": "/\udcff",
    "LANG": "C", "LC_ALL": "POSIX", "LC_CTYPE": "xx_XX.\udcff", "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0", "TERM": "\udcff", "TZ": "\udcff",
    "VOLFS_ENVIRONMENT": "\udcff\n", "MODAL_ENVIRONMENT": "\x1b[2J", "COLUMNS": "\udcff",
    "VOLFS_SECRET_KEY_FILE": "k\udcff", "XDG_DATA_HOME": "\udcff", "XDG_RUNTIME_DIR": "/\udcff",
    "_VOLFS_COMPLETE": "\udcff",
    "EDITOR": "\udcff",
}  # fmt: skip
COMMANDS = [
    ["list"],
    ["log", "data", "--json"],
    ["put", "data", b"caf\xe9", b"/n\xe9\xc3\xa9", "--force"],
    ["ls", "data", b"n\xe9\xc3\xa9"],
    ["diff", "data", "0"],
    ["secret", "create", "s", b"K=\xe9", "--force"],
    ["dict", "list"],
    ["queue", "list", "-e", b"\xe9"],
    ["status"],
    ["overlays"],
    ["get", "data", b"no\xe9"],
]


@pytest.mark.parametrize(
    "names",
    [
        *((name,) for name in ENVIRONMENT),
        ("LC_ALL", "PYTHONUTF8"),
        ("LC_ALL", "PYTHONUTF8", "PYTHONIOENCODING"),
    ],
    ids="-".join,
)
def test_any_environment(volfs: Command, names: tuple[str, ...]) -> None:
    volfs("create", "data")
    (volfs.directory / "caf\udce9").write_bytes(b"1")
    environment = volfs.environment | {name: ENVIRONMENT[name] for name in names}
    run = run_forked if can_fork(names) else run_program
    for arguments in COMMANDS:
        done = run(COMMAND_LINE, *arguments, env=environment, cwd=volfs.directory)
        if arguments[0] == "ls":
            assert done.stdout in (b"n\xe9\xc3\xa9\n", b"")
            done.stdout = b""
        text = (done.stdout + done.stderr).decode()
        assert "Traceback" not in text, (arguments, text)
        assert "unexpected: " not in text, (arguments, text)
        assert text.replace("\n", "").replace("\t", "").isprintable(), (arguments, text)
        if "--json" in arguments and not done.returncode:
            json.loads(done.stdout)
    names_there = {os.fsencode(item["filename"]) for item in volfs("ls", "data", "--json").json}
    assert names_there <= {b"n\xe9\xc3\xa9"}


FOREIGN = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
here = os.fsencode(sys.argv[1])
names = [b"\\xff", b"a\\rb", b"a\\nb", b" - ", b"a\\\\040b", b"#", b"\\t"]
names.append("\\u2028\\x85\\x1c".encode())
for at, name in enumerate(names):
    place = os.path.join(here, b"foreign", name)
    os.makedirs(place)
    for source in (b"", b"\\xff -\\r ", name):
        assert libc.mount(source, place, b"tmpfs", 0, b"") == 0, name
device = os.open("/dev/fuse", os.O_RDWR)
data = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % device
for kind in (b"fuse.caf\\xe9", b"fuse.a\\rb", b"fuse. x", b"fuse.volfs\\xff"):
    place = os.path.join(here, b"fuse", kind)
    os.makedirs(place)
    assert libc.mount(b"\\xe9", place, kind, 0, data) == 0, kind
    device = os.open("/dev/fuse", os.O_RDWR)
    data = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % device
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""


@pytest.mark.fuse
def test_what_others_have_mounted_is_no_hindrance(volfs: Command) -> None:
    volfs("create", "data")
    place = volfs.directory / "m"
    place.mkdir()
    (volfs.directory / "f").write_bytes(b"1")
    script = " && ".join(
        f"{' '.join(volfs.argv)} {command}"
        for command in (
            "list", "put data f", "ls data", f"mount data {place}", "status", "overlays",
            f"commit {place}", f"umount {place}", "create other", "check",
        )
    )  # fmt: skip
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", FOREIGN, volfs.directory, "sh", "-c", script],
        env=volfs.environment,
        cwd=volfs.directory,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done


@pytest.mark.parametrize("what", ["index", "packs", "format"])
def test_a_create_that_fails_leaves_no_half_a_store(volfs: Command, what: str) -> None:
    """The disk is full, or the system refuses, at each of its steps."""
    program = f"""
import os, pathlib, sys
from volfs.store.embedded.place import layout
def fail(*arguments, **options): raise OSError(28, "No space left on device")
step = {what!r}
if step == "index": layout.LmdbEnvironment = fail
elif step == "format": layout._write_format = fail
else:
    make = pathlib.Path.mkdir
    def mkdir(self, *arguments, **options):
        if self.name == "packs": fail()
        return make(self, *arguments, **options)
    pathlib.Path.mkdir = mkdir
from volfs_cli.main import run
sys.exit(run(["create", "data"]))
"""
    for store in (volfs.directory / "new" / "deep" / "store", volfs.directory / "empty"):
        if store.name == "empty":
            store.mkdir()
        environment = volfs.environment | {"VOLFS_STORE": str(store)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, check=False
        )
        assert done.returncode == 1
        assert b"No space left" in done.stderr
    assert not (volfs.directory / "new").exists()
    assert os.listdir(volfs.directory / "empty") == []


def test_a_name_is_hidden_from_ps_whatever_the_program_is_called(volfs: Command) -> None:
    """/proc/self/stat has the program's name, which may be any bytes."""
    program = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'caf\\xe9) 1 (', 0, 0, 0);"
        "from volfs_cli.hiding import hide_values; hide_values();"
        "print(open('/proc/self/cmdline', 'rb').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "K=secret"],
        env=volfs.environment,
        capture_output=True,
        check=True,
    )
    assert b"secret" not in done.stdout
    assert b"K=" in done.stdout
