"""The group nfs as scripts see it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command


@pytest.fixture
def shared(volfs: Command) -> Command:
    """With a network file system ``net``, and a volume ``vol``."""
    assert volfs("nfs", "create", "net").lines == ["Created NetworkFileSystem 'net'."]
    volfs("create", "vol")
    return volfs


def test_made_listed_deleted(volfs: Command) -> None:
    assert volfs("nfs", "list").out == b""
    volfs("nfs", "create", "net")
    assert "already exists" in volfs("nfs", "create", "net", status=1).err
    assert "Invalid NetworkFileSystem name" in volfs("nfs", "create", "a b", status=2).err
    (row,) = volfs("nfs", "list", "--json").json
    assert (row["name"], row["location"]) == ("net", str(volfs.store))
    assert list(row) == ["name", "location", "created_at"]
    result = volfs("nfs", "delete", "net", status=1)
    question = "Are you sure you want to irrevocably delete the NetworkFileSystem 'net'? [y/N]: "
    assert result.err.splitlines()[0] == question
    assert volfs("nfs", "delete", "net", "-y").out == b""
    error = volfs("nfs", "delete", "net", status=1).err
    assert "not found" in error, "it is looked for before anybody is asked"
    assert "sure" not in error


def test_volumes_and_these_are_told_apart(shared: Command) -> None:
    assert [line.split("\t")[0] for line in shared("volume", "list").lines] == ["vol"]
    assert [line.split("\t")[0] for line in shared("nfs", "list").lines] == ["net"]
    for command in (["ls", "vol"], ["rm", "vol", "f"], ["delete", "vol", "-y"]):
        error = shared("nfs", *command, status=2).err
        assert "`vol` as a NetworkFileSystem which already exists as a Volume" in error
    error = shared("delete", "net", "-y", "--allow-missing", status=2).err
    assert "net is a NetworkFileSystem, not a Volume; `volfs nfs delete net` removes it" in error
    shared("put", "vol", "packages", "/d")
    assert shared("nfs", "put", "none", "packages", status=1).err.count("not found") == 1


def test_files(shared: Command) -> None:
    directory = shared.directory
    (directory / "d" / "e").mkdir(parents=True)
    (directory / "d" / "a.txt").write_text("a\n")
    (directory / "d" / "e" / "b.txt").write_text("b\n")
    put = shared("nfs", "put", "net", "d", "/top").lines
    assert put == ["Uploaded directory 'd' to '/top' (4 bytes written)"]
    assert shared("nfs", "ls", "net").lines == ["top"]
    assert shared("nfs", "ls", "net", "top").lines == ["a.txt", "e"]
    assert shared("nfs", "ls", "net", "**/*.txt").lines == ["/top/a.txt", "/top/e/b.txt"]
    (row, _) = shared("nfs", "ls", "net", "/top", "--json").json
    assert (row["filename"], row["type"], row["size"]) == ("a.txt", "file", 2)
    (directory / "d" / "a.txt").write_text("new\n")
    shared("nfs", "put", "net", "d/a.txt", "/top/")
    assert shared("nfs", "get", "net", "top/a.txt", "-").out == b"new\n"
    shared("nfs", "get", "net", "top", "whole")
    assert (directory / "whole" / "e" / "b.txt").read_text() == "b\n"
    assert shared("nfs", "rm", "net", "/top/a.txt").lines == [
        "/top/a.txt was deleted successfully!"
    ]
    assert shared("nfs", "rm", "net", "top", status=1).err
    shared("nfs", "rm", "net", "top", "-r")
    assert shared("nfs", "ls", "net").lines == []


def test_patterns(shared: Command) -> None:
    directory = shared.directory
    for name in ("a.txt", "b.txt", "c.bin"):
        (directory / name).write_text(name)
        shared("nfs", "put", "net", name, "/d/")
    assert shared("nfs", "get", "net", "d/*.txt", "-").out == b"a.txtb.txt"
    shared("nfs", "get", "net", "**", "all")
    assert sorted(path.name for path in (directory / "all" / "d").iterdir()) == [
        "a.txt",
        "b.txt",
        "c.bin",
    ]
    assert "already exists" in shared("nfs", "get", "net", "**", "all", status=2).err
    shared("nfs", "get", "net", "**", "all", "--force")


def test_history_works_as_for_volumes(shared: Command) -> None:
    (shared.directory / "f").write_text("1")
    shared("nfs", "put", "net", "f")
    (shared.directory / "f").write_text("2")
    shared("nfs", "put", "net", "f")
    shared("tag", "net", "before", "1")
    assert shared("get", "net", "f", "-", "--at", "before").out == b"1"
    shared("fork", "net", "copy", "--at", "before")
    assert shared("get", "copy", "f", "-").out == b"1"
    assert [line.split("\t")[0] for line in shared("list").lines] == ["copy", "vol"]
    assert shared("check").status == 0
