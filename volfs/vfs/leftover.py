"""The overlay that a session's directory has: how much of it there is, and whether it is whole.

Reads only. If the daemon is alive, the result is what it has recorded so far. Run as a program,
this module gets the directories of catalog and scratch, and prints a ``Leftover`` as JSON.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from volfs.errors import DataError
from volfs.model.text_json import decode_json, encode_json
from volfs.sessions.facts import CATALOG, SCRATCH
from volfs.store.anchor import DIRECTORY, anchored, name_places
from volfs.system.children import ask_child, may_fork
from volfs.vfs.catalog import read_catalog
from volfs.vfs.inode import ROOT_INO
from volfs.vfs.records import Recorded, StoredBase
from volfs.vfs.scratch import arena_path


class Leftover(NamedTuple):
    """The uncommitted files and directories of an overlay, and their bytes in scratch."""

    files: int
    bytes: int
    problem: str
    """The damage, in words; empty if there is none."""
    is_clean: bool = False
    """Whether everything is whole, and no uncommitted change is recorded."""
    version: int | None = None
    """The number of the version that the overlay stands on, if it was ever recorded."""
    base: StoredBase | None = None


def inspect_overlay(catalog: Path, scratch: Path) -> Leftover:
    """Read the records of an overlay, and look at the arenas that they need."""
    try:
        recorded = read_catalog(catalog)
    except DataError as error:
        return Leftover(0, 0, name_places(str(error)))
    dirty = [ino for ino, inode in recorded.inodes.items() if inode.dirty]
    own_bytes = sum(
        p.end - p.start for ino in dirty for p in recorded.pieces.get(ino, ()) if p.source >= 0
    )
    problem = _find_problem(recorded, scratch)
    base, is_clean = recorded.base, not (recorded.inodes or problem)
    return Leftover(len(dirty), own_bytes, problem, is_clean, base.version if base else None, base)


def inspect_apart(session: Path) -> Leftover:
    """``inspect_overlay`` in another process, because a damaged file may kill the process that
    maps it.

    The process is a forked child if forking is safe, else a program of its own.
    """
    places = session / CATALOG, session / SCRATCH
    if may_fork():
        return _read_answer(ask_child(lambda: encode_json(inspect_overlay(*places))))
    return _read_answer(_ask_program(session))


def _ask_program(session: Path) -> bytes:
    try:
        descriptor = os.open(session, DIRECTORY)
    except OSError:  # The program says what is missing.
        return _run_program(session)
    try:
        # A path of ours may begin at a descriptor, which the program needs, too.
        return _run_program(anchored(descriptor), descriptor)
    finally:
        os.close(descriptor)


def _run_program(session: Path, *passed: int) -> bytes:
    places = (str(session / name) for name in (CATALOG, SCRATCH))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "volfs.vfs.leftover", *places],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        pass_fds=passed,
    )
    return done.stdout if done.returncode == 0 else b""


def _read_answer(answer: bytes | None) -> Leftover:
    """Decode a process's answer. It may have died of the damage; then the catalog cannot be
    read."""
    if not answer:
        return Leftover(0, 0, "catalog: it cannot be read")
    return decode_json(answer, Leftover)


def _find_problem(recorded: Recorded, scratch: Path) -> str:
    inodes = recorded.inodes
    if inodes and recorded.base is None:
        return "catalog: it does not say what it stands on"
    parents = {inode.parent for ino, inode in inodes.items() if ino != ROOT_INO}
    lost = (parents | {parent for parent, _, _ in recorded.names}) - inodes.keys()
    if lost:
        return f"catalog: inode {min(lost)} has no record"
    ends: dict[int, int] = {}
    for start, end, arena, offset in chain.from_iterable(recorded.pieces.values()):
        if arena >= 0:
            ends[arena] = max(ends.get(arena, 0), offset + end - start)
    found = (_find_short(arena_path(scratch, arena), end) for arena, end in sorted(ends.items()))
    return next(filter(None, found), "")


def _find_short(arena: Path, end: int) -> str:
    try:
        size = arena.stat().st_size
    except OSError as error:
        return f"scratch: {arena.name}: {error.strerror}"
    return f"scratch: {arena.name} was cut off at {size} of {end} bytes" if size < end else ""


def main() -> None:
    catalog, scratch = map(Path, sys.argv[1:])
    sys.stdout.buffer.write(encode_json(inspect_overlay(catalog, scratch)))


if __name__ == "__main__":
    main()
