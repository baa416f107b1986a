"""Random operations in several environments: none touches a name of another one.

A model has what is called how. The store is asked after each step, by name and as a whole;
its index is lost and made again from packs and name log, and repaired, in between.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.harness.damage import spoil_rows
from tests.volume.shortcuts import publish_files
from volfs.errors import AlreadyExistsError, NotFoundError
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.gc import collect_garbage
from volfs.volume.recovery import rebuild_store, repair_store
from volfs.volume.volumes import create_volume, delete_volume, fork_volume, rename_volume

ENVIRONMENTS = st.sampled_from(("main", "prod", "dev", "Main"))
NAMES = st.sampled_from(("x", "y", "main", "prod"))
PLACES = st.tuples(ENVIRONMENTS, NAMES)
Place = tuple[str, str]


class Environments(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="volfs-environments-"))
        self.store = open_store(str(self.directory / "store"), create=True)
        self.ids: dict[Place, str] = {}
        self.tags: dict[str, int] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    # --- what users do ---------------------------------------------------

    @rule(at=PLACES, network=st.booleans())
    def create(self, at: Place, network: bool) -> None:
        try:
            made = create_volume(self.store, at[1], network=network, environment=at[0])
        except AlreadyExistsError:
            assert at in self.ids
        else:
            assert at not in self.ids
            self.ids[at] = made.id

    @rule(at=PLACES)
    def delete(self, at: Place) -> None:
        try:
            network = self.store.refs.get_volume(at[1], at[0]).is_network
            delete_volume(self.store, at[1], network=network, environment=at[0])
        except NotFoundError:
            assert at not in self.ids
        else:
            self.tags.pop(self.ids.pop(at), None)

    @rule(at=PLACES, to=PLACES)
    def rename(self, at: Place, to: Place) -> None:
        try:
            rename_volume(self.store, at[1], to[1], at[0], to[0])
        except NotFoundError:
            assert at not in self.ids
        except AlreadyExistsError:
            assert to in self.ids
        else:
            assert to not in self.ids
            self.ids[to] = self.ids.pop(at)

    @rule(at=PLACES, to=PLACES)
    def fork(self, at: Place, to: Place) -> None:
        if at not in self.ids:
            return
        source = self.store.refs.get_volume(at[1], at[0])
        head = self.store.refs.get_head(source.id)
        try:
            made = fork_volume(self.store, source, to[1], head, to[0])
        except AlreadyExistsError:
            assert to in self.ids
        else:
            self.ids[to] = made.id

    @rule(old=ENVIRONMENTS, new=ENVIRONMENTS)
    def rename_environment(self, old: str, new: str) -> None:
        moved = {at: (new, at[1]) for at in self.ids if at[0] == old}
        try:
            self.store.refs.rename_environment(old, new)
        except AlreadyExistsError:
            assert set(moved.values()) & self.ids.keys()
        else:
            ids = {moved[at]: self.ids.pop(at) for at in moved}
            assert not ids.keys() & self.ids.keys()
            self.ids |= ids

    @rule(at=PLACES)
    def publish_and_tag(self, at: Place) -> None:
        if at in self.ids:
            volume = self.store.refs.get_volume(at[1], at[0])
            publish_files(self.store, volume, {"f": "/".join(at).encode()})
            version = self.store.refs.get_head(volume.id).version
            self.store.refs.put_tag(volume.id, "t", version, move=True)
            self.tags[volume.id] = version

    # --- what befalls the store ------------------------------------------

    @rule()
    def collect(self) -> None:
        collect_garbage(self.store)

    @rule(table=st.sampled_from((b"volumes", b"names")))
    def spoil(self, table: bytes) -> None:
        spoil_rows(self.store, table, -1)
        repair_store(self.store)

    @rule()
    @precondition(lambda self: self.ids)
    def lose_the_index(self) -> None:
        """What was deleted may come back, under a name that no other volume has."""
        collect_garbage(self.store)
        url = self.store.url
        self.store.close()
        shutil.rmtree(Path(url, "index"))
        rebuild_store(url)
        self.store = open_store(url)
        for record in self.store.refs.list_volumes():
            if record.id not in self.ids.values():
                assert (record.environment, record.name) not in self.ids
                self.store.refs.delete_volume(record.name, environment=record.environment)

    # --- what must be true -----------------------------------------------

    @invariant()
    def each_name_leads_to_its_own(self) -> None:
        found = {(r.environment, r.name): r.id for r in self.store.refs.list_volumes()}
        assert found == self.ids
        for (environment, name), volume_id in self.ids.items():
            assert self.store.refs.get_volume(name, environment).id == volume_id
            tag = dict(self.store.refs.list_tags(volume_id)).get("t")
            assert tag == self.tags.get(volume_id)

    @invariant()
    def it_is_whole(self) -> None:
        report = check_store(self.store)
        assert report.is_clean, report


TestEnvironments = Environments.TestCase
TestEnvironments.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
