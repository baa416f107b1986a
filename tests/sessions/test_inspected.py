"""Overlays are inspected in another process, with the same answer in a child and in a program."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.rig import Rig
from volfs.model.text_json import decode_json, encode_json
from volfs.sessions.facts import CATALOG, SCRATCH
from volfs.store.anchor import DIRECTORY, anchored
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.children import ask_child, may_fork
from volfs.vfs.leftover import Leftover, inspect_apart, inspect_overlay


@contextmanager
def another_thread() -> Iterator[None]:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.fixture
def session(store: Store, volume: VolumeRecord, tmp_path: Path) -> Path:
    """What a dead daemon left: a file of 1,000 bytes in a changed directory."""
    ticks = iter(range(10**18, 10**18 + 10**6))
    rig = Rig(store, volume, tmp_path / "session", lambda: next(ticks))
    rig.write((b"file",), bytes(range(250)) * 4)
    rig.flush()
    rig.close()
    return tmp_path / "session"


def inspect_alone(session: Path) -> Leftover:
    """As a process with one thread does, whatever threads this one has."""
    answer = ask_child(lambda: encode_json(inspect_apart(session)) if may_fork() else b"")
    assert answer, "the child has one thread"
    return decode_json(answer, Leftover)


def inspect_both_ways(session: Path) -> Leftover:
    found = inspect_alone(session)
    with another_thread():
        assert not may_fork()
        assert inspect_apart(session) == found
    return found


def cut_catalog(session: Path) -> None:
    """Mapped beyond its end, a file kills whoever reads there (SIGBUS)."""
    data = session / CATALOG / "data.mdb"
    os.truncate(data, 4096 * 2)


def spoil_pages(session: Path) -> None:
    data = session / CATALOG / "data.mdb"
    content = bytearray(data.read_bytes())
    content[8192:] = b"\xff" * len(content[8192:])
    data.write_bytes(content)


def lose_arena(session: Path) -> None:
    for arena in (session / SCRATCH).glob("*.arena"):
        arena.unlink()


def test_what_is_whole(session: Path) -> None:
    found = inspect_both_ways(session)
    assert found == inspect_overlay(session / CATALOG, session / SCRATCH)
    assert (found.problem, found.is_clean, found.version) == ("", False, 0)
    assert found.bytes == 1000
    assert found.base is not None


@pytest.mark.parametrize("damage", [cut_catalog, spoil_pages, lose_arena])
def test_what_is_damaged(session: Path, damage: Callable[[Path], None]) -> None:
    damage(session)
    found = inspect_both_ways(session)
    assert found.problem.startswith(("catalog", "scratch")) or "damaged" in found.problem
    assert not found.is_clean


def test_a_session_that_is_not_there(tmp_path: Path) -> None:
    assert "is missing" in inspect_both_ways(tmp_path / "none").problem


def test_a_session_is_found_by_its_descriptor(session: Path) -> None:
    """As one in another store is, whose path may lead elsewhere by now."""
    descriptor = os.open(session, DIRECTORY)
    try:
        session.rename(session.with_name("moved"))
        assert inspect_both_ways(anchored(descriptor)).bytes == 1000
    finally:
        os.close(descriptor)
