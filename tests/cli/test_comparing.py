"""diff of mounts and of volumes, and mount points where volumes are named."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from volfs.control.mount_client import get_mount
from volfs.control.mounts import find_mount_point

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no /dev/fuse"),
]


@pytest.fixture
def mounted(volfs: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", volfs.environment["VOLFS_RUNTIME_DIR"])
    place = tmp_path / "mnt"
    place.mkdir()
    volfs("create", "v")
    volfs("mount", "v", place)
    yield place
    if find_mount_point(str(place)):
        volfs("umount", place)


def test_uncommitted_changes_are_those_of_the_next_commit(volfs: Command, mounted: Path) -> None:
    """The commit says which paths it changed by a diff of versions, made in quite another way."""
    chance = random.Random(int(os.environ.get("VOLFS_SEED", "7")))
    version = 0
    for _ in range(12):
        for _ in range(chance.randrange(1, 12)):
            _change(chance, mounted)
        said = [(it.letter, it.path, it.kind, it.size) for it in _ask(mounted)]
        committed = get_mount(str(mounted)).commit()
        assert committed.changed or not said
        assert _ask(mounted) == []
        if committed.changed:
            rows = volfs("diff", "v", str(version), "--json").json
            version = committed.version
            letters = {"added": "A", "deleted": "D", "modified": "M", "type changed": "T"}
            kinds = {"file": 1, "dir": 2, "link": 3, "fifo": 4}
            done = [
                (letters.get(r["change"], "U"), r["path"], kinds[r["type"]], r["size"])
                for r in rows
            ]
            # Content that was written again as it was is a change until the commit looks at it.
            again = {it for it in said if it[0] == "M"} - set(done)
            assert [it for it in said if it not in again] == [
                it for it in done if it[0] != "U" or ("M", *it[1:]) not in again
            ]


def _ask(place: Path) -> list[object]:  # the daemon's answer, without the command's start
    return list(get_mount(str(place)).list_changes().changes)


def _change(chance: random.Random, top: Path) -> None:
    paths = [top / name for name in "abcdef"] + [top / "d" / name for name in "abc"]
    path, other = chance.sample(paths, 2)
    (top / "d").mkdir(exist_ok=True)
    match chance.choice(("write", "write", "append", "hole", "remove", "move", "link", "mode", "dir", "sym", "fifo", "cut")):  # fmt: skip  # noqa: E501
        case "write" if not path.is_dir():
            path.unlink(missing_ok=True)
            path.write_bytes(chance.randbytes(chance.choice((0, 10, 5_000, 200_000))))
        case "append" if path.is_file():
            with path.open("ab") as file:
                file.write(b"more")
        case "hole" if path.is_file():
            os.truncate(path, path.stat().st_size + 100_000)
        case "cut" if path.is_file():
            os.truncate(path, path.stat().st_size // 2)
        case "remove" if path.is_dir():
            for name in path.iterdir():
                name.unlink()
            path.rmdir()
        case "remove":
            path.unlink(missing_ok=True)
        case "move" if os.path.lexists(path) and not (path.is_dir() or other.is_dir()):
            path.rename(other)
        case "move" if path.is_dir() and not os.path.lexists(other) and path not in other.parents:
            path.rename(other)
        case "link" if path.is_file() and not path.is_symlink() and not os.path.lexists(other):
            os.link(path, other)
        case "mode" if path.is_file():
            path.chmod(chance.choice((0o600, 0o644, 0o755)))
        case "dir" if not os.path.lexists(path):
            path.mkdir()
            (path / "in").write_bytes(b"x")
        case "sym" if not os.path.lexists(path):
            path.symlink_to("a")
        case "fifo" if not os.path.lexists(path):
            os.mkfifo(path)


def test_a_mount_point_stands_for_its_volume(volfs: Command, mounted: Path, tmp_path: Path) -> None:
    (mounted / "f").write_bytes(b"one")
    assert volfs("diff", mounted).lines == ["A f"]
    assert volfs("diff", "v").lines == ["A f"]
    assert volfs("diff", mounted, "--stat").lines[0].split("\t") == ["added", "1", "0", "+3 B"]
    with (mounted / "f").open("ab") as file:  # still open, and not flushed by a close
        file.write(b"two")
        file.flush()
        (row,) = volfs("diff", mounted, "--json").json
        assert (row["change"], row["path"], row["size"]) == ("added", "f", 6)
    volfs("commit", mounted)
    nothing = volfs("diff", mounted)
    assert (nothing.lines, nothing.err) == (
        [],
        f"Nothing is uncommitted at {mounted} (version 1).\n",
    )
    # Wherever the store in force is.
    for store in ("/nowhere", str(tmp_path / "another")):
        assert volfs("log", mounted, VOLFS_STORE=store).lines[0].split("\t")[0] == "1"
        assert volfs("info", f"{mounted}/", "--json", VOLFS_STORE=store).json["name"] == "v"
        volfs("tag", mounted, f"t{len(store)}", VOLFS_STORE=store)
    assert len(volfs("tag", "./mnt").lines) == 2
    assert volfs("diff", mounted, "0", "1").lines == ["A f"]
    assert volfs("diff", mounted, "0").lines == ["A f"]
    restored = volfs("restore", mounted, "0")
    assert restored.lines == ["Restored version 0 as version 2."]
    assert volfs("restore", mounted, "1", "f").lines == ["Restored f of version 1 as version 3."]
    assert volfs("ls", "mnt").lines == ["f"]  # a word that is no volume's name
    volfs("create", "mnt")
    assert volfs("ls", "mnt").lines == []
    assert "no volume is mounted there" in volfs("log", "./other", status=1).err
    assert "mounted, but not by volfs" in volfs("log", "/proc", status=1).err


def test_volumes_are_compared_and_wrong_places_explained(
    volfs: Command, mounted: Path, tmp_path: Path
) -> None:
    for text in ("1", "22"):
        (mounted / "f").write_text(text)
        volfs("commit", mounted)
    volfs("fork", "v", "w", "--at", "1")
    (tmp_path / "new").write_bytes(b"new")
    volfs("put", "w", "new")
    assert volfs("diff", "v@1", "w@head").lines == ["A new"]
    assert volfs("diff", "v", "w@1").lines == ["M f"]
    assert volfs("diff", "w@head", f"{mounted}@head").lines == ["M f", "D new"]
    assert volfs("diff", "v@1").lines == ["M f"]
    for command, status, hint in (
        (("diff", "v", "w"), 1, "w is a volume: `volfs diff v@head w@head`"),
        (("diff", "v", "1", "2", "3"), 2, "two versions can be compared"),
        (("diff", "v@1", "w", "v"), 2, "two of them at most"),
        (("diff", "v@"), 2, "use VOLUME@VERSION"),
        (("diff", "w"), 1, "`volfs diff w A [B]` compares versions"),
        (("log", "v@1"), 1, "only `volfs diff` takes v@1"),
        (("restore", "v", "f"), 1, "f is a path: name the version first"),
        (("tag", "v", "1", "name"), 1, "the tag comes first: volfs tag v name 1"),
        (("ls", "v", "--at", "w"), 1, "w is a volume"),
    ):
        assert hint in volfs(*command, status=status).err, command
