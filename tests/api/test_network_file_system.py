"""``volfs.NetworkFileSystem`` without a mount; with one: tests/fuse/test_network.py."""

from __future__ import annotations

import inspect
import pickle
from io import BytesIO
from pathlib import Path

import pytest

import volfs as modal
from tests.api.conftest import finish, start

exception = modal.exception


@pytest.fixture
def nfs() -> modal.NetworkFileSystem:
    return modal.NetworkFileSystem.from_name("shared", create_if_missing=True)


def write(nfs: modal.NetworkFileSystem, path: str, data: bytes) -> None:
    assert nfs.write_file(path, BytesIO(data)) == len(data)


def read(nfs: modal.NetworkFileSystem, path: str) -> bytes:
    return b"".join(nfs.read_file(path))


def test_made_by_name(nfs: modal.NetworkFileSystem) -> None:
    with pytest.raises(exception.NotFoundError, match="NetworkFileSystem 'x' not found"):
        modal.NetworkFileSystem.from_name("x").hydrate()
    assert nfs.object_id.startswith("sv-")
    assert modal.NetworkFileSystem.from_name("shared").object_id == nfs.object_id
    assert nfs.info().name == nfs.name == "shared"
    assert pickle.loads(pickle.dumps(nfs)).object_id == nfs.object_id
    with pytest.raises(exception.InvalidError, match="Invalid NetworkFileSystem name"):
        modal.NetworkFileSystem.from_name("a b")
    with pytest.raises(exception.InvalidError, match="constructor is not allowed"):
        modal.NetworkFileSystem()
    assert not hasattr(modal.NetworkFileSystem, "objects")


def test_created_and_deleted() -> None:
    made = modal.NetworkFileSystem.create_deployed("made")
    assert modal.NetworkFileSystem.from_name("made").object_id == made
    with pytest.raises(exception.AlreadyExistsError):
        modal.NetworkFileSystem.create_deployed("made")
    modal.NetworkFileSystem.delete("made")
    with pytest.raises(exception.NotFoundError):
        modal.NetworkFileSystem.delete("made")


def test_persist_of_other_documents() -> None:
    with pytest.warns(exception.DeprecationError, match=r"NetworkFileSystem\.persist"):
        nfs = modal.NetworkFileSystem.persist("shared-cache")
    assert nfs.listdir("/") == []


def test_names_are_those_of_volumes_too(nfs: modal.NetworkFileSystem) -> None:
    modal.Volume.objects.create("vol")
    nfs.hydrate()
    said = "Attempted to mount: `vol` as a NetworkFileSystem which already exists as a Volume"
    for call in (
        modal.NetworkFileSystem.from_name("vol").hydrate,
        modal.NetworkFileSystem.from_name("vol", create_if_missing=True).hydrate,
    ):
        with pytest.raises(exception.InvalidError) as caught:
            call()
        assert str(caught.value) == said
    with pytest.raises(exception.InvalidError, match="`shared` as a Volume which already exists"):
        modal.Volume.from_name("shared").hydrate()
    with pytest.raises(exception.InvalidError, match="`volfs delete vol` removes it"):
        modal.NetworkFileSystem.delete("vol")
    with pytest.raises(exception.InvalidError, match="`volfs nfs delete shared` removes it"):
        modal.Volume.objects.delete("shared")
    with pytest.raises(exception.NotFoundError):
        modal.Volume.from_id(nfs.object_id).hydrate()
    assert [volume.name for volume in modal.Volume.objects.list()] == ["vol"]


def test_writing_and_reading(nfs: modal.NetworkFileSystem) -> None:
    file = BytesIO(b"0123456789" * 300_000)
    file.seek(5)
    told: list[int] = []
    assert nfs.write_file("/a/b/c", file, lambda advance: told.append(advance)) == 3_000_000
    assert told == [3_000_000]
    assert read(nfs, "a/b/c") == file.getvalue()
    write(nfs, "a/b/c", b"new")
    assert read(modal.NetworkFileSystem.from_name("shared"), "/a/b/c") == b"new"
    for path in ("nothing", "a/b/c/d"):
        with pytest.raises(FileNotFoundError):
            read(nfs, path)
    with pytest.raises(IsADirectoryError):
        read(nfs, "a")
    with pytest.raises(FileExistsError):
        nfs.write_file("a/b", BytesIO())
    with pytest.raises(NotADirectoryError):
        nfs.write_file("a/b/c/d", BytesIO())


