"""What mounts could not upload: as much as can go goes, and the rest says why it cannot."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.bucket_mounts.mounted import BucketMounts
from tests.harness.calls import fails
from tests.harness.fault_proxy import Fault, proxied
from tests.harness.mounted import Mounted
from volfs.daemon.buckets import leftovers

pytestmark = pytest.mark.fuse
BIG = hashlib.shake_256(b"left").digest(20 << 20)


def leave(mounts: BucketMounts, mounted: Mounted, *names: str) -> str:
    """Write to files, and let the daemon die before they are closed; the name of what is left."""
    files = [os.open(mounted.path / name, os.O_RDWR | os.O_CREAT) for name in names]
    for name, file in zip(names, files, strict=True):
        os.pwrite(file, f"written {name}".encode(), 2)
    (left,) = leftovers.list_left()
    mounted.kill()
    for file in files:
        with fails(errno.ENOTCONN):
            os.close(file)
    return left.name


def test_what_can_go_goes(mounts: BucketMounts, tmp_path: Path) -> None:
    """One file whose object was replaced, one that the service refuses, one that is damaged: the
    four others are uploaded, and a second try says the same of the three."""
    mounts.mounts.create("unused")
    mounts.fill(dict.fromkeys(("a-lost", "base", "d/base2"), b"0123456789" * 10))
    mounted = mounts.mount()
    name = leave(mounts, mounted, "a-lost", "base", "d/base2", "new", "refused", "torn", "z")
    mounts.fill({"a-lost": b"by others"})
    place = mounts.state / "buckets" / name
    torn = next(p for p in place.glob("*.journal") if b'"key":"torn"' in p.read_bytes())
    torn.with_suffix(".data").unlink()
    with proxied(mounts.server.endpoint) as proxy:
        facts = place / "bucket.json"
        facts.write_text(facts.read_text().replace(mounts.server.endpoint, proxy.endpoint))
        proxy.add(Fault.STATUS, method="PUT", key="/refused", status=403, code="AccessDenied")
        done = mounts.run("overlays", "commit", name)
        said = done.stderr
        assert (done.returncode, "Uploaded 4 files" in done.stdout) == (1, True), done
        told = json.loads(mounts.run("overlays", "commit", "--json", name).stdout)
    assert told["uploaded"] == 0
    assert len(told["problems"]) == 3
    problems = "\n".join(told["problems"])
    for text in ("a-lost: the object that it was written over is another", "refused: ", "torn"):
        assert text in problems
        assert text in said
    data = Path(problems.partition("new bytes are in ")[2].partition(",")[0])
    assert data.read_bytes()[2:16] == b"written a-lost"
    for key in ("base", "d/base2", "new", "z"):
        assert f"written {key}".encode() in bytes(mounts.bucket.get(key)[1])
    assert mounts.bucket.get("a-lost")[1] == b"by others"
    (one,) = json.loads(mounts.volfs("overlays", "--json"))
    assert one["files"] == 3
    exported = mounts.run("overlays", "export", "--json", name, tmp_path / "out").stdout
    assert json.loads(exported)["files"] == 1
    assert b"written refused" in (tmp_path / "out/refused").read_bytes()
    mounts.volfs("overlays", "discard", name)


def test_a_conflict_is_refused_before_anything_goes(mounts: BucketMounts) -> None:
    mounts.mounts.create("unused")
    mounts.fill({"b": b"before" * 10})
    name = leave(mounts, mounts.mount(), "a", "b", "c")
    mounts.fill({"b": b"others", "c": b"others"})
    said = mounts.volfs("overlays", "commit", "--on-conflict", "fail", name, check=False)
    assert "b, c: others have written since" in said
    assert [info.key for info in mounts.bucket.list_page("").objects] == ["b", "c"]
    mounts.bucket.delete("c")
    mounts.bucket.delete("b")
    said = mounts.volfs("overlays", "commit", name, check=False)
    assert "b: the object that it was written over" in said
    assert mounts.bucket.get("a")[1] == b"\0\0written a"
    assert mounts.bucket.get("c")[1] == b"\0\0written c"
    mounts.volfs("overlays", "discard", name)


def test_a_bucket_that_is_away_keeps_everything(mounts: BucketMounts) -> None:
    mounts.mounts.create("unused")
    name = leave(mounts, mounts.mount(), *(f"f{number}" for number in range(5)))
    facts = mounts.state / "buckets" / name / "bucket.json"
    was = facts.read_text()
    facts.write_text(was.replace(mounts.server.endpoint, "http://127.0.0.1:9"))
    said = mounts.volfs("overlays", "commit", name, check=False)
    assert "nothing answers there" in said
    assert len(said.splitlines()) == 1
    facts.write_text(was)
    assert "Uploaded 5 files" in mounts.volfs("overlays", "commit", name)


def test_commands_of_buckets_at_other_mounts(mounts: BucketMounts) -> None:
    """A volume's mount is left alone, and a mount whose daemon died is told and ended."""
    mounts.mounts.create()
    volume, dead = mounts.mounts.mount(), mounts.mount()
    dead.kill()
    for verb in ("status", "umount"):
        said = mounts.volfs("bucket", verb, volume.path, check=False)
        assert f"{volume.path}: a volume is mounted there; `volfs status`" in said
        assert len(said.splitlines()) == 1
    (volume.path / "alive").write_bytes(b"")
    said = mounts.volfs("bucket", "status", dead.path, check=False)
    assert f"`volfs bucket umount {dead.path}` ends the mount" in said
    assert len(said.splitlines()) == 1
    assert json.loads(mounts.volfs("bucket", "status", "--json")) == []
    said = mounts.volfs("bucket", "umount", dead.path, check=False)
    assert f"{dead.path}: unmounted, but its daemon had died" in said
    assert os.listdir(dead.path) == []
    assert not dead.path.is_mount()
    said = mounts.volfs("bucket", "status", dead.path, check=False)
    assert "no bucket is mounted there" in said
