"""The name log damaged anywhere: check says so, or nothing is lost by it; a repair mends it.

``VOLFS_DAMAGES`` says how many times (docs/reliability.md).
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.crash.children import first_seed, is_long
from tests.fault.damages import Damage, choose_damage
from tests.volume.shortcuts import publish_files
from volfs.store.contract.store import Store
from volfs.store.embedded.refs.name_log import NAME_LOG
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.gc import collect_garbage
from volfs.volume.recovery import rebuild_store, repair_store
from volfs.volume.volumes import create_volume, delete_volume, rename_volume

DAMAGES = int(os.environ.get("VOLFS_DAMAGES", "5000" if is_long() else "40"))
Names = dict[str, tuple[str, dict[str, int]]]
"""Of each volume by id: its name, and its tags."""


def build(path: Path) -> None:
    """Names and tags, in two environments, that were given, given again, moved, taken away."""
    with closing(open_store(str(path), create=True)) as store:
        for number in range(3):
            volume = create_volume(store, f"v{number}")
            for version in (1, 2):
                publish_files(store, volume, {"f": f"{version}".encode()})
                store.refs.put_tag(volume.id, "moved", version, move=True)
                store.refs.put_tag(volume.id, f"stays-{version}", version)
        store.refs.delete_tag(volume.id, "stays-1")
        rename_volume(store, "v0", "renamed")
        rename_volume(store, "renamed", "again")
        create_volume(store, "gone")
        delete_volume(store, "gone")
        store.refs.put_tag(create_volume(store, "v1", environment="prod").id, "first", 0)
        rename_volume(store, "v2", "v2", to="prod")
        store.refs.rename_environment("prod", "live")


def look(store: Store) -> Names:
    return {
        v.id: (v.full_name, dict(store.refs.list_tags(v.id))) for v in store.refs.list_volumes()
    }


def find_loss(path: Path, names: Names) -> str:
    """Lose the index and make it again: what is not as it was. More tags than before are none."""
    shutil.rmtree(path / "index")
    rebuild_store(str(path))
    with closing(open_store(str(path))) as store:
        now = look(store)
    for volume_id, (name, tags) in names.items():
        found, known = now[volume_id]
        if found != name or not tags.items() <= known.items():
            return f"{name} {tags} came back as {found} {known}"
    return ""


def repair(store: Store, names: Names) -> str:
    """What is wrong with repairing it."""
    mended = repair_store(store).mended_names
    again = repair_store(store)
    checked = check_store(store)
    if not mended or again.has_changed or not checked.is_clean or look(store) != names:
        return f"mended {mended}, then {again}, {checked.damage}"
    return ""


@pytest.mark.parametrize("is_short", [False, True], ids=["as written", "as gc leaves it"])
def test_no_damage_of_the_name_log_is_silent(tmp_path: Path, is_short: bool) -> None:
    sample, path, seed = tmp_path / "sample", tmp_path / "store", first_seed()
    build(sample)
    with closing(open_store(str(sample))) as store:
        names = look(store)
        if is_short:
            collect_garbage(store)
    data, failures, named = (sample / NAME_LOG).read_bytes(), [], 0
    for number in range(DAMAGES // 2):
        damage = choose_damage(Random(f"{seed}/{number}"), {NAME_LOG: data})
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(sample, path)
        is_named, problem = try_damage(path, damage, names)
        named += is_named
        if problem:
            failures.append(f"{seed}/{number}: {damage}: {problem}")
    print(f"{named} of {DAMAGES // 2} were named")
    assert not failures, "\n".join(failures)
    assert named


def try_damage(path: Path, damage: Damage, names: Names) -> tuple[bool, str]:
    """Whether check named it, and what went wrong."""
    (path / NAME_LOG).write_bytes(damage.bytes)
    with closing(open_store(str(path))) as store:
        found = check_store(store)
        is_named = not found.is_clean
        problem = repair(store, names) if is_named else ""
    return is_named, problem or find_loss(path, names)
