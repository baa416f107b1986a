"""Stores that are replaced under a living mount: nothing is acknowledged that is not there.

Each replacement at each moment: before something is written to the mount, before the commit,
at points of the commit, and before umount. Afterwards what was acknowledged is in the
store at the address, or the command had failed and the overlay has it; and no other
store has changed a byte. What was acknowledged before the replacement, and went with it, is told
at the next opening.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.crash.children import count_rounds, first_seed
from tests.fault import replacing
from tests.fault.replacing import (
    HARMLESS,
    ON_A_DISK,
    REPLACEMENTS,
    WHOLE,
    ReplaceableStore,
    Replacement,
    hash_tree,
)
from tests.harness.mounted import Mounted, Mounts, is_running, wait_until
from tests.volume.shortcuts import publish_files, read_file
from volfs.control.mounts import find_mount_point
from volfs.errors import (
    DataError,
    NoEntryError,
    NotAStoreError,
    NotFoundError,
    StoreReplacedError,
    VolfsError,
)
from volfs.errors.fault_points import VARIABLE
from volfs.store.embedded.engine import EmbeddedStore
from volfs.store.registry import open_store
from volfs.vfs.leftover import inspect_overlay
from volfs.volume.volumes import create_volume

pytestmark = [pytest.mark.crash, pytest.mark.fuse]

BEFORE = ("write", "commit", "umount")
DURING = (
    "commit.sealed",
    "publish.appended",
    "publish.durable",
    "publish.unmoved",
)
"""Points of a commit before its transaction."""
MOMENTS = (*BEFORE, *DURING)
OVERLAY_GONE = (replacing.delete_it, replacing.delete_and_restore)


class ReplacedStoreLife:
    """A mount of a volume in a store that is replaced, and what was acknowledged."""

    def __init__(self, root: Path, replacement: Replacement, moment: str, seed: int) -> None:
        self.choice = random.Random(f"{seed} {replacement.__name__} {moment}")
        self.replaceable = ReplaceableStore(root, self.choice)
        self.replacement = replacement
        self.moment = moment
        self.kept: dict[str, bytes] = {}
        """Acknowledged before the replacement."""
        self.mounts = Mounts(root)
        self.mounts.environment["VOLFS_RUNTIME_DIR"] = os.environ["VOLFS_RUNTIME_DIR"]
        if replacement in ON_A_DISK:
            self.replaceable.cover(None, self.replaceable.parent)
        self.mounts.store_path = self.replaceable.address
        self.daemon = 0

    # --- before ----------------------------------------------------------

    def begin(self) -> Mounted:
        """A store with a history, a backup from the middle of it, and another store."""
        self._make_store(self.replaceable.other, 3)
        volume = self.mounts.create()
        publish_files(self.mounts.store, volume, {"old": b"old" * 9000})
        self.mounts.store.refs.put_tag(volume.id, "first", 1)
        self.mounts.close_store()
        if self.moment in DURING:
            count = 1 + (self.moment == "publish.appended" and self.choice.randrange(2))
            self.mounts.environment[VARIABLE] = f"{self.moment}:{count + self._commits()}:stop"
        mounted = self.mounts.mount()
        self.daemon = mounted.pid
        self._back_up()
        for number in range(self._commits()):
            self.commit(mounted, f"kept-{number}")
        return mounted

    def _back_up(self) -> None:
        """A copy of an index that nobody changes meanwhile."""
        store = self.mounts.store
        assert isinstance(store, EmbeddedStore)
        with store._engine.environment.write(reserve=0, is_noted=False):
            replacing.copy(self.replaceable.real, self.replaceable.backup)
        self.mounts.close_store()

    def _commits(self) -> int:
        """How often it commits before: none, or with a pack that is kept open then."""
        return 0 if self.moment in DURING else self.choice.randrange(3)

    def _make_store(self, path: Path, versions: int) -> None:
        store = open_store(str(path), create=True)
        volume = create_volume(store, "data", chunk_bits=16)
        for number in range(versions):
            publish_files(store, volume, {f"theirs-{number}": b"theirs"})
        store.close()

    def write(self, mounted: Mounted, name: str) -> bytes:
        data = self.choice.randbytes(self.choice.choice((1, 900, 70_000, 300_000)))
        with (mounted.path / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return data

    def commit(self, mounted: Mounted, name: str) -> None:
        data = self.write(mounted, name)
        mounted.commit()
        self.kept[name] = data

    # --- the replacement --------------------------------------------------------

    def run(self) -> None:
        mounted = self.begin()
        others: dict[Path, dict[str, str]] = {}

        def act() -> None:
            others.update((tree, hash_tree(tree)) for tree in self.replacement(self.replaceable))

        if self.moment == "write":
            act()
        data, error = None, None
        try:
            data = self.write(mounted, "new")
            if self.moment in ("commit", "umount"):
                act()
            self._publish(mounted, act)
        except (VolfsError, OSError) as failed:
            error = failed
        assert others or self.replacement in HARMLESS, "the replacement was not done"
        for tree, before in others.items():
            now = hash_tree(tree)
            changed = [name for name in now | before if now.get(name) != before.get(name)]
            # A file with two names that was being written when it got the second is in both.
            if self.replacement is replacing.put_a_copy_by_links and self.moment in DURING:
                changed = [name for name in changed if not name.endswith(".pack")]
            assert not changed, f"{tree} has changed: {changed}"
        if error is None:
            assert self.replacement not in WHOLE, "acknowledged, and the store is another"
            self.check_acknowledged({"new": data or b""})
        else:
            assert self.replacement not in HARMLESS, error
            self.check_refused(mounted, error, data)

    def _publish(self, mounted: Mounted, act: Any) -> None:
        """Commit or unmount; where that is stopped on its way, ``act`` meanwhile."""
        failed: list[BaseException] = []

        def call() -> None:
            try:
                if self.moment == "umount":
                    mounted.client.unmount()
                else:
                    mounted.commit()
            except VolfsError as error:
                failed.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        if self.moment in DURING:
            wait_until(lambda: is_stopped(mounted.pid) or not caller.is_alive(), "it to stop")
            assert caller.is_alive(), failed
            act()
            os.kill(mounted.pid, signal.SIGCONT)
        caller.join(30)
        assert not caller.is_alive()
        if failed:
            raise failed[0]

    # --- after -----------------------------------------------------------

    def check_acknowledged(self, files: dict[str, bytes]) -> None:
        """They are in the store that the address names, as others see it."""
        store = open_store(str(self.replaceable.address))
        try:
            volume = store.refs.get_volume("data")
            for name, data in files.items():
                assert read_file(store, volume, name) == data
        finally:
            store.close()

    def check_refused(self, mounted: Mounted, error: Exception, data: bytes | None) -> None:
        if self.replacement in WHOLE:
            # An application's fsync that could not be kept says EIO.
            assert isinstance(error, StoreReplacedError | OSError), error
        is_mounted = find_mount_point(str(mounted.path)) is not None
        if is_mounted and data is not None:
            assert (mounted.path / "new").read_bytes() == data
        if self.replacement in WHOLE and is_mounted:
            assert mounted.status().store_replaced
        if self.replacement in OVERLAY_GONE:
            assert is_mounted, "what was not committed is nowhere else"
            mounted.client.unmount(discard=True)
            return
        if is_mounted:
            with pytest.raises(StoreReplacedError) if self.replacement in WHOLE else no_matter():
                mounted.client.unmount()
        if find_mount_point(str(mounted.path)) is not None:
            assert self.replacement not in WHOLE, "what ends without a commit ends"
            mounted.client.unmount(discard=True)
        wait_until(lambda: not is_running(self.daemon), "the daemon's end")
        if self.replacement in WHOLE:
            self.check_told()
            self.check_mounts_again()
            self.check_overlay(data)

    def check_overlay(self, data: bytes | None) -> None:
        """It is where the session's directory is by now."""
        if self.replacement in ON_A_DISK:
            return  # of a disk that nobody has mounted any more
        self.replaceable.uncover()
        found = [path.parent for path in self.replaceable.root.rglob("session.json")]
        left = [inspect_overlay(path / "catalog", path / "scratch") for path in found]
        whole = [item for item in left if item.files and not item.problem]
        assert whole or data is None, left

    def check_told(self) -> None:
        """Where the address leads to a copy that is older, opening it says so."""
        try:
            store = open_store(str(self.replaceable.address))
        except (NotAStoreError, VolfsError):
            return
        try:
            volume = store.refs.get_volume("data")
            for name, data in self.kept.items():
                try:
                    is_there = read_file(store, volume, name) == data
                except DataError:
                    continue  # whoever reads it is told
                except (NotFoundError, NoEntryError):
                    is_there = False
                other = self.replacement in (replacing.put_another_store,)
                assert is_there or other or store.care.find_missed(), (
                    f"{name} is missing, and not told"
                )
        except NotFoundError:
            pass
        finally:
            store.close()

    def check_mounts_again(self) -> None:
        """Where there is a whole store at the address, a mount works as ever."""
        self.mounts.environment.pop(VARIABLE, None)
        try:
            again = self.mounts.mount(self.mounts.place("again"))
        except VolfsError:
            return
        self.daemon = again.pid
        (again.path / "again").write_bytes(b"again")
        again.commit()
        self.check_acknowledged({"again": b"again"})
        again.client.unmount()

    def end(self) -> None:
        for mounted in self.mounts.mounted:
            if is_running(mounted.pid):
                os.kill(mounted.pid, signal.SIGKILL)
                wait_until(lambda pid=mounted.pid: not is_running(pid), "its end")
        for place in self.mounts.places:
            while find_mount_point(str(place)) is not None:
                subprocess.run(["umount", "-l", place], check=False)
        self.mounts.close_store()
        self.replaceable.uncover()


