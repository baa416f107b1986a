"""What can come to the place of a store while it is in use, and a life in which it does.

A *deed* replaces the store of a living mount, or a part of it. It returns the trees that
are other stores, or copies: nothing of these may change by what the mount does.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

Trees = list[Path]
Deed = Callable[["Scene"], Trees]
UNTOLD = {"lock.mdb"}
"""Whoever only reads an index writes into this file."""


class Scene:
    """The store's address, what it leads to, and what may take its place."""

    def __init__(self, root: Path, choice: random.Random) -> None:
        self.root = root
        self.choice = choice
        self.parent = root / "parent"
        self.link = root / "link"
        self.real = self.parent / "store"
        self.backup = root / "backup"
        self.other = root / "other"
        self.bad = root / "bad"
        self.covered: list[Path] = []
        self.parent.mkdir(parents=True)
        self.link.symlink_to(self.parent)
        self.address = self.link / "store"

    def cover(self, source: Path | None, place: Path) -> None:
        """Mount a directory over another; None: an empty disk."""
        command = ["mount", "-t", "tmpfs", "none", place]
        if source is not None:
            command = ["mount", "--bind", source, place]
        subprocess.run(command, check=True)
        self.covered.append(place)

    def uncover(self) -> None:
        while self.covered:
            subprocess.run(["umount", "-l", self.covered.pop()], check=True)

    def pick_pack(self) -> Path:
        return self.choice.choice(sorted((self.real / "packs").glob("*.pack")))


def copy(source: Path, target: Path, *options: str) -> None:
    subprocess.run(["cp", "-a", *options, source, target], check=True)


