"""The overlay on disk: whatever a daemon dies of, what it recorded fits together."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest
import trio

from tests.harness.rig import Rig, list_tree
from tests.vfs.conftest import NewRig
from volfs.errors import MissingObjectError, StoreUnavailableError, UnsupportedFormatError
from volfs.model.objects import Oid
from volfs.store.checked_lmdb.checksum import CHECKSUM_SIZE, add_checksum
from volfs.vfs.catalog import Catalog
from volfs.vfs.checkout_plan import KernelNotice
from volfs.vfs.kernel import Kernel
from volfs.vfs.leftover import inspect_overlay
from volfs.vfs.records import BASE_KEY, FORMER_BASE_KEY
from volfs.vfs.thread_work import commit_generation
from volfs.vfs.view import View
from volfs.volume.commit import CommitNote, DeltaBase
from volfs.volume.version_reader import Reader

DATA = random.Random(7).randbytes(200_000)


def test_a_flush_that_failed_is_made_up_for_by_the_next(rig: Rig, new_rig: NewRig) -> None:
    """Also the records of directories without changes, which say where the others are."""
    rig.mkdir((b"d",))
    rig.mkdir((b"d", b"e"))
    rig.write((b"d", b"e", b"f"), DATA)
    rig.commit()
    rig.write((b"d", b"e", b"f"), b"new")
    rig.catalog.give_back(rig.state, rig.catalog.prepare(rig.state))
    rig.flush()
    again = new_rig(again=rig)
    assert again.read((b"d", b"e", b"f")) == b"new" + DATA[3:]


def test_a_flush_right_after_a_reload_records_the_new_view_whole(
    rig: Rig, other: Rig, new_rig: NewRig
) -> None:
    """One that came before the reload's own: directories must not lie on the former view."""
    rig.mkdir((b"d",))
    for name in (b"mine", b"theirs"):
        rig.write((b"d", name), DATA)
    rig.commit()
    other.reload()
    rig.write((b"d", b"theirs"), b"changed", 10)
    rig.commit()
    other.write((b"d", b"mine"), b"mine", 10)
    other.flush()
    told: list[KernelNotice] = []

    def die(notices: list[KernelNotice]) -> None:
        told.extend(notices)
        other.flush()
        raise InterruptedError

    other.committer.kernel = Kernel(lambda: None, lambda files: None, list, die)
    with pytest.raises(InterruptedError):
        other.reload()
    assert told
    again = new_rig(again=other)
    assert again.read((b"d", b"theirs")) == DATA[:10] + b"changed" + DATA[17:]
    assert again.read((b"d", b"mine")) == DATA[:10] + b"mine" + DATA[14:]


def test_a_flush_that_waited_for_a_commit_records_the_new_view_whole(
    rig: Rig, new_rig: NewRig
) -> None:
    """It is written between what the commit published and the commit's own flush."""
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), DATA)
    rig.write((b"d", b"g"), DATA)
    rig.commit()
    rig.write((b"d", b"f"), b"new")
    rig.write((b"d", b"g"), b"new")
    rig.flush()
    sealed = rig.state.overlay.seal()
    committer = rig.committer
    published = commit_generation(
        rig.store,  # type: ignore[arg-type]
        committer.volume,
        DeltaBase(rig.state.view.snapshot, lease=committer.lease),
        sealed,
        rig.scratch.read,
        CommitNote(),
    )
    rig.write((b"d", b"g"), b"newer")
    committer._absorb(published)
    rig.flush()
    tree = list_tree(rig)
    again = new_rig(again=rig)
    assert list_tree(again) == tree


def test_a_catalog_of_a_former_volfs_is_refused(rig: Rig, tmp_path: Path) -> None:
    """By a mount that would take it over, and where overlays are listed."""
    rig.write((b"f",), DATA)
    rig.flush()
    catalog = tmp_path / "copy"
    shutil.copytree(rig.scratch.directory.parent / "catalog", catalog)
    with lmdb.open(str(catalog)) as env, env.begin(write=True) as transaction:
        row = transaction.pop(BASE_KEY)
        assert row is not None
        transaction.put(FORMER_BASE_KEY, add_checksum(FORMER_BASE_KEY, row[:-CHECKSUM_SIZE]))
    again = Catalog(catalog)
    with pytest.raises(UnsupportedFormatError, match="former volfs"):
        again.find_base()
    again.close()
    assert "former volfs" in inspect_overlay(catalog, rig.scratch.directory).problem


def test_the_kernel_is_told_of_a_reload_whatever_fails_after_it(rig: Rig, other: Rig) -> None:
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), DATA)
    rig.write((b"g",), DATA)
    rig.commit()
    other.reload()
    other.write((b"d", b"mine"), DATA)
    assert other.find((b"g",)) is not None
    rig.unlink((b"g",))
    rig.commit()
    tree = other.get((b"d",)).entry.root
    other.notices.clear()
    with damaged(other.state.view, Oid(tree)), pytest.raises(MissingObjectError):
        other.reload()
    assert KernelNotice(1, b"g") in other.notices
    other.reload()
    other.settle(other.state.recount_usage)


@contextmanager
def damaged(view: View, oid: Oid) -> Iterator[None]:
    """A view that cannot load one object."""

    def load(wanted: Oid) -> bytes:
        if wanted == oid:
            raise MissingObjectError("gone")
        return view._load_ready(wanted)

    whole, view.reader = view.reader, Reader(load)
    yield
    view.reader = whole


# --- scratch --------------------------------------------------------------------


@contextmanager
def refusing(descriptor: int) -> Iterator[None]:
    """A file that no sync succeeds on: a pipe, for the time being."""
    saved, (reader, writer) = os.dup(descriptor), os.pipe()
    os.dup2(writer, descriptor)
    try:
        yield
    finally:
        os.dup2(saved, descriptor)
        for each in (saved, reader, writer):
            os.close(each)


def test_scratch_that_the_disk_refused_is_never_called_durable(rig: Rig) -> None:
    """The kernel drops such bytes, and says of the next fdatasync that all is well."""
    rig.write((b"f",), DATA)
    refused = rig.scratch.current
    with refusing(rig.scratch._arenas[refused].descriptor), pytest.raises(StoreUnavailableError):
        trio.run(rig.committer.flusher.flush)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="refused"):
            trio.run(rig.committer.flusher.flush)


def test_scratch_that_the_disk_refused_is_not_published(rig: Rig) -> None:
    """But what is written anew is, and then all is well again."""
    rig.write((b"f",), DATA)
    rig.write((b"g",), DATA)
    with (
        refusing(rig.scratch._arenas[rig.scratch.current].descriptor),
        pytest.raises(StoreUnavailableError),
    ):
        trio.run(rig.committer.flusher.flush)
    with pytest.raises(StoreUnavailableError, match="refused"):
        rig.commit()
    rig.unlink((b"g",))
    rig.forget()
    rig.write((b"f",), DATA)
    assert rig.commit().head.version == 1
    trio.run(rig.committer.flusher.flush)
    assert rig.read((b"f",)) == DATA
