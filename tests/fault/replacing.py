"""What can come to the place of a store while it is in use, and a life in which it does.

A *replacement* replaces the store of a living mount, or a part of it. It returns the trees that
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
Replacement = Callable[["ReplaceableStore"], Trees]
UNTOLD = {"lock.mdb"}
"""Whoever only reads an index writes into this file."""


class ReplaceableStore:
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


def _move_away(replaceable: ReplaceableStore) -> None:
    replaceable.real.rename(replaceable.bad)


def restore_backup(replaceable: ReplaceableStore) -> Trees:
    _move_away(replaceable)
    replaceable.backup.rename(replaceable.real)
    return [replaceable.real]


def put_another_store(replaceable: ReplaceableStore) -> Trees:
    _move_away(replaceable)
    replaceable.other.rename(replaceable.real)
    return [replaceable.real, replaceable.backup]


def put_an_empty_directory(replaceable: ReplaceableStore) -> Trees:
    _move_away(replaceable)
    replaceable.real.mkdir()
    return [replaceable.real, replaceable.backup]


def put_a_file(replaceable: ReplaceableStore) -> Trees:
    _move_away(replaceable)
    replaceable.real.write_bytes(b"no directory")
    return [replaceable.backup]


def put_nothing(replaceable: ReplaceableStore) -> Trees:
    _move_away(replaceable)
    return [replaceable.backup]


def put_a_link_elsewhere(replaceable: ReplaceableStore) -> Trees:
    _move_away(replaceable)
    replaceable.real.symlink_to(replaceable.backup)
    return [replaceable.backup]


def put_a_copy_by_links(replaceable: ReplaceableStore) -> Trees:
    copy(replaceable.real, replaceable.root / "links", "-l")
    _move_away(replaceable)
    (replaceable.root / "links").rename(replaceable.real)
    # The overlay in ``mounts/`` is the mount's own to write, whatever has a name there.
    return [replaceable.real / "index", replaceable.real / "packs"]


def delete_it(replaceable: ReplaceableStore) -> Trees:
    shutil.rmtree(replaceable.real)
    return [replaceable.backup]


def delete_and_restore(replaceable: ReplaceableStore) -> Trees:
    shutil.rmtree(replaceable.real)
    copy(replaceable.backup, replaceable.real)
    return [replaceable.real, replaceable.backup]


def cover_by_backup(replaceable: ReplaceableStore) -> Trees:
    replaceable.cover(replaceable.backup, replaceable.real)
    return [replaceable.backup]


def cover_by_nothing(replaceable: ReplaceableStore) -> Trees:
    replaceable.cover(None, replaceable.real)
    return [replaceable.real, replaceable.backup]


def cover_by_itself(replaceable: ReplaceableStore) -> Trees:
    replaceable.cover(replaceable.real, replaceable.real)
    return [replaceable.backup]


def take_the_disk(replaceable: ReplaceableStore) -> Trees:
    """Its own one, which was mounted at the parent; another comes there."""
    subprocess.run(["umount", "-l", replaceable.covered.pop()], check=True)
    replaceable.cover(None, replaceable.parent)
    copy(replaceable.backup, replaceable.real)
    return [replaceable.real, replaceable.backup]


def rename_the_parent(replaceable: ReplaceableStore) -> Trees:
    if replaceable.covered:
        return take_the_disk(replaceable)
    replaceable.parent.rename(replaceable.root / "renamed")
    if replaceable.choice.random() < 0.5:
        replaceable.parent.mkdir()
        copy(replaceable.backup, replaceable.real)
        return [replaceable.real, replaceable.backup]
    return [replaceable.backup]


def switch_a_link(replaceable: ReplaceableStore) -> Trees:
    (replaceable.root / "elsewhere").mkdir()
    copy(replaceable.backup, replaceable.root / "elsewhere" / "store")
    replaceable.link.unlink()
    replaceable.link.symlink_to(replaceable.root / "elsewhere")
    return [replaceable.backup, replaceable.root / "elsewhere"]


# --- what is in it ----------------------------------------------------------


def _put_copies(replaceable: ReplaceableStore, *names: str, source: Path | None = None) -> Trees:
    """Replace them by copies: of the backup's, or of themselves."""
    put = []
    for name in names:
        copy((source or replaceable.real) / name, replaceable.root / "new")
        (replaceable.real / name).rename(replaceable.root / f"old-{Path(name).name}")
        (replaceable.root / "new").rename(replaceable.real / name)
        put.append(replaceable.real / name)
    return [replaceable.backup, *(path for path in put if path.is_dir())]


