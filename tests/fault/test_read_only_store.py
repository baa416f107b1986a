"""Stores that cannot be written: reading works, and each change is refused in one line."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Command, volfs
from tests.harness.calls import run_as
from tests.harness.disks import MIB, ext4_disk, mounted_disk
from tests.volume.shortcuts import noise, publish_files, read_file
from volfs.errors import StoreDeniedError
from volfs.model.retention import KeepRules
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.volumes import create_volume, delete_volume

__all__ = ["volfs"]

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk"),
]
NOBODY = 65534
SET_DUMPABLE = 4


def _remount(path: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", path], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with ext4_disk(tmp_path, 64 * MIB) as path:
        yield path


@pytest.fixture(params=["disk", "bind"])
def frozen(request: pytest.FixtureRequest, disk: Path, volfs: Command) -> Iterator[Command]:
    """The command on a store that it cannot write; through a bind mount others could."""
    volfs.environment["VOLFS_STORE"] = str(disk / "store")
    (volfs.directory / "f").write_bytes(noise(MIB))
    (volfs.directory / "m").mkdir()
    volfs("create", "a")
    volfs("put", "a", "f", "/f")
    volfs("put", "a", "f", "/g")
    volfs("secret", "create", "s", "K=V")
    with ExitStack() as stack:
        if request.param == "disk":
            _remount(disk, "ro")
        else:
            place = volfs.directory / "bind"
            stack.enter_context(mounted_disk(disk, place, "--bind"))
            _remount(place, "bind,ro")
            volfs.environment["VOLFS_STORE"] = str(place / "store")
        yield volfs


READS = [
    ("list",),
    ("info", "a"),
    ("ls", "a"),
    ("log", "a"),
    ("diff", "a", "1", "2"),
    ("status",),
    ("overlays",),
    ("check",),
    ("gc", "--dry-run"),
    ("expire", "a", "--keep-last", "1", "--dry-run"),
    ("dict", "list"),
    ("queue", "list"),
    ("secret", "list"),
]
CHANGES = [
    ("create", "z"),
    ("put", "a", "f", "/z"),
    ("rm", "a", "/f"),
    ("delete", "-y", "a"),
    ("expire", "a", "--keep-last", "1"),
    ("gc",),
    ("check", "--repair"),
    ("tag", "a", "x", "1"),
    ("mount", "a", "m"),
    ("dict", "create", "d"),
    ("secret", "delete", "-y", "s"),
]


def test_what_reads_works_and_what_changes_says_why(frozen: Command) -> None:
    for command in READS:
        frozen(*command)
    frozen("get", "a", "/f", "got")
    assert (frozen.directory / "got").read_bytes() == noise(MIB)
    frozen("mount", "--read-only", "a", "m")
    assert (frozen.directory / "m/g").read_bytes() == noise(MIB)
    assert '"a"' in frozen("status", "--json").out.decode()
    frozen("umount", "m")
    for command in CHANGES:
        result = frozen(*command, status=1)
        assert "cannot be changed" in result.err, result
        assert result.err.count("\n") == 1, result


READER = """
import sys
from volfs.store.registry import open_store
store = open_store(sys.argv[1])
assert not store.is_writable
volume = store.refs.get_volume("data")
head = store.refs.get_head(volume.id)
with store.leases.hold(volume.id, head):
    print("held", flush=True)
    sys.stdin.readline()
    from volfs.model.names import parse_path
    from volfs.volume.version_reader import Reader
    reader = Reader(store.objects_of(volume.id).load_object)
    snapshot = reader.load_manifest(head.manifest).snapshot
    print(reader.get_path(snapshot, parse_path("f")).size, flush=True)
