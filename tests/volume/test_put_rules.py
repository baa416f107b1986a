"""put of what is there already, attributes there and back, and archives of strangers."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.volume.shortcuts import head_snapshot, list_paths, noise, read_file
from tests.volume.test_transfer import get, put
from volfs.errors import EntryExistsError, LocalFileError, VolfsError
from volfs.model.entry import Entry
from volfs.model.names import parse_path
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.get_tar import get_tar
from volfs.volume.put import PutResult
from volfs.volume.put_choice import PutRules
from volfs.volume.put_tar import put_tar
from volfs.volume.version_reader import Reader

UPDATE = PutRules(force=True, compares=True)
SYNC = PutRules(force=True, delete=True, compares=True)
WHOLE = PutRules(force=True, delete=True, compares=True, preserve=True)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    top = tmp_path / "local"
    (top / "d/e").mkdir(parents=True)
    for name in ("a", "d/b", "d/e/c"):
        (top / name).write_bytes(name.encode())
    (top / "link").symlink_to("a")
    return top


def letters(result: PutResult) -> list[str]:
    return [f"{it.letter} {b'/'.join(it.path).decode()}" for it in result.actions]


def find(store: Store, volume: VolumeRecord, path: str) -> Entry:
    reader = Reader(store.objects_of(volume.id).load_object)
    return reader.get_path(head_snapshot(store, volume), parse_path(path))


def test_only_what_changed_is_sent(store: Store, volume: VolumeRecord, local: Path) -> None:
    put(store, volume, local)
    with pytest.raises(EntryExistsError, match="already exists"):
        put(store, volume, local)
    again = put(store, volume, local, rules=UPDATE)  # type: ignore[arg-type]
    assert (again.files, again.actions, again.published and again.published.changed) == (
        0,
        [],
        False,
    )
    (local / "d/b").write_bytes(b"other")
    (local / "d/new").write_bytes(b"new")
    (local / "a").chmod(0o600)
    (local / "link").unlink()
    (local / "link").symlink_to("b")
    shutil.rmtree(local / "d/e")
    update = put(store, volume, local, rules=UPDATE)  # type: ignore[arg-type]
    assert letters(update) == ["M a", "M d/b", "A d/new", "M link"]
    assert find(store, volume, "a").mode == 0o600
    assert "d/e/c" in list_paths(store, volume)
    # A file of the same size and time is not read, as with rsync.
    before = (local / "a").stat()
    (local / "a").write_bytes(b"z")
    os.utime(local / "a", ns=(0, before.st_mtime_ns))
    assert letters(put(store, volume, local, rules=UPDATE)) == []  # type: ignore[arg-type]


def test_delete_makes_it_equal(store: Store, volume: VolumeRecord, local: Path) -> None:
    put(store, volume, local, "x")
    put(store, volume, local, "beside")
    shutil.rmtree(local / "d")
    (local / "d").write_bytes(b"a file now")
    (local / "a").unlink()
    (local / "a").mkdir()
    (local / "a/in").write_bytes(b"in")
    os.mkfifo(local / "link2")
    dry = PutRules(force=True, delete=True, compares=True, dry_run=True)
    version = store.refs.get_head(volume.id).version
    wanted = letters(put(store, volume, local, "x", rules=dry))  # type: ignore[arg-type]
    assert store.refs.get_head(volume.id).version == version
    assert letters(put(store, volume, local, "x", rules=SYNC)) == wanted  # type: ignore[arg-type]
    assert wanted == ["T x/a", "A x/a/in", "T x/d"]
    got = [path for path in list_paths(store, volume) if path.startswith("x/")]
    assert got == ["x/", "x/a/", "x/a/in", "x/d", "x/link"]
    assert "beside/d/e/c" in list_paths(store, volume)


def test_what_is_excluded_is_neither_sent_nor_deleted(
    store: Store, volume: VolumeRecord, local: Path
) -> None:
    (local / "d/e/keep.o").write_bytes(b"o")
    put(store, volume, local)
    shutil.rmtree(local / "d")
    (local / "new.o").write_bytes(b"o")
    rules = PutRules(
        force=True, delete=True, compares=True, excluded=lambda path, _: path[-1].endswith(b".o")
    )
    done = put(store, volume, local, rules=rules)  # type: ignore[arg-type]
    assert letters(done) == ["D d/b", "D d/e/c"]
    assert list_paths(store, volume) == ["a", "d/", "d/e/", "d/e/keep.o", "link"]


def test_attributes_come_back(
    store: Store, volume: VolumeRecord, local: Path, tmp_path: Path
) -> None:
    os.link(local / "a", local / "d/hard")
    os.setxattr(local / "a", "user.x", b"\xff\0y")
    os.setxattr(local / "d", "user.dir", b"z")
    if os.geteuid() == 0:
        os.chown(local / "d/b", 5, 6)
        os.chown(local / "link", 7, 8, follow_symlinks=False)
        subprocess.run(["setfacl", "-m", "u:1:r", local / "d/b"], check=True)
        subprocess.run(["setfacl", "-d", "-m", "u:2:rx", local / "d/e"], check=True)
    (local / "d/b").chmod(0o4755)
    put(store, volume, local, rules=WHOLE)  # type: ignore[arg-type]
    again = put(store, volume, local, rules=WHOLE)  # type: ignore[arg-type]
    assert again.published is not None
    assert not again.published.changed
    get(store, volume, "/", tmp_path / "out", preserve=True)
    with (tmp_path / "x.tar").open("wb") as file:
        get_tar(store, volume, head_snapshot(store, volume), (), file)
    (tmp_path / "tar").mkdir()
    command = ["tar", "-C", tmp_path / "tar", "--xattrs", "--xattrs-include=*", "-xpf"]
    subprocess.run([*command, tmp_path / "x.tar"], check=True, stderr=subprocess.PIPE)
    for out in (tmp_path / "out", tmp_path / "tar"):
        for path in local.rglob("*"):
            there = out / path.relative_to(local)
            a, b = path.lstat(), there.lstat()
            assert (a.st_mode, a.st_uid, a.st_gid, a.st_mtime_ns) == (
                b.st_mode, b.st_uid, b.st_gid, b.st_mtime_ns,
            ), path  # fmt: skip
            assert os.listxattr(path, follow_symlinks=False) == os.listxattr(
                there, follow_symlinks=False
            )
        assert os.getxattr(out / "a", "user.x") == b"\xff\0y"
        assert (out / "a").samefile(out / "d/hard")
    # The names of one file are sent together, if one of them is another file now.
    (local / "d/hard").unlink()
    (local / "d/hard").write_bytes(b"another")
    put(store, volume, local, rules=WHOLE)  # type: ignore[arg-type]
    assert read_file(store, volume, "a") == b"a"
    assert read_file(store, volume, "d/hard") == b"another"


# --- archives -------------------------------------------------------------------


def make_tar(*members: tuple[str, bytes | None, dict[str, object]]) -> bytes:
    """An archive of files with content, and of other members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", errors="surrogateescape", encoding="utf-8") as archive:
        for name, content, facts in members:
            header = tarfile.TarInfo(name)
            for key, value in facts.items():
                setattr(header, key, value)
            if content is not None:
                header.size = len(content)
            archive.addfile(header, io.BytesIO(content or b""))
    return out.getvalue()


