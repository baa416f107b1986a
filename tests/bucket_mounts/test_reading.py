"""A bucket that is read through the kernel: one mount, and what real programs see of it."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.calls import fails
from tests.harness.mounted import wait_until

pytestmark = pytest.mark.fuse
BIG = os.urandom(5 << 20)


def test_a_bucket_is_read_as_a_directory(mounts: BucketMounts) -> None:
    mounts.fill({"data/a.txt": b"a", "data/d/e/big": BIG, "data/d/none": b"", "other/c": b"c"})
    mounts.fill({f"data/many/{number:04}": b"%d" % number for number in range(1203)})
    mounted = mounts.mount("data", read_only=True)
    path = mounted.path
    assert sorted(os.listdir(path)) == ["a.txt", "d", "many"]
    assert sorted(os.listdir(path / "many")) == [f"{number:04}" for number in range(1203)]
    assert (path / "many" / "0777").read_bytes() == b"777"
    assert (path / "d/e/big").read_bytes() == BIG
    assert (path / "d/none").read_bytes() == b""
    look = (path / "d/e/big").stat()
    assert (look.st_size, look.st_mode, look.st_uid) == (len(BIG), 0o100444, os.geteuid())
    assert look.st_mtime_ns == mounts.bucket.head("data/d/e/big").mtime_ns
    assert (path / "d").stat().st_mode == 0o040555
    assert os.statvfs(path).f_bavail * os.statvfs(path).f_frsize == 1 << 50
    for change in (
        lambda: (path / "new").touch(),
        lambda: (path / "a.txt").unlink(),
        lambda: (path / "d").rename(path / "e"),
        lambda: (path / "x").mkdir(),
        lambda: os.truncate(path / "a.txt", 0),
        lambda: os.chmod(path / "a.txt", 0o600),
        lambda: os.setxattr(path / "a.txt", "user.x", b"y"),
    ):
        with fails(errno.EROFS):
            change()
    with fails(errno.ENOTSUP):
        os.getxattr(path / "a.txt", "user.x")
    with fails(errno.ENOENT):
        (path / "absent").stat()
    _check_programs(path, path.parent)


def test_keys_that_are_no_paths_are_counted(any_keys: BucketMounts) -> None:
    any_keys.fill(
        {"a": b"a", "both": b"x", "both/inner": b"y", "/odd": b"z", "d/../e": b"", "d/": b""}
    )
    path = any_keys.mount(read_only=True).path
    assert sorted(os.listdir(path)) == ["a", "both", "d"]
    assert os.listdir(path / "both") == ["inner"]
    assert os.listdir(path / "d") == []
    assert (path / "both/inner").read_bytes() == b"y"
    _check_status(any_keys, path)


def _check_status(mounts: BucketMounts, path: Path) -> None:
    said = json.loads(mounts.volfs("bucket", "status", "--json"))
    assert [(one["mountpoint"], one["state"]) for one in said] == [(str(path), "alive")]
    assert said[0]["hidden_keys"] == 3
    assert mounts.name in said[0]["bucket"]
    everything = json.loads(mounts.volfs("status", "--json"))
    assert [one["volume"] for one in everything] == [said[0]["bucket"]]
    assert "moto-secret" not in str(said)
    assert mounts.server.secret_key not in str(everything)


def _check_programs(path: Path, scratch: Path) -> None:
    subprocess.run(["cp", "-r", path / "d", scratch / "copy"], check=True)
    assert (scratch / "copy/e/big").read_bytes() == BIG
    subprocess.run(["tar", "cf", scratch / "t.tar", "-C", path, "many"], check=True)
    listed = subprocess.run(["find", path / "many", "-type", "f"], capture_output=True, check=True)
    assert len(listed.stdout.splitlines()) == 1203


def test_others_change_the_bucket(mounts: BucketMounts) -> None:
    """What is open stays what it is; names are what they are after a second."""
    mounts.fill({"a": BIG, "gone": BIG, "d/x": b"x"})
    mounted = mounts.mount(plan=mounts.plan(metadata_ttl=0.2), read_only=True)
    path = mounted.path
    with (path / "a").open("rb") as before, (path / "gone").open("rb") as gone:
        assert os.pread(before.fileno(), 100, 0) == BIG[:100]
        mounts.fill({"a": b"new", "d/y": b"y"})
        mounts.bucket.delete("gone")
        mounts.bucket.delete("d/x")
        wait_until(lambda: not (path / "gone").exists(), "the file to be gone")
        wait_until(lambda: (path / "a").stat().st_size == 3, "the file to be another")
        wait_until(lambda: os.listdir(path / "d") == ["y"], "the listing to be new")
        assert (path / "a").read_bytes() == b"new"
        assert os.fstat(before.fileno()).st_size == len(BIG)
        for file in (before, gone):
            with fails(errno.ESTALE):
                _read_all(file.fileno())


def _read_all(descriptor: int) -> None:
    """All of it, past what was read ahead."""
    for offset in range(0, len(BIG), 1 << 16):
        data = os.pread(descriptor, 1 << 16, offset)
        assert data == BIG[offset : offset + (1 << 16)]


COUNTING = """
import os
from volfs.daemon.buckets import mount as m
m.NAMES_MAX, m.LOOK_AGAIN, forget = 50, 0.05, m.forget
def counting(notices):
    forget(notices)
    with open(os.environ["VOLFS_STATE_DIR"] + "/told", "a") as file:
        print(len(notices), file=file)
