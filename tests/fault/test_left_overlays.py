"""Random overlays, their base lost: what export and rebase make of them, held against a model.

Each round: a version that the restored store has, one that it lost, and an overlay on
that. The model is the tree as the mount showed it last.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.children import count_rounds, first_seed
from tests.harness.left_overlays import RestoredStore, facts, make_restored_store
from tests.harness.rig import Rig, check_books, list_tree, list_version
from volfs.daemon.sessions.export import export_session
from volfs.daemon.sessions.rebase import rebase_overlay
from volfs.model.names import Path as VolumePath
from volfs.sessions.info import load_session
from volfs.volume.check import check_store
from volfs.volume.gc import collect_garbage

pytestmark = [pytest.mark.crash, pytest.mark.noisy("its index is older")]


def read_local(path: bytes) -> tuple[Any, ...]:
    status = os.lstat(path)
    kinds = {
        stat.S_IFREG: "FILE",
        stat.S_IFDIR: "DIRECTORY",
        stat.S_IFLNK: "SYMLINK",
        stat.S_IFIFO: "FIFO",
        stat.S_IFSOCK: "SOCKET",
    }
    kind = kinds[stat.S_IFMT(status.st_mode)]
    names = os.listxattr(path, follow_symlinks=False) if kind in ("FILE", "DIRECTORY") else []
    xattrs = tuple(sorted((os.fsencode(name), os.getxattr(path, name)) for name in names))
    target = os.readlink(path) if kind == "SYMLINK" else b""
    mode = stat.S_IMODE(status.st_mode)
    content = (Path(os.fsdecode(path)).read_bytes(),) if kind == "FILE" else ()
    return (kind, mode, status.st_uid, xattrs, target, *content)


def walk(top: bytes) -> Iterator[VolumePath]:
    for here, directories, files in os.walk(top):
        inner = here[len(top) :].split(b"/")[1:]
        for name in directories + files:
            yield (*inner, name)


def is_below(path: VolumePath, tops: set[VolumePath]) -> bool:
    return any(path[:depth] in tops for depth in range(1, len(path) + 1))


def same(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    """Symlinks' modes and special files' xattrs are the system's affair."""
    if ours[0] == theirs[0] == "SYMLINK":
        return ours[4] == theirs[4]
    if ours[0] == theirs[0] and ours[0] in ("FIFO", "SOCKET"):
        return ours[1:3] == theirs[1:3]
    return ours == theirs


def check_export(restored: RestoredStore, output: Path) -> dict[VolumePath, dict[str, Any]]:
    result = export_session(restored.store, load_session(restored.session), str(output))
    listed = json.loads((output / "changes.json").read_text())["changes"]
    changes = {
        tuple(each["path"].encode("utf-8", "surrogateescape").split(b"/")): each
        for each in listed
        if each["path"] not in (None, ".")
    }
    files = os.fsencode(output / "files")
    last = {path: facts(each) for path, each in restored.last.items()}
    for path in walk(files):
        found = read_local(b"/".join((files, *path)))
        assert path in last, path
        leads = found[0] == "DIRECTORY" == last[path][0]
        assert same(found, last[path]) or (leads and path not in changes), path
    incomplete = {tuple(each.path.split(b"/")): each for each in result.incomplete}
    for path, each in incomplete.items():
        data = bytearray(last[path][5])
        for start, end in each.missing:
            data[start:end] = bytes(end - start)
        name = b"/".join((os.fsencode(output / "incomplete"), *path))
        assert Path(os.fsdecode(name)).read_bytes() == data
    for path, now in last.items():
        before = restored.base.get(path)
        if path and (before is None or not same(facts(before), now)):
            is_told = any("it had more names" in note for note in result.notes)
            linked = before is not None and before[3] > 1
            assert path in changes or result.problems or (linked and is_told), path
    deleted = {p for p, each in changes.items() if each["change"] == "deleted"}
    written = {tuple(p.split(b"/")) for p in (output / "deleted").read_bytes().split(b"\0") if p}
    assert deleted == written
    assert not deleted & last.keys()
    for path in restored.base.keys() - last.keys():
        replaced = {p for p in changes if p in last and last[p][0] != "DIRECTORY"}
        assert is_below(
            path, deleted | replaced | {p for p, e in changes.items() if e["change"] == "new"}
        ), path
    return changes


def check_rebase(restored: RestoredStore, changes: dict[VolumePath, dict[str, Any]]) -> None:
    result = rebase_overlay(restored.store, restored.session.name, "head", leave_out=True)
    left_out = {item.path for item in result.left_out}
    rig = Rig(restored.store, restored.volume, restored.session, lambda: 10**18)
    rig.strict = False
    shown = {path: facts(each) for path, each in list_tree(rig).items()}
    check_books(rig)
    old = {path: facts(each) for path, each in restored.old.items()}
    last = {path: facts(each) for path, each in restored.last.items()}
    for path, each in changes.items():
        if each["change"] == "deleted":
            assert path not in shown, path
        elif path in last and not is_below(path, left_out) and "missing" not in each:
            assert shown.get(path) == last[path], path
        elif each["change"] == "attributes" and not is_below(path, left_out):
            assert shown[path][1] == last[path][1]
    groups = {path for path, each in restored.old.items() if path and each[3] > 1}
    for path, now in shown.items():
        is_touched = path in changes or path in groups or is_below(path, left_out)
        if path and not is_touched and (now[0] != "DIRECTORY" or path in old):
            assert old.get(path) == now, path
    deleted = {p for p, each in changes.items() if each["change"] == "deleted"}
    covered = {p for p in changes if p in last and last[p][0] != "DIRECTORY"}
    for path in old:
        if path and path not in shown:
            assert is_below(path, deleted | covered | left_out), path
    rig.commit()
    committed = list_version(restored.store, restored.volume)
    assert {path: facts(each) for path, each in committed.items()} == shown
    assert {p: each[3] for p, each in committed.items()} == {
        p: each[3] for p, each in list_tree(rig).items()
    }
    rig.close()
    collect_garbage(restored.store, grace=0)
    report = check_store(restored.store)
    assert report.is_clean, report


def test_random_overlays(tmp_path: Path) -> None:
    for seed in range(first_seed(), first_seed() + count_rounds(25, 3000)):
        directory = tmp_path / str(seed)
        directory.mkdir()
        restored = make_restored_store(directory, seed)
        try:
            changes = check_export(restored, directory / "out")
            check_rebase(restored, changes)
        except BaseException as error:
            error.add_note(f"VOLFS_SEED={seed} VOLFS_ROUNDS=1")
            raise
        finally:
            restored.store.close()
        shutil.rmtree(directory)