def file(name: str, content: bytes = b"x") -> tuple[str, bytes, dict[str, object]]:
    return name, content, {}


def special(name: str, kind: bytes, **facts: object) -> tuple[str, None, dict[str, object]]:
    return name, None, {"type": kind, **facts}


def put_bytes(store: Store, volume: VolumeRecord, data: bytes, **rules: bool) -> PutResult:
    return put_tar(store, volume, io.BytesIO(data), (), PutRules(**rules))


def test_an_archive_of_the_system_arrives_whole(
    store: Store, volume: VolumeRecord, tmp_path: Path
) -> None:
    top = tmp_path / "t"
    deep = top / ("n" * 120) / ("m" * 120)
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(noise(300_000))
    Path(os.fsdecode(os.fsencode(top) + b"/\xff odd")).write_bytes(b"odd")
    with (top / "sparse").open("wb") as sparse:
        sparse.truncate(30 << 20)
        sparse.seek(20 << 20)
        sparse.write(b"middle")
    (top / "abs").symlink_to("/etc/passwd")
    os.link(top / "sparse", top / "zlink")
    for options in (["--format=gnu", "-S"], ["--format=pax", "-S"], ["--format=pax", "-z"]):
        made = subprocess.run(["tar", "-C", top, *options, "-cf", "-", "."], check=True, capture_output=True)  # fmt: skip  # noqa: E501
        put_bytes(store, volume, made.stdout, force=True, preserve=True)
        get(store, volume, "/", tmp_path / options[0] / options[1], preserve=True)
        same = ["diff", "-r", "--no-dereference", top, tmp_path / options[0] / options[1]]
        subprocess.run(same, check=True)
        assert find(store, volume, "sparse").data_bytes < 2 << 20
        assert find(store, volume, "zlink").group == find(store, volume, "sparse").group != 0