def hash_tree(tree: Path) -> dict[str, str]:
    """Every file of a tree but those that readers change, and what is in it."""
    found = {}
    for directory, _, names in os.walk(tree):
        for name in names:
            path = Path(directory, name)
            if name not in UNTOLD and path.is_file():
                found[str(path.relative_to(tree))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


# --- the directory ----------------------------------------------------------


def _move_away(scene: Scene) -> None:
    scene.real.rename(scene.bad)


def restore_backup(scene: Scene) -> Trees:
    _move_away(scene)
    scene.backup.rename(scene.real)
    return [scene.real]


def put_another_store(scene: Scene) -> Trees:
    _move_away(scene)
    scene.other.rename(scene.real)
    return [scene.real, scene.backup]


def put_an_empty_directory(scene: Scene) -> Trees:
    _move_away(scene)
    scene.real.mkdir()
    return [scene.real, scene.backup]


def put_a_file(scene: Scene) -> Trees:
    _move_away(scene)
    scene.real.write_bytes(b"no directory")
    return [scene.backup]


def put_nothing(scene: Scene) -> Trees:
    _move_away(scene)
    return [scene.backup]


def put_a_link_elsewhere(scene: Scene) -> Trees:
    _move_away(scene)
    scene.real.symlink_to(scene.backup)
    return [scene.backup]


def put_a_copy_by_links(scene: Scene) -> Trees:
    copy(scene.real, scene.root / "links", "-l")
    _move_away(scene)
    (scene.root / "links").rename(scene.real)
    # The overlay in ``mounts/`` is the mount's own to write, whatever has a name there.
    return [scene.real / "index", scene.real / "packs"]


def delete_it(scene: Scene) -> Trees:
    shutil.rmtree(scene.real)
    return [scene.backup]


def delete_and_restore(scene: Scene) -> Trees:
    shutil.rmtree(scene.real)
    copy(scene.backup, scene.real)
    return [scene.real, scene.backup]


def cover_by_backup(scene: Scene) -> Trees:
    scene.cover(scene.backup, scene.real)
    return [scene.backup]


def cover_by_nothing(scene: Scene) -> Trees:
    scene.cover(None, scene.real)
    return [scene.real, scene.backup]


def cover_by_itself(scene: Scene) -> Trees:
    scene.cover(scene.real, scene.real)
    return [scene.backup]


def take_the_disk(scene: Scene) -> Trees:
    """Its own one, which was mounted at the parent; another comes there."""
    subprocess.run(["umount", "-l", scene.covered.pop()], check=True)
    scene.cover(None, scene.parent)
    copy(scene.backup, scene.real)
    return [scene.real, scene.backup]


def rename_the_parent(scene: Scene) -> Trees:
    if scene.covered:
        return take_the_disk(scene)
    scene.parent.rename(scene.root / "renamed")
    if scene.choice.random() < 0.5:
        scene.parent.mkdir()
        copy(scene.backup, scene.real)
        return [scene.real, scene.backup]
    return [scene.backup]


def switch_a_link(scene: Scene) -> Trees:
    (scene.root / "elsewhere").mkdir()
    copy(scene.backup, scene.root / "elsewhere" / "store")
    scene.link.unlink()
    scene.link.symlink_to(scene.root / "elsewhere")
    return [scene.backup, scene.root / "elsewhere"]


# --- what is in it ----------------------------------------------------------


def _put_copies(scene: Scene, *names: str, source: Path | None = None) -> Trees:
    """Replace them by copies: of the backup's, or of themselves."""
    put = []
    for name in names:
        copy((source or scene.real) / name, scene.root / "new")
        (scene.real / name).rename(scene.root / f"old-{Path(name).name}")
        (scene.root / "new").rename(scene.real / name)
        put.append(scene.real / name)
    return [scene.backup, *(path for path in put if path.is_dir())]


def restore_the_index(scene: Scene) -> Trees:
    return _put_copies(scene, "index", source=scene.backup)


def restore_the_packs(scene: Scene) -> Trees:
    return _put_copies(scene, "packs", source=scene.backup)


def restore_both(scene: Scene) -> Trees:
    return _put_copies(scene, "index", "packs", source=scene.backup)


def copy_the_index(scene: Scene) -> Trees:
    return _put_copies(scene, "index")


def copy_the_packs(scene: Scene) -> Trees:
    return _put_copies(scene, "packs")


def copy_the_format(scene: Scene) -> Trees:
    return _put_copies(scene, "format")


def copy_the_lock(scene: Scene) -> Trees:
    return _put_copies(scene, "index/lock.mdb")


def copy_the_data(scene: Scene) -> Trees:
    return _put_copies(scene, "index/data.mdb")


def restore_the_data(scene: Scene) -> Trees:
    return _put_copies(scene, "index/data.mdb", source=scene.backup)


def copy_the_names(scene: Scene) -> Trees:
    return _put_copies(scene, "names.log") if (scene.real / "names.log").exists() else []


def copy_a_pack(scene: Scene) -> Trees:
    return _put_copies(scene, f"packs/{scene.pick_pack().name}")


def copy_all_packs(scene: Scene) -> Trees:
    for pack in sorted((scene.real / "packs").glob("*.pack")):
        copy(pack, scene.root / "new")
        (scene.root / "new").rename(pack)
    return [scene.backup]


def restore_file_by_file(scene: Scene) -> Trees:
    """As rsync does: a new file under each name."""
    for path in sorted(scene.backup.rglob("*")):
        target = scene.real / path.relative_to(scene.backup)
        if path.is_file() and "mounts" not in path.parts and "logs" not in path.parts:
            copy(path, scene.root / "new")
            (scene.root / "new").rename(target)
    return [scene.backup]


def write_the_data_over(scene: Scene) -> Trees:
    """Into the very file, as ``cp`` does, but without cutting it first: that kills who maps it."""
    older = (scene.backup / "index" / "data.mdb").read_bytes()
    with (scene.real / "index" / "data.mdb").open("r+b") as file:
        file.write(older)
    return [scene.backup]


def cut_a_pack(scene: Scene) -> Trees:
    pack = scene.pick_pack()
    os.truncate(pack, scene.choice.randrange(pack.stat().st_size))
    return [scene.backup]


def delete_a_pack(scene: Scene) -> Trees:
    scene.pick_pack().unlink()
    return [scene.backup]


HARMLESS: tuple[Deed, ...] = (cover_by_itself, copy_the_names)
"""The store is still what was opened: a commit has to succeed."""
WOUNDS: tuple[Deed, ...] = (cut_a_pack, delete_a_pack)
"""What is missing then is gone, whatever the mount does."""
ON_A_DISK: tuple[Deed, ...] = (take_the_disk,)
"""The store is on a disk of its own for these."""
PACKS: tuple[Deed, ...] = (copy_a_pack, copy_all_packs)
"""A pack is another file, and the store is not: what comes after may go on in a new one."""
WHOLE: tuple[Deed, ...] = (
    restore_backup,
    put_another_store,
    put_an_empty_directory,
    put_a_file,
    put_nothing,
    put_a_link_elsewhere,
    put_a_copy_by_links,
    delete_it,
    delete_and_restore,
    cover_by_backup,
    cover_by_nothing,
    *ON_A_DISK,
    rename_the_parent,
    switch_a_link,
    restore_the_index,
    restore_the_packs,
    restore_both,
    copy_the_index,
    copy_the_packs,
    copy_the_format,
    copy_the_lock,
    copy_the_data,
    restore_the_data,
    restore_file_by_file,
)
"""The store is not what was opened: nothing may be acknowledged after it."""
SAME_FILES: tuple[Deed, ...] = (write_the_data_over,)
"""Older bytes, or the same, in the files that are open."""
DEEDS = (*WHOLE, *PACKS, *SAME_FILES, *WOUNDS, *HARMLESS)
