"""``environment_name=``: the same name in two environments is two things, of every kind."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import volfs as modal
from volfs.api.client import Client, in_environment
from volfs.api.environments import KnownEnvironments
from volfs.api.secret import read_environment
from volfs.services.environments import Environments

on_both = pytest.mark.usefixtures("kept")

not_found = modal.exception.NotFoundError
exists = modal.exception.AlreadyExistsError
invalid = modal.exception.InvalidError
KINDS: list[Any] = [modal.Volume, modal.NetworkFileSystem, modal.Dict, modal.Queue, modal.Secret]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("VOLFS_CONFIG_PATH", str(path))
    return path


def make(kind: Any, name: str, environment: str | None, client: Client | None = None) -> str:
    """Its id."""
    where = {"environment_name": environment, "client": client}
    if kind is modal.Secret:
        kind.objects.create(name, {"A": environment or "main"}, **where)
        made = kind.from_name(name, **where)
    else:
        made = kind.from_name(name, create_if_missing=True, **where)
    return str(made.object_id)


def find(kind: Any, name: str, environment: str | None) -> str:
    return str(kind.from_name(name, environment_name=environment).object_id)


def remove(kind: Any, name: str, environment: str | None) -> None:
    delete = kind.delete if kind is modal.NetworkFileSystem else kind.objects.delete
    delete(name, environment_name=environment)


@on_both
@kinds
def test_a_name_in_two_environments(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    main, prod = make(kind, "x", None), make(kind, "x", "prod")
    assert main != prod
    assert (find(kind, "x", "main"), find(kind, "x", "prod")) == (main, prod)
    with pytest.raises(not_found, match="'x' not found in environment 'dev'"):
        find(kind, "x", "dev")
    monkeypatch.setenv("MODAL_ENVIRONMENT", "prod")
    assert find(kind, "x", None) == prod
    monkeypatch.setenv("VOLFS_ENVIRONMENT", "main")
    assert find(kind, "x", None) == main
    with in_environment("prod"):
        assert (find(kind, "x", None), find(kind, "x", "main")) == (prod, main)
    if kind is not modal.NetworkFileSystem:
        names = [one.object_id for one in kind.objects.list(environment_name="prod")]
        assert names == [prod]
        assert kind.objects.list(environment_name="dev") == []
        with pytest.raises(not_found, match="in environment 'dev'"):
            kind.objects.delete("x", environment_name="dev")
    remove(kind, "x", "prod")
    assert find(kind, "x", None) == main
    with pytest.raises(not_found):
        find(kind, "x", "prod")


@kinds
def test_a_bad_environment(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/b", "-", "en-1", "x" * 65):
        with pytest.raises(invalid, match="Invalid Environment name"):
            kind.from_name("x", environment_name=name)
    monkeypatch.setenv("MODAL_ENVIRONMENT", "../main")
    with pytest.raises(invalid, match="MODAL_ENVIRONMENT: Invalid Environment name"):
        find(kind, "x", None)


def test_the_environment_is_seen_at_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = modal.Dict.from_name("d", create_if_missing=True)
    monkeypatch.setenv("MODAL_ENVIRONMENT", "prod")
    handle["k"] = 1
    monkeypatch.delenv("MODAL_ENVIRONMENT")
    assert handle["k"] == 1
    assert modal.Dict.objects.list() == []
    assert modal.Dict.from_name("d", environment_name="prod")["k"] == 1


def test_the_configuration_comes_last(configuration: Path) -> None:
    configuration.write_text('environment = "prod"\n')
    made = make(modal.Volume, "x", None)
    assert find(modal.Volume, "x", "prod") == made
    configuration.write_text("environment = 1\n")
    with pytest.raises(invalid, match=r"config\.toml: environment: only"):
        find(modal.Volume, "x", None)
    assert find(modal.Volume, "x", "prod") == made
    configuration.write_text("environment = \n")
    with pytest.raises(invalid, match=r"config\.toml: Invalid"):
        modal.Volume.objects.list()


def test_volumes_stay_in_their_environment() -> None:
    make(modal.Volume, "x", None)
    prod = make(modal.Volume, "x", "prod")
    volume = modal.Volume.from_name("x", environment_name="prod")
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(b"prod"), "f")
    assert modal.Volume.from_name("x").listdir("/") == []
    fork = volume.fork("y")
    assert find(modal.Volume, "y", "prod") == fork.object_id
    other = volume.fork("x", environment_name="dev")
    assert b"".join(other.read_file("f")) == b"prod"
    assert find(modal.Volume, "x", "dev") == other.object_id
    modal.Volume.rename("x", "z", environment_name="prod")
    assert find(modal.Volume, "z", "prod") == prod
    with pytest.raises(not_found, match="'x' not found in environment 'prod'"):
        modal.Volume.rename("x", "z", environment_name="prod")
    with pytest.raises(exists):
        modal.Volume.rename("z", "y", environment_name="prod")
    with pytest.raises(exists, match="in environment 'prod'"):
        modal.Volume.objects.create("y", environment_name="prod")
    with pytest.raises(invalid, match="already exists as a Volume"):
        find(modal.NetworkFileSystem, "y", "prod")


@on_both
@pytest.mark.parametrize("kind", KINDS[:4], ids=lambda kind: kind.__name__)
def test_ephemeral_ones_make_no_environment(kind: Any) -> None:
    with kind.ephemeral(environment_name="prod") as made:
        assert made.object_id
        assert [one.name for one in modal.Environment.objects.list()] == ["main"]
    with pytest.raises(not_found):
        modal.Environment.from_name("prod").hydrate()


@on_both
def test_environments() -> None:
    objects = modal.Environment.objects
    assert [one.name for one in objects.list()] == ["main"]
    objects.create("empty")
    with pytest.raises(exists, match="Environment 'empty' already exists"):
        objects.create("empty")
    for name in ("a.b", "en-x", "", "a/b"):
        with pytest.raises(invalid):
            objects.create(name)
    main = [make(kind, "x" if kind is not modal.NetworkFileSystem else "n", None) for kind in KINDS]
    for kind in KINDS:
        make(kind, "x" if kind is not modal.NetworkFileSystem else "n", "prod")
    with pytest.raises(exists):
        objects.create("prod")
    assert [one.name for one in objects.list()] == ["empty", "main", "prod"]
    assert modal.Environment.from_name("dev", create_if_missing=True).hydrate().name == "dev"
    assert modal.Environment.from_context().name == "main"
    for name in ("prod", "dev", "empty"):
        objects.delete(name)
    with pytest.raises(not_found):
        objects.delete("prod")
    with pytest.raises(invalid, match="always there"):
        objects.delete("main")
    assert [one.name for one in objects.list()] == ["main"]
    assert main == [
        find(kind, "x" if kind is not modal.NetworkFileSystem else "n", "main") for kind in KINDS
    ]


def test_functions_of_the_module(store: Path, tmp_path: Path) -> None:
    """They act on what ``volfs environment`` shows, and on another store with ``client=``."""
    module = modal.environments
    module.create_environment("prod")
    make(modal.Dict, "x", "prod")
    with pytest.raises(exists):
        asyncio.run(module.create_environment.aio("prod"))
    module.update_environment("prod", new_name="live", new_web_suffix="ignored")
    assert find(modal.Dict, "x", "live")
    with pytest.raises(not_found):
        module.update_environment("prod", new_name="other")
    with closing(Client(str(tmp_path / "other"))) as other:
        assert [one.name for one in module.list_environments(client=other)] == ["main"]
        module.create_environment("dev", client=other)
        assert modal.Environment.from_name("dev", client=other).hydrate().client is other
    assert [one.name for one in asyncio.run(module.list_environments.aio())] == ["live", "main"]
    module.delete_environment("live")
    with pytest.raises(not_found):
        find(modal.Dict, "x", "live")
    for name, error in (("live", not_found), ("main", invalid)):
        with pytest.raises(error):
            asyncio.run(module.delete_environment.aio(name))


@on_both
def test_a_renamed_environment_has_all_it_had(store: Path) -> None:
    ids = {kind: make(kind, kind.__name__, "prod") for kind in KINDS}
    secret = modal.Secret.from_name("Secret", environment_name="prod").hydrate()
    with modal.Dict.ephemeral(environment_name="prod") as short:
        short["k"] = 1
        KnownEnvironments(Client(str(store))).rename("prod", "live")
        assert short["k"] == 1
    assert {kind: find(kind, kind.__name__, "live") for kind in KINDS} == ids
    assert read_environment([secret]) == {"A": "prod"}
    assert secret.info().environment_name == "live"
    secret.update({"B": "c"})
    again = modal.Secret.from_name("Secret", environment_name="live")
    assert read_environment([again]) == {"A": "prod", "B": "c"}
    assert [one.name for one in modal.Environment.objects.list()] == ["live", "main"]


def test_renaming_without_the_key_changes_nothing(store: Path, tmp_path: Path) -> None:
    make(modal.Secret, "s", "prod")
    make(modal.Volume, "x", "prod")
    key = tmp_path / "store.secret-key"
    key.rename(tmp_path / "away")
    known = KnownEnvironments(Client(str(store)))
    with pytest.raises(modal.exception.PermissionDeniedError):
        known.rename("prod", "live")
    assert [found.name for found in known.list_all()] == ["main", "prod"]
    (tmp_path / "away").rename(key)
    known.rename("prod", "live")
    assert find(modal.Volume, "x", "live")


@on_both
@pytest.mark.parametrize("died_before_the_server", [False, True])
def test_renaming_that_has_begun_is_finished_first(
    store: Path, died_before_the_server: bool
) -> None:
    volume, made = make(modal.Volume, "x", "prod"), make(modal.Dict, "d", "prod")
    make(modal.Dict, "d", "dev")
    client = Client(str(store))
    tables, shared = client.tables(), client.shared()
    Environments(tables, tables if died_before_the_server else shared).begin_rename("prod", "live")
    with pytest.raises(modal.exception.ConflictError, match="is being renamed from 'prod'"):
        Environments(tables, shared).begin_rename("dev", "live")
    client.close()
    known = KnownEnvironments(Client(str(store)))
    with pytest.raises(exists):
        known.rename("dev", "live")
    assert find(modal.Volume, "x", "prod") == volume
    assert died_before_the_server or find(modal.Dict, "d", "live") == made
    known.rename("prod", "live")
    assert (find(modal.Volume, "x", "live"), find(modal.Dict, "d", "live")) == (volume, made)
    known.rename("live", "prod")
    assert find(modal.Dict, "d", "prod") == made


# --- random operations ------------------------------------------------------

PLACES = st.tuples(
    st.sampled_from(KINDS), st.sampled_from(("main", "prod", "dev")), st.sampled_from(("x", "y"))
)
Place = tuple[Any, str, str]


class Machine(RuleBasedStateMachine):
    """What a model says that there is, is there, and nothing else."""

    make_client: Callable[[], Client]

    def __init__(self) -> None:
        super().__init__()
        self.client = type(self).make_client()
        self.client.tables(create=True)
        self.ids: dict[Place, str] = {}

    def teardown(self) -> None:
        self.client.close()

    def name_of(self, at: Place) -> str:
        """Network file systems and volumes share their names."""
        return f"n{at[2]}" if at[0] is modal.NetworkFileSystem else at[2]

    @rule(at=PLACES)
    def create(self, at: Place) -> None:
        if at not in self.ids:
            self.ids[at] = make(at[0], self.name_of(at), at[1], self.client)

    @rule(at=PLACES)
    def delete(self, at: Place) -> None:
        kind, environment, _ = at
        delete = kind.delete if kind is modal.NetworkFileSystem else kind.objects.delete
        try:
            delete(self.name_of(at), environment_name=environment, client=self.client)
        except not_found:
            assert at not in self.ids
        else:
            del self.ids[at]

    @rule(old=st.sampled_from(("prod", "dev")), new=st.sampled_from(("prod", "dev", "live")))
    def rename(self, old: str, new: str) -> None:
        known = KnownEnvironments(self.client)
        before = {found.name for found in known.list_all()}
        try:
            known.rename(old, new)
        except not_found:
            assert old not in before
        except exists:
            assert new in before
        else:
            moved = {at: (at[0], new, at[2]) for at in self.ids if at[1] == old}
            self.ids = {moved.get(at, at): one for at, one in self.ids.items()}

    @rule(name=st.sampled_from(("prod", "dev", "live")))
    def delete_environment(self, name: str) -> None:
        try:
            KnownEnvironments(self.client).delete(name)
        except not_found:
            assert all(at[1] != name for at in self.ids)
        self.ids = {at: one for at, one in self.ids.items() if at[1] != name}

    @invariant()
    def each_name_leads_to_its_own(self) -> None:
        for environment in ("main", "prod", "dev", "live"):
            for kind in KINDS:
                known = kind._open(self.client)
                there = {one.name: one.id for one in known.list_all(environment)}
                wanted = {
                    self.name_of(at): one
                    for at, one in self.ids.items()
                    if (at[0], at[1]) == (kind, environment)
                }
                assert there == wanted


def test_no_operation_touches_another_environment(
    tmp_path_factory: pytest.TempPathFactory, kept: str
) -> None:
    def make_client() -> Client:
        if kept == "redis":
            redis.Redis.from_url(os.environ["VOLFS_TABLES"]).flushall()
        return Client(str(tmp_path_factory.mktemp("environments") / "store"))

    class Here(Machine):
        pass

    Here.make_client = staticmethod(make_client)

    run = Here.TestCase
    run.settings = settings(
        max_examples=10,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run("runTest").runTest()
