"""kill -9 while an overlay is copied here and rebased: it is as it was, or rebased, and leased."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.crash.children import Child, Say, count_rounds, first_seed
from tests.harness.left_overlays import facts, make_restored_store
from tests.harness.rig import Rig, list_tree
from volfs.daemon.sessions.export import export_session
from volfs.daemon.sessions.rebase import rebase_overlay
from volfs.sessions.info import list_sessions
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.gc import collect_garbage

pytestmark = [pytest.mark.crash, pytest.mark.noisy("its index is older")]

POINTS = (
    "copy.written",
    "copy.named",
    "rebase.kept",
    "rebase.leased",
    "flush.synced",
    "flush.recorded",
    "rebase.recorded",
    "rebase.narrowed",
)


class Twin:
    """A store with the stranded overlay in it, or beside it, on which a rebase is tried."""

    def __init__(self, directory: Path, source: Path, name: str) -> None:
        self.place = directory / "store"
        self.session = self.place / "mounts" / name
        shutil.copytree(source, self.place)

    def rebase(self, given: str) -> tuple[str, int]:
        store = open_store(str(self.place))
        try:
            result = rebase_overlay(store, given, "head", leave_out=True)
            return result.overlay, len(result.left_out)
        finally:
            store.close()

    def show(self, name: str) -> dict[Any, Any]:
        """The tree that a mount would show, once it is taken over."""
        store = open_store(str(self.place))
        try:
            (volume,) = store.refs.list_volumes()
            rig = Rig(store, volume, self.place / "mounts" / name, lambda: 10**18)
            rig.strict = False
            shown = {path: facts(each) for path, each in list_tree(rig).items()}
            rig.close()
            return shown
        finally:
            store.close()

    def export(self, path: Path, output: Path) -> dict[str, Any]:
        store = open_store(str(self.place))
        try:
            (session,) = [s for s in list_sessions(path.parent) if s.path == path]
            export_session(store, session, str(output))
        finally:
            store.close()
        return json.loads((output / "changes.json").read_text()) | {"overlay": ""}  # type: ignore[no-any-return]

    def check(self) -> None:
        store = open_store(str(self.place))
        try:
            collect_garbage(store, grace=0)
            report = check_store(store)
            assert report.is_clean, report
        finally:
            store.close()

    def sessions(self) -> list[Path]:
        found = [session.path for session in list_sessions(self.place / "mounts")]
        return sorted(found)


def test_killed_rebases(tmp_path: Path) -> None:
    deaths = 0
    for seed in range(first_seed(), first_seed() + count_rounds(16, 1200)):
        directory = tmp_path / str(seed)
        directory.mkdir()
        try:
            deaths += tell_of_a_death(directory, seed)
        except BaseException as error:
            error.add_note(f"VOLFS_SEED={seed} VOLFS_ROUNDS=1")
            raise
        shutil.rmtree(directory)
    assert deaths > count_rounds(16, 1200) / 3


def tell_of_a_death(directory: Path, seed: int) -> bool:
    point, is_foreign = POINTS[seed % len(POINTS)], seed // len(POINTS) % 2 == 0
    for part in ("told", "sound", "hit"):
        (directory / part).mkdir()
    restored = make_restored_store(directory / "told", seed)
    restored.store.close()
    source, name = directory / "told" / "store", restored.session.name
    apart = directory / "bad" / "mounts" / name
    shutil.copytree(restored.session, apart)
    if is_foreign:
        shutil.rmtree(source / "mounts")
    given = str(apart) if is_foreign else name
    sound, hit = (Twin(directory / which, source, name) for which in ("sound", "hit"))
    wanted_export = sound.export(apart, directory / "wanted")
    overlay, left_out = sound.rebase(given)
    wanted = sound.show(overlay)

    def work(say: Say) -> None:
        hit.rebase(given)

    child = Child(work, f"{point}:1:kill")
    child.end()
    hit.check()
    again, _ = hit.rebase(given)
    shown = hit.show(again)
    assert shown == wanted
    assert sound.export(apart, directory / "untouched") == wanted_export
    rests = [path for path in hit.sessions() if ".left-" in path.name]
    assert bool(rests) == bool(left_out)
    assert len(rests) <= 1 or is_foreign
    for number, rest in enumerate(rests):
        kept = hit.export(rest, directory / f"rest{number}")
        assert {c["path"]: c.get("missing") for c in kept["changes"]} == {
            c["path"]: c.get("missing") for c in wanted_export["changes"]
        }
    hit.check()
    return child.was_killed
