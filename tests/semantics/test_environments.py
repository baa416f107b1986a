"""The contract, sentence by sentence: environments."""

from __future__ import annotations

from pathlib import Path

import pytest

import volfs as modal
from tests.harness.mounted import Mounts
from volfs.api.client import Client
from volfs.api.environments import KnownEnvironments
from volfs.daemon.named_mounts import find_targets, get_target
from volfs.daemon.sessions.delete import delete_with_overlays
from volfs.errors import AlreadyExistsError, NotFoundError, VolumeInUseError
from volfs.store.location import choose_environment
from volfs.volume.volumes import create_volume, rename_volume

pytestmark = pytest.mark.fuse


def test_a_name_belongs_to_an_environment(mounts: Mounts) -> None:
    """What is done to a name in one environment is done to nothing of that name in another."""
    store = mounts.store
    main, prod = create_volume(store, "x"), create_volume(store, "x", environment="prod")
    with pytest.raises(AlreadyExistsError):
        create_volume(store, "x", environment="prod")
    client = Client(store.url)
    for kind in () if mounts.bucket else (modal.Dict, modal.Queue):
        for environment in ("main", "prod"):
            kind.objects.create("x", environment_name=environment, client=client)
        kind.objects.delete("x", environment_name="prod", client=client)
        assert kind.from_name("x", environment_name="main", client=client).object_id
    delete_with_overlays(store, "x", environment="prod")
    assert store.refs.get_volume("x") == main
    assert store.refs.find_volume_by_id(prod.id) is None


def test_mounts_are_of_one_environment(mounts: Mounts) -> None:
    """... not to volumes and their mounts."""
    create_volume(mounts.store, "data", environment="prod")
    main, prod = mounts.mount(), mounts.mount(environment="prod")
    for mounted in (main, prod):
        (mounted.path / "f").touch()
    url = mounts.store.url
    get_target("data", url, "prod").commit("", "override", None)
    assert prod.status().version == 1
    assert (main.status().version, main.status().dirty_files > 0) == (0, True)
    assert [target.mount.path for target in find_targets("data", url)] == [str(main.path)]
    with pytest.raises(NotFoundError, match="environment 'main' has one"):
        get_target("data", url, "dev")


def test_which_environment_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, VOLFS_ENVIRONMENT, MODAL_ENVIRONMENT, the configuration; main."""
    config = tmp_path / "config.toml"
    monkeypatch.setenv("VOLFS_CONFIG_PATH", str(config))
    for name in ("VOLFS_ENVIRONMENT", "MODAL_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    assert choose_environment() == "main"
    config.write_text('environment = "a"\n')
    assert choose_environment() == "a"
    monkeypatch.setenv("MODAL_ENVIRONMENT", "b")
    assert choose_environment() == "b"
    monkeypatch.setenv("VOLFS_ENVIRONMENT", "c")
    assert choose_environment() == "c"
    assert choose_environment("d") == "d"


def test_another_name_keeps_everything(mounts: Mounts) -> None:
    """A volume keeps its id, history and mounts, also where its environment is renamed."""
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    mounted.commit()
    rename_volume(mounts.store, "data", "y", to="prod")
    KnownEnvironments(Client(mounts.store.url)).rename("prod", "live")
    (mounted.path / "g").touch()
    assert get_target("y", mounts.store.url, "live").commit("", "override", None).version == 2
    said = mounted.status()
    assert (said.environment, said.volume) == ("live", "y")
    rename_volume(mounts.store, "y", "data", "live", "main")


def test_an_environment_is_deleted_whole_or_not_at_all(mounts: Mounts) -> None:
    """Where a volume of it is mounted or has changes, nothing of it is."""
    store, client = mounts.store, Client(mounts.store.url)
    for name in ("data", "other"):
        create_volume(store, name, environment="prod")
    if not mounts.bucket:
        modal.Dict.objects.create("d", environment_name="prod", client=client)
    mounted = mounts.mount(environment="prod")
    known = KnownEnvironments(client)
    before = known.get("prod")
    with pytest.raises(VolumeInUseError, match=f"prod/data: mounted at {mounted.path}"):
        known.delete("prod")
    assert known.get("prod") == before
    mounted.unmount()
    known.delete("prod")
    assert not known.exists("prod")
    assert [record.environment for record in store.refs.list_volumes()] == ["main"]