def restore_the_index(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "index", source=replaceable.backup)


def restore_the_packs(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "packs", source=replaceable.backup)


def restore_both(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "index", "packs", source=replaceable.backup)


def copy_the_index(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "index")


def copy_the_packs(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "packs")


def copy_the_format(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "format")


def copy_the_lock(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "index/lock.mdb")


def copy_the_data(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "index/data.mdb")


def restore_the_data(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, "index/data.mdb", source=replaceable.backup)


def copy_the_names(replaceable: ReplaceableStore) -> Trees:
    return (
        _put_copies(replaceable, "names.log") if (replaceable.real / "names.log").exists() else []
    )


def copy_a_pack(replaceable: ReplaceableStore) -> Trees:
    return _put_copies(replaceable, f"packs/{replaceable.pick_pack().name}")


def copy_all_packs(replaceable: ReplaceableStore) -> Trees:
    for pack in sorted((replaceable.real / "packs").glob("*.pack")):
        copy(pack, replaceable.root / "new")
        (replaceable.root / "new").rename(pack)
    return [replaceable.backup]


def restore_file_by_file(replaceable: ReplaceableStore) -> Trees:
    """As rsync does: a new file under each name."""
    for path in sorted(replaceable.backup.rglob("*")):
        target = replaceable.real / path.relative_to(replaceable.backup)
        if path.is_file() and "mounts" not in path.parts and "logs" not in path.parts:
            copy(path, replaceable.root / "new")
            (replaceable.root / "new").rename(target)
    return [replaceable.backup]


def write_the_data_over(replaceable: ReplaceableStore) -> Trees:
    """Into the very file, as ``cp`` does, but without cutting it first: that kills who maps it."""
    older = (replaceable.backup / "index" / "data.mdb").read_bytes()
    with (replaceable.real / "index" / "data.mdb").open("r+b") as file:
        file.write(older)
    return [replaceable.backup]


def cut_a_pack(replaceable: ReplaceableStore) -> Trees:
    pack = replaceable.pick_pack()
    os.truncate(pack, replaceable.choice.randrange(pack.stat().st_size))
    return [replaceable.backup]


def delete_a_pack(replaceable: ReplaceableStore) -> Trees:
    replaceable.pick_pack().unlink()
    return [replaceable.backup]


HARMLESS: tuple[Replacement, ...] = (cover_by_itself, copy_the_names)
"""The store is still what was opened: a commit has to succeed."""
DAMAGED_PACKS: tuple[Replacement, ...] = (cut_a_pack, delete_a_pack)
"""What is missing then is gone, whatever the mount does."""
ON_A_DISK: tuple[Replacement, ...] = (take_the_disk,)
"""The store is on a disk of its own for these."""
PACKS: tuple[Replacement, ...] = (copy_a_pack, copy_all_packs)
"""A pack is another file, and the store is not: what comes after may go on in a new one."""
WHOLE: tuple[Replacement, ...] = (
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
SAME_FILES: tuple[Replacement, ...] = (write_the_data_over,)
"""Older bytes, or the same, in the files that are open."""
REPLACEMENTS = (*WHOLE, *PACKS, *SAME_FILES, *DAMAGED_PACKS, *HARMLESS)