m.forget = counting
"""
"""Lets the daemon keep few names, and say how many it has the kernel forget."""


def test_the_kernel_is_told_to_forget_names(mounts: BucketMounts) -> None:
    mounts.fill({f"{number:04}": b"x" for number in range(400)})
    mounts.state.mkdir()
    path = mounts.mount(read_only=True, prelude=COUNTING).path
    assert len([entry.stat() for entry in os.scandir(path)]) == 400
    told = mounts.state / "told"
    wait_until(lambda: told.exists() and sum(map(int, told.read_text().split())) >= 350, "names")
    assert sum(map(int, told.read_text().split())) < 800  # each once, for it is forgotten then
    assert (path / "0007").read_bytes() == b"x"


def test_programs_read_repositories_and_databases(mounts: BucketMounts, tmp_path: Path) -> None:
    repository, base = tmp_path / "repository", tmp_path / "base"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", repository]
    repository.mkdir()
    (repository / "file").write_bytes(BIG)
    for step in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *step], check=True)
    with closing(sqlite3.connect(base)) as connection:
        connection.execute("create table t (n integer, s text)")
        connection.executemany("insert into t values (?, ?)", ((n, "s" * n) for n in range(500)))
        connection.commit()
    files = [place for place in repository.rglob("*") if place.is_file()]
    mounts.fill({f"r/{place.relative_to(repository)}": place.read_bytes() for place in files})
    mounts.fill({"r/.git/refs/tags/": b"", "base": base.read_bytes()})
    path = mounts.mount(read_only=True).path
    subprocess.run(["git", "clone", "-q", path / "r", tmp_path / "clone"], check=True)
    assert (tmp_path / "clone/file").read_bytes() == BIG
    with closing(sqlite3.connect(f"file:{path}/base?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("select sum(n), count(*) from t").fetchone() == (124_750, 500)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("s3://no-such-bucket-here", "no such bucket"),
        ("s3://{name}/a?endpoint={endpoint}", "an object, and no folder"),
        ("s3://{name}?endpoint=http://127.0.0.1:9", "nothing answers there"),
        ("s3://{name}?nonsense=1", "not known"),
        ("ftp://{name}", "not known"),
    ],
)
def test_what_cannot_be_mounted_says_why(mounts: BucketMounts, url: str, text: str) -> None:
    mounts.fill({"a": b"x"})
    url = url.format(name=mounts.name, endpoint=mounts.server.endpoint)
    said = mounts.volfs("bucket", "mount", url, mounts.mounts.place(), check=False)
    assert said.startswith("volfs: bucket mount: ")
    assert text in said
    assert len(said.splitlines()) == 1


def test_the_command_line_mounts_lists_and_ends(any_keys: BucketMounts) -> None:
    mounts = any_keys
    mounts.fill({"p/a": b"a", "p/d/b": b"b", "p//odd": b"z"})
    place, url = mounts.mounts.place(), f"s3://{mounts.name}/p"
    assert mounts.volfs("bucket", "ls", url).splitlines() == ["/", "d/", "a"]
    keys = json.loads(mounts.volfs("bucket", "ls", "-r", "--json", url))
    assert [one["filename"] for one in keys] == ["/odd", "a", "d/b"]
    mounts.volfs("bucket", "mount", "--read-only", url, place)
    try:
        assert (place / "d/b").read_bytes() == b"b"
        said = mounts.volfs("bucket", "umount", place / "d", check=False)
        assert "inside of the mount" in said
    finally:
        mounts.volfs("bucket", "umount", place)
    assert not os.listdir(place)