"""


def test_what_is_read_through_a_read_only_mount_is_held(disk: Path, tmp_path: Path) -> None:
    """Others write through another mount of the same disk: gc leaves what we hold, and what
    they publish is not seen until the store is opened again."""
    writer = open_store(str(disk / "store"), create=True)
    volume = create_volume(writer, "data", chunk_bits=16)
    publish_files(writer, volume, {"f": noise(MIB)})
    with mounted_disk(disk, tmp_path / "bind", "--bind") as place:
        _remount(place, "bind,ro")
        command = [sys.executable, "-c", READER, str(place / "store")]
        reader = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
        assert reader.stdout is not None
        assert reader.stdout.readline() == "held\n"
        delete_volume(writer, "data")
        collect_garbage(writer, grace=0)
        out, _ = reader.communicate("\n")
        assert (out, reader.returncode) == (f"{MIB}\n", 0)
    collect_garbage(writer, grace=0)
    writer.close()


OPENER = """
import sys
from volfs.store.registry import open_store
from volfs.volume.history import iter_history
for _ in range(int(sys.argv[2])):
    store = open_store(sys.argv[1])
    volume = store.refs.get_volume("data")
    versions = [info.version for info in iter_history(store, volume)]
    assert versions == list(range(versions[0], 0, -1)), versions
    assert store.refs.get_head(volume.id).version == versions[0]
    store.close()
print(versions[0])
"""


def test_a_copy_is_of_one_moment_while_others_write(disk: Path, tmp_path: Path) -> None:
    writer = open_store(str(disk / "store"), create=True)
    volume = create_volume(writer, "data")
    publish_files(writer, volume, {"f": b"0"})
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            publish_files(writer, volume, {"f": b"%d" % number})
            ended.wait(0.02)

    with mounted_disk(disk, tmp_path / "bind", "--bind") as place:
        _remount(place, "bind,ro")
        thread = threading.Thread(target=write)
        thread.start()
        try:
            command = [sys.executable, "-c", OPENER, str(place / "store"), "25"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            ended.set()
            thread.join()
    assert done.returncode == 0, done.stderr
    assert check_store(writer).is_clean
    writer.close()


def test_a_disk_that_is_mounted_for_writing_again(disk: Path) -> None:
    """Who has the store open goes on reading what it was; who opens it anew may change it."""
    with opened_frozen(disk) as (old, volume):
        _remount(disk, "rw")
        code = "import sys; from volfs.store.registry import open_store; "
        code += "from volfs.volume.volumes import create_volume; "
        code += "create_volume(open_store(sys.argv[1]), 'new')"
        subprocess.run([sys.executable, "-c", code, old.url], check=True)
        assert [record.name for record in old.refs.list_volumes()] == ["data"]
        assert read_file(old, volume, "f") == b"1"
        with pytest.raises(StoreDeniedError):
            expire_versions(old, volume, KeepRules(last=1))
    again = open_store(str(disk / "store"))
    assert again.is_writable
    assert {record.name for record in again.refs.list_volumes()} == {"data", "new"}
    again.close()


@contextmanager
def opened_frozen(disk: Path) -> Iterator[tuple[Store, VolumeRecord]]:
    """A store that was written, closed, and opened again on a disk that is read-only now."""
    store = open_store(str(disk / "store"), create=True)
    volume = create_volume(store, "data")
    publish_files(store, volume, {"f": b"1"})
    store.close()
    _remount(disk, "ro")
    store = open_store(str(disk / "store"))
    yield store, volume
    store.close()


def test_a_user_who_may_not_write_his_store() -> None:
    with tempfile.TemporaryDirectory() as name:  # which others may look into
        os.chmod(name, 0o755)
        path = Path(name, "store")
        store = open_store(str(path), create=True)
        create_volume(store, "a")
        store.close()
        subprocess.run(["chown", "-R", str(NOBODY), path], check=True)
        subprocess.run(["chmod", "-R", "a-w", path], check=True)
        assert run_as(NOBODY, Path("/"), lambda: look_at(path)) == "False ['a']"
        refused = run_as(NOBODY, Path("/"), lambda: rename(path))
        assert "StoreDeniedError" in refused
        assert "may not write to it" in refused
        subprocess.run(["chmod", "-R", "u+w", path], check=True)


def open_as_other(path: Path) -> Store:
    """Open it in a process that has become another user's: its /proc is root's until it says so."""
    ctypes.CDLL(None).prctl(SET_DUMPABLE, 1)
    return open_store(str(path))


def rename(path: Path) -> None:
    open_as_other(path).refs.rename_volume("a", "b")


def look_at(path: Path) -> str:
    store = open_as_other(path)
    return f"{store.is_writable} {[record.name for record in store.refs.list_volumes()]}"