def test_listing(nfs: modal.NetworkFileSystem) -> None:
    for path in ("f", "d/a.txt", "d/b.txt", "d/e/c.txt"):
        write(nfs, path, path.encode())
    assert [entry.path for entry in nfs.iterdir("/")] == ["d", "f"]
    assert [entry.path for entry in nfs.listdir("d")] == ["a.txt", "b.txt", "e"]
    (entry,) = nfs.listdir("/d/a.txt")
    assert (entry.path, entry.size, entry.type.name) == ("d/a.txt", 7, "FILE")
    for path in ("nothing", "nothing/*"):
        with pytest.raises(exception.NotFoundError):
            nfs.listdir(path)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["/d", "/f"]),
        ("/d/*.txt", ["/d/a.txt", "/d/b.txt"]),
        ("d/[b-z]*", ["/d/b.txt", "/d/e"]),
        ("**", ["/d", "/d/a.txt", "/d/b.txt", "/d/e", "/d/e/c.txt", "/f"]),
        ("/d/**", ["/d/a.txt", "/d/b.txt", "/d/e", "/d/e/c.txt"]),
        ("**/?.txt", ["/d/a.txt", "/d/b.txt", "/d/e/c.txt"]),
        ("*/e/*", ["/d/e/c.txt"]),
        ("d/e/**/c.txt", ["/d/e/c.txt"]),
        ("d/*/a.txt", []),
    ],
)
def test_patterns(nfs: modal.NetworkFileSystem, pattern: str, expected: list[str]) -> None:
    for path in ("f", "d/a.txt", "d/b.txt", "d/e/c.txt"):
        write(nfs, path, b"")
    assert [entry.path for entry in nfs.iterdir(pattern)] == expected


def test_local_files(nfs: modal.NetworkFileSystem, tmp_path: Path) -> None:
    local = tmp_path / "local"
    (local / "d").mkdir(parents=True)
    (local / "f").write_bytes(b"12345")
    (local / "d" / "g").write_bytes(b"g")
    assert nfs.add_local_file(local / "f") == 5
    assert nfs.add_local_file(str(local / "f"), "/x/y") == 5
    nfs.add_local_dir(local)
    nfs.add_local_dir(str(local / "d"), "/top")
    found = [entry.path for entry in nfs.iterdir("**") if entry.type.name == "FILE"]
    assert found == ["/f", "/local/d/g", "/local/f", "/top/g", "/x/y"]
    with pytest.raises(FileNotFoundError):
        nfs.add_local_file(local / "nothing")
    with pytest.raises(AssertionError):
        nfs.add_local_dir(local / "f")


def test_removing(nfs: modal.NetworkFileSystem) -> None:
    write(nfs, "d/f", b"")
    write(nfs, "g", b"")
    nfs.remove_file("g")
    with pytest.raises(FileNotFoundError):
        nfs.remove_file("g")
    with pytest.raises(exception.InvalidError):
        nfs.remove_file("d")
    nfs.remove_file("d", recursive=True)
    assert nfs.listdir("/") == []


async def test_twins() -> None:
    nfs = modal.NetworkFileSystem.from_name("twin", create_if_missing=True)
    await nfs.write_file.aio("f", BytesIO(b"x"))
    assert b"".join([block async for block in nfs.read_file.aio("f")]) == b"x"
    assert [entry.path async for entry in nfs.iterdir.aio("/")] == ["f"]
    await nfs.remove_file.aio("f")
    await modal.NetworkFileSystem.delete.aio("twin")
    async with modal.NetworkFileSystem.ephemeral() as short:
        await short.write_file.aio("f", BytesIO(b"x"))


def test_without_a_name() -> None:
    with modal.NetworkFileSystem.ephemeral() as nfs, modal.Volume.ephemeral() as volume:
        write(nfs, "f", b"x")
        assert read(nfs, "f") == b"x"
        assert (nfs.name, volume.listdir("/")) == (None, [])
    with pytest.raises(exception.NotFoundError):
        read(nfs, "f")


def test_processes_at_once(nfs: modal.NetworkFileSystem) -> None:
    nfs.hydrate()
    code = """
    from io import BytesIO
    nfs = modal.NetworkFileSystem.from_name("shared")
    for turn in range(5):
        nfs.write_file(f"{sys.argv[1]}-{turn}", BytesIO(sys.argv[1].encode() * 1000))
    """
    for process in [start(code, str(number)) for number in range(3)]:
        finish(process)
    assert len(nfs.listdir("/")) == 15
    assert read(nfs, "2-4") == b"2" * 1000


def test_signatures() -> None:
    """As in Modal's client, and ``persist`` as in the document."""
    cls = modal.NetworkFileSystem

    def parameters(function: object) -> str:
        return ", ".join(inspect.signature(function).parameters)  # type: ignore[arg-type]

    assert parameters(cls.from_name) == "name, environment_name, create_if_missing, client"
    assert parameters(cls.ephemeral) == "client, environment_name"
    assert parameters(cls.create_deployed) == "deployment_name, client, environment_name"
    assert parameters(cls.delete) == "name, client, environment_name"
    assert parameters(cls.write_file) == "self, remote_path, fp, progress_cb"
    assert parameters(cls.add_local_dir) == "self, local_path, remote_path, progress_cb"
    assert parameters(cls.remove_file) == "self, path, recursive"
    assert parameters(cls.persist) == "label, environment_name"