def test_members_have_clear_rules(store: Store, volume: VolumeRecord) -> None:
    done = put_bytes(
        store,
        volume,
        make_tar(
            file("/abs/./a", b"1"),
            file("twice", b"first"),
            special("hard", tarfile.LNKTYPE, linkname="twice"),
            file("twice", b"second"),
            special("out", tarfile.SYMTYPE, linkname="../../../etc/passwd"),
            special("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
            special("pipe", tarfile.FIFOTYPE),
        ),
    )
    assert done.skipped == ["null", "pipe"]
    assert list_paths(store, volume) == ["abs/", "abs/a", "hard", "out", "twice"]
    assert read_file(store, volume, "twice") == b"second"
    assert read_file(store, volume, "hard") == b"first"
    assert find(store, volume, "out").inline == b"../../../etc/passwd"
    with pytest.raises(EntryExistsError, match="twice: already exists"):
        put_bytes(store, volume, make_tar(file("twice")))
    put_bytes(store, volume, make_tar(special("null", tarfile.CHRTYPE, devmajor=1, devminor=3)), preserve=True)  # fmt: skip  # noqa: E501
    assert find(store, volume, "null").rdev == os.makedev(1, 3)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "up": (lambda: make_tar(file("a"), file("a/../../b")), r"\.\."),
    "below a symlink": (
        lambda: make_tar(special("l", tarfile.SYMTYPE, linkname="/etc"), file("l/passwd")),
        "l/passwd: l: not a directory",
    ),
    "below a file": (lambda: make_tar(file("f"), file("f/g")), "not a directory"),
    "over a directory": (
        lambda: make_tar(special("d", tarfile.DIRTYPE), file("d")),
        "is a directory",
    ),
    "a link to nothing": (
        lambda: make_tar(special("h", tarfile.LNKTYPE, linkname="/etc/passwd")),
        "hard link to etc/passwd, which is not before it",
    ),
    "a link to a file of the volume": (
        lambda: make_tar(special("h", tarfile.LNKTYPE, linkname="old")),
        "hard link to old, which is not before it",
    ),
    "a long name": (lambda: make_tar(file("n" * 256)), "cannot be a name"),
    "no name": (lambda: make_tar(file(".")), "no name for a file"),
    "no target": (lambda: make_tar(special("s", tarfile.SYMTYPE)), "a target of 0 bytes"),
    "an unknown type": (lambda: make_tar(special("v", b"V")), "unknown type"),
    "nothing": (lambda: b"", "cut off or damaged"),
    "text": (lambda: b"hello" * 200, "cut off or damaged"),
    "half of a gzip": (lambda: gzip.compress(make_tar(file("a", noise(9_000))))[:3_000], "cut off"),
    "a damaged header": (
        lambda: (t := bytearray(make_tar(file("a"), file("b"))), t.__setitem__(1030, 99))[0],
        "damaged",
    ),
    "no end": (lambda: make_tar(file("a"))[:1024], "cut off"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_changes_nothing(name: str, store: Store, volume: VolumeRecord) -> None:
    put_bytes(store, volume, make_tar(file("old")))
    make, why = HOSTILE[name]
    with pytest.raises(VolfsError, match=why):
        put_bytes(store, volume, bytes(make()), force=True, preserve=True)
    assert list_paths(store, volume) == ["old"]


def test_wherever_an_archive_is_cut_off_nothing_is_published(
    store: Store, volume: VolumeRecord
) -> None:
    whole = make_tar(file("a", noise(1_500)), special("d", tarfile.DIRTYPE), file("d/n" * 60))
    end = len(whole.rstrip(b"\0"))
    for size in range(0, end, 211):
        with pytest.raises(LocalFileError):
            put_bytes(store, volume, whole[:size], force=True)
    assert store.refs.get_head(volume.id).version == 0
    assert put_bytes(store, volume, whole).files == 2