class no_matter:  # noqa: N801 - a context manager, as those of pytest
    """Whatever comes of the block."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, VolfsError)


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "T"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


def live(root: Path, replacement: Replacement, moment: str, seed: int) -> None:
    life = ReplacedStoreLife(root, replacement, moment, seed)
    try:
        life.run()
    finally:
        life.end()


@pytest.mark.noisy("older than what was acknowledged")
@pytest.mark.parametrize("replacement", REPLACEMENTS, ids=lambda replacement: replacement.__name__)
def test_each_replacement(root: Path, replacement: Replacement) -> None:
    """At one moment each, another for every seed; all of them in the long form."""
    for seed in range(count_rounds(1, len(MOMENTS))):
        number = first_seed() + seed + REPLACEMENTS.index(replacement)
        live(root / str(number), replacement, MOMENTS[number % len(MOMENTS)], number)


@pytest.mark.slow
@pytest.mark.noisy("older than what was acknowledged")
def test_a_series(root: Path) -> None:
    """``VOLFS_PROVE=long``: 2,000 lives."""
    for seed in range(first_seed(), first_seed() + count_rounds(5, 2000)):
        choice = random.Random(seed)
        replacement, moment = choice.choice(REPLACEMENTS), choice.choice(MOMENTS)
        try:
            live(root / str(seed), replacement, moment, seed)
        except BaseException as error:
            error.add_note(f"seed {seed}: {replacement.__name__} before {moment}")
            raise
        subprocess.run(["rm", "-rf", root / str(seed)], check=True)
