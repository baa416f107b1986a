"""mount(8), fstab and systemd, with the helpers that ``volfs install-helpers`` installs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from volfs.control.mounts import find_mount_point
from volfs.daemon.service_manager import VARIABLE, tell_manager
from volfs.errors import InvalidError
from volfs_cli.mount_helper import find_volume
from volfs_cli.mount_words import parse_words, split_words

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts over /sbin"),
]
WORDS = "rw,defaults,noauto,nofail,_netdev,x-systemd.automount,X-mount.mkdir,user=me,relatime"


@pytest.fixture
def system(volfs: Command, tmp_path: Path) -> Iterator[Path]:
    """A system with the helpers and an fstab of its own. What is mounted over /sbin is seen by
    the tests' mount namespace alone."""
    volfs("install-helpers", "--prefix", tmp_path / "usr")
    over = tmp_path / "over"
    over.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "tmpfs", over], check=True)
    try:
        for name in ("upper", "work"):
            (over / name).mkdir()
        programs = os.path.realpath("/sbin")
        layers = f"lowerdir={programs},upperdir={over}/upper,workdir={over}/work"
        subprocess.run(["/bin/mount", "-t", "overlay", "-o", layers, "none", programs], check=True)
        try:
            for program in (tmp_path / "usr/sbin").iterdir():
                shutil.copy(program, programs)
            yield tmp_path
        finally:
            subprocess.run(["/bin/umount", "-l", programs], check=True)
    finally:
        subprocess.run(["/bin/umount", "-l", over], check=True)


def call(volfs: Command, *words: object, status: int = 0) -> str:
    """Call a program as init does, with hardly an environment. Returns what it said."""
    kept = {"VOLFS_RUNTIME_DIR", "VOLFS_STATE_DIR"}
    done = subprocess.run(
        list(map(str, words)),
        env={name: volfs.environment[name] for name in kept & volfs.environment.keys()},
        cwd=volfs.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done
    return done.stdout + done.stderr


def test_mount_fstab_and_umount(volfs: Command, system: Path) -> None:
    place = system / "mnt"
    place.mkdir()
    volfs("create", "data")
    (system / "data").touch()  # mount(8) now takes the volume's name for a path
    words = f"store={volfs.environment['VOLFS_STORE']}"
    try:
        call(
            volfs, "/bin/mount", "-t", "fuse.volfs", "data", place, "-o", f"{words},noexec,{WORDS}"
        )
        found = find_mount_point(str(place))
        assert found is not None
        shown = call(volfs, "/bin/findmnt", "-no", "SOURCE,FSTYPE,OPTIONS", place).split()
        assert shown[:2] == ["data", "fuse.volfs"]
        assert {"rw", "noexec", "nosuid", "nodev"} <= set(shown[2].split(","))
        (place / "kept").write_text("1")
        again = ("-t", "fuse.volfs", "data", place, "-o", words)
        call(volfs, "/bin/mount", *again)  # so `mount -a` succeeds beside such a file, too
        call(volfs, "/bin/umount", place)
        assert volfs("ls", "data").lines == ["kept"]  # umount has waited for the commit
        (system / "data").unlink()
        table = system / "fstab"
        table.write_text(f"data {place} fuse.volfs auto_commit=5,_netdev,{words} 0 0\n")
        for _ in range(2):  # the second time it is mounted already
            call(volfs, "/bin/mount", "-a", "--fstab", table)
        assert call(volfs, "/bin/findmnt", "-no", "TARGET", "-t", "fuse.volfs").split() == [
            str(place)
        ]
        assert volfs("status", place, "--json").json[0]["auto_commit"] == 5
        call(volfs, "/bin/umount", "-l", place)
        said = call(volfs, "/bin/mount", "-t", "fuse.volfs", "no", place, "-o", words, status=32)
        assert "volfs: mount: no: no such volume" in said
        said = call(
            volfs, "/bin/mount", "-t", "fuse.volfs", "data", place, "-o", "autocommit", status=1
        )
        assert "-o autocommit: no such option; is auto_commit meant?" in said
    finally:
        while find_mount_point(str(place)):
            volfs("umount", "--discard", place)


def test_what_is_installed_and_removed(volfs: Command, tmp_path: Path) -> None:
    prefix = tmp_path / "usr"
    assert volfs("install-helpers", "--prefix", prefix, "--dry-run").lines
    assert not prefix.exists()
    said = volfs("install-helpers", "--prefix", prefix).lines
    files = sorted(str(path) for path in prefix.rglob("*") if path.is_file())
    assert sorted(line.removeprefix("Installed ") for line in said) == files
    assert {"sbin/mount.fuse.volfs", "lib/systemd/system/volfs@.service"} <= {
        os.path.relpath(path, prefix) for path in files
    }
    volfs("install-helpers", "--prefix", prefix)  # again, over its own
    mine = prefix / "sbin/umount.fuse.volfs"
    mine.write_text("another program")
    said_no = volfs("install-helpers", "--prefix", prefix, status=1).err
    assert f"volfs: install-helpers: {mine}: something else put that there" in said_no
    volfs("install-helpers", "--prefix", prefix, "--uninstall")
    assert [path for path in prefix.rglob("*") if path.is_file()] == [mine]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_units(volfs: Command, tmp_path: Path) -> None:
    volfs("install-helpers", "--prefix", tmp_path)
    unit = tmp_path / "lib/systemd/system/volfs@.service"
    instance = unit.with_name("volfs@data.service")
    shutil.copy(unit, instance)
    (tmp_path / "data.mount").write_text(
        "[Unit]\nDescription=data\n[Mount]\nWhat=data\nWhere=/data\nType=fuse.volfs\n"
        "Options=auto_commit=5,_netdev\n[Install]\nWantedBy=multi-user.target\n"
    )
    for file in (instance, tmp_path / "data.mount"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", file],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, file.name in done.stderr) == (0, False), done.stderr


def test_a_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv(VARIABLE, str(tmp_path / "notify"))
        tell_manager()
        assert manager.recv(100) == b"READY=1"
    tell_manager()  # nobody wants to know


def test_a_volume_that_mount_takes_for_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data", "prod/data"):
        assert [find_volume(spec) for spec in (name, str(tmp_path / name))] == [name, name]
    assert find_volume("/elsewhere/data") == "data"


def test_words() -> None:
    assert parse_words(f"{WORDS},") == []
    words = 'ro,at=release-1,auto_commit,env=prod,store="s3://b/x,y?region=r",sub_path=a b'
    assert parse_words(words) == [
        *("--read-only", "--at=release-1", "--auto-commit", "--env=prod"),
        *("--store=s3://b/x,y?region=r", "--sub-path=a b"),
    ]
    assert parse_words("what,is=that", sloppy=True) == []
    for word in ("what", "at", "at=", "ro=1", "sync", "bind", "remount", "store="):
        with pytest.raises(InvalidError, match=f"-o {word}: "):
            parse_words(f"rw,{word}")
    said = split_words('a,"b,c"=d,,e="x,y')
    assert [word for word in said if word] == ["a", "b,c=d", "e=x,y"]
