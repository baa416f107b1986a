"""diff, tag, restore, fork, expire, and versions by name where files are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.fixture
def v(volfs: Command, tmp_path: Path) -> str:
    """A volume with versions 1 and 2."""
    volfs("create", "v")
    (tmp_path / "d").mkdir()
    for name, data in (("a", b"one"), ("gone", b"12345"), ("same", b"x")):
        (tmp_path / "d" / name).write_bytes(data)
    volfs("put", "v", "d", "/d")
    (tmp_path / "d" / "gone").unlink()
    (tmp_path / "d" / "a").write_bytes(b"three")
    (tmp_path / "d" / "b").write_bytes(b"b")
    volfs("put", "v", "d", "/d", "-f")
    volfs("rm", "v", "d/gone")
    volfs("tag", "v", "first", "1")
    return "v"


# --- diff -----------------------------------------------------------------------


def test_diff_has_a_letter_and_a_path_on_each_line(volfs: Command, v: str) -> None:
    assert volfs("diff", v, "1").lines == ["M d/a", "A d/b", "D d/gone"]
    assert volfs("diff", v, "head", "first").lines == ["M d/a", "D d/b", "A d/gone"]
    assert volfs("diff", v, "2", "head~1").lines == []
    assert volfs("diff", v, "0", "1").lines == ["A d", "A d/a", "A d/gone", "A d/same"]


def test_diff_shows_paths_and_json_has_their_bytes(volfs: Command, v: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    volfs("put", v, "f", b"d/\xff")
    assert volfs("diff", v, "~1").out == b"A d/\\xff\n"
    assert volfs("diff", v, "~1", "--json").json[0]["path"] == "d/\udcff"


def test_diff_as_json(volfs: Command, v: str) -> None:
    rows = volfs("diff", v, "1", "2", "--json").json
    assert rows == [
        {
            "change": "modified",
            "path": "d/a",
            "type": "file",
            "old_size": 3,
            "size": 5,
            "attributes": ["mtime"],
        },
        {
            "change": "added",
            "path": "d/b",
            "type": "file",
            "old_size": None,
            "size": 1,
            "attributes": [],
        },
    ]


def test_diff_stat(volfs: Command, v: str) -> None:
    rows = volfs("diff", v, "1", "--stat", "--json").json
    assert [tuple(row.values()) for row in rows] == [
        ("added", 1, 0, 1),
        ("deleted", 1, 0, -5),
        ("modified", 1, 0, 2),
        ("type changed", 0, 0, 0),
        ("attributes", 0, 0, 0),
    ]
    assert volfs("diff", v, "1", "--stat").lines[:2] == ["added\t1\t0\t+1 B", "deleted\t1\t0\t-5 B"]


def test_diff_of_what_is_not_there(volfs: Command, v: str) -> None:
    assert "v: no version 9" in volfs("diff", v, "9", status=1).err
    assert "v: no version nobody" in volfs("diff", v, "1", "nobody", status=1).err


# --- tag ------------------------------------------------------------------------


def test_tags_are_made_listed_moved_and_deleted(volfs: Command, v: str) -> None:
    assert volfs("tag", v, "rel-1.0").lines == ["Tagged version 3 as rel-1.0."]
    rows = volfs("tag", v, "--json").json
    assert list(rows[0]) == ["tag", "version", "created_at", "message"]
    assert [(row["tag"], row["version"]) for row in rows] == [("first", 1), ("rel-1.0", 3)]
    assert volfs("tag", v).lines[0].split("\t")[:2] == ["first", "1"]
    assert "--force" in volfs("tag", v, "rel-1.0", "2", status=1).err
    volfs("tag", v, "rel-1.0", "2", "--force")
    volfs("tag", v, "--delete", "first")
    assert [line.split("\t")[:2] for line in volfs("tag", v).lines] == [["rel-1.0", "2"]]
    assert "no tag first" in volfs("tag", v, "-d", "first", status=1).err


@pytest.mark.parametrize("name", ["7", "head", "a/b"])
def test_names_that_tags_cannot_have(volfs: Command, v: str, name: str) -> None:
    assert "invalid tag" in volfs("tag", v, name, status=2).err


def test_delete_takes_one_name(volfs: Command, v: str) -> None:
    assert "--delete" in volfs("tag", v, "a", "--delete", "b", status=2).err


def test_the_log_shows_tags(volfs: Command, v: str) -> None:
    rows = volfs("log", v, "--json").json
    assert [(row["version"], row["tags"]) for row in rows] == [(3, []), (2, []), (1, ["first"])]


def test_deleting_a_volume_with_tags(volfs: Command, v: str) -> None:
    volfs("delete", "-y", v)
    volfs("create", v)
    assert volfs("tag", v).lines == []


# --- reading old versions -------------------------------------------------------


def test_get_and_ls_of_a_version(volfs: Command, v: str, tmp_path: Path) -> None:
    assert volfs("ls", v, "d", "--at", "first").lines == ["d/a", "d/gone", "d/same"]
    assert volfs("ls", v, "d").lines == ["d/a", "d/b", "d/same"]
    assert volfs("get", v, "d/a", "-", "--at", "1").out == b"one"
    volfs("get", v, "d", "out", "--at", "head~1")
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "b", "gone", "same"]
    assert "no version x" in volfs("get", v, "d/a", "-", "--at", "x", status=1).err


# --- restore --------------------------------------------------------------------


def test_restore_of_all(volfs: Command, v: str) -> None:
    assert volfs("restore", v, "first").lines == ["Restored version 1 as version 4."]
    assert volfs("diff", v, "1").lines == []
    assert volfs("restore", v, "1", "d/a", "d/gone").lines == [
        "Nothing to restore: version 4 has d/a, d/gone already."
    ]
    assert volfs("log", v, "--json").json[0]["message"] == "restore version 1"
    again = volfs("restore", v, "1").lines
    assert again == ["Nothing to restore: version 4 has all of that already."]


def test_restore_of_paths(volfs: Command, v: str) -> None:
    volfs("restore", v, "1", "/d/gone", "d/a", "-m", "back")
    assert volfs("ls", v, "d").lines == ["d/a", "d/b", "d/gone", "d/same"]
    assert volfs("get", v, "d/a", "-").out == b"one"
    assert volfs("log", v, "--json").json[0]["message"] == "back"
    assert "d/none: no such" in volfs("restore", v, "1", "d/none", status=1).err


# --- fork -----------------------------------------------------------------------


def test_fork(volfs: Command, v: str) -> None:
    done = volfs("fork", v, "copy", "--at", "first")
    assert done.lines == ["Created Volume 'copy' from version 1 of 'v'."]
    assert volfs("get", "copy", "d/a", "-").out == b"one"
    assert volfs("log", "copy", "--json").json[0]["message"] == "fork of v at version 1"
    volfs("delete", "-y", v)
    assert volfs("get", "copy", "d/gone", "-").out == b"12345"
    assert volfs("check").status == 0
    assert "already exists" in volfs("fork", "copy", "copy", status=1).err


# --- expire ---------------------------------------------------------------------


def test_expire(volfs: Command, v: str) -> None:
    assert "--keep-last" in volfs("expire", v, status=2).err
    dry = volfs("expire", v, "--keep-last", "1", "--dry-run")
    assert "Would expire 1 version, 2 stay." in dry.err
    assert [line.split("\t")[::3] for line in dry.lines] == [
        ["3", "kept"],
        ["2", "expired"],
        ["1", "kept"],
    ]
    rows = volfs("expire", v, "--keep-last", "1", "--json").json
    assert [(row["version"], row["kept"], row["reasons"]) for row in rows] == [
        (3, True, ["last", "head"]),
        (2, False, []),
        (1, True, ["tag first"]),
    ]
    assert [row["version"] for row in volfs("log", v, "--json").json] == [3, 1]
    assert volfs("expire", v, "--keep-tagged").lines == ["Expired 0 versions, 2 stay."]
    volfs("check")


def test_expire_by_age_and_period(volfs: Command, v: str) -> None:
    """All were made just now."""
    options = ("--keep-within", "1d12h")
    assert volfs("expire", v, *options).lines == ["Expired 0 versions, 3 stay."]
    assert "duration" in volfs("expire", v, "--keep-within", "soon", status=2).err
    assert volfs("expire", v, "--keep-last", "0", status=2)
    for rule in ("hourly", "daily", "weekly", "monthly", "yearly"):
        assert (
            volfs("expire", v, f"--keep-{rule}", "3", "--dry-run")
            .lines[0]
            .endswith(f"{rule}, head")
        )


# --- completion -----------------------------------------------------------------


def test_versions_are_completed(volfs: Command, v: str) -> None:
    def complete(words: str) -> list[str]:
        done = volfs(
            COMP_WORDS=words,
            COMP_CWORD=str(len(words.split()) - 1),
            _VOLFS_COMPLETE="bash_complete",
        )
        return [line.partition(",")[2] for line in done.lines if line]

    assert complete("volfs restore v f") == ["first"]
    assert complete("volfs ls v --at h") == ["head"]
    assert complete("volfs diff v 1 3") == ["3"]
    assert complete("volfs diff nobody h") == []
