"""``volfs.Volume`` as the reference has it: handles, objects, mount options."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import cloudpickle
import pytest

import volfs as modal
from tests.api.conftest import finish, start
from volfs.api import client
from volfs.api.known_volumes import KnownVolumes
from volfs.api.volume import MountChoice
from volfs.services.resources import EPHEMERAL_NS
from volfs.store.clock import Moment, read_moment

not_found = modal.exception.NotFoundError
invalid = modal.exception.InvalidError


@pytest.fixture
def volume() -> modal.Volume:
    return modal.Volume.from_name("data", create_if_missing=True)


# --- which ------------------------------------------------------------------


def test_handles_are_lazy(store: Path) -> None:
    missing = modal.Volume.from_name("data")
    assert missing.name == "data"
    assert not store.exists()
    with pytest.raises(not_found, match="Volume 'data' not found"):
        missing.hydrate()
    modal.Volume.objects.create("other")
    with pytest.raises(not_found, match="Volume 'data' not found in environment 'main'"):
        missing.hydrate()
    modal.Volume.from_name("data", create_if_missing=True).hydrate()
    assert missing.hydrate() is missing
    assert re.fullmatch(r"vo-[0-9A-Za-z]{22}", missing.object_id)
    with pytest.raises(invalid, match="constructor is not allowed"):
        modal.Volume()


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "ap-" + "x" * 22, "a\n"])
def test_bad_names(name: str) -> None:
    for make in (modal.Volume.from_name, modal.Volume.objects.create):
        with pytest.raises(invalid, match="Invalid Volume name"):
            make(name)


def test_ids_stay_when_names_change(volume: modal.Volume) -> None:
    volume_id = volume.object_id
    modal.Volume.rename("data", "renamed")
    by_id = modal.Volume.from_id(volume_id)
    assert by_id.name is None
    assert by_id.info().name == by_id.name == "renamed"
    assert modal.Volume.from_name("renamed").object_id == volume.object_id
    with pytest.raises(not_found, match="'data' not found"):
        modal.Volume.rename("data", "x")
    modal.Volume.objects.create("x")
    with pytest.raises(modal.exception.AlreadyExistsError):
        modal.Volume.rename("x", "renamed")
    with pytest.raises(invalid):
        modal.Volume.rename("x", "a b")
    with pytest.raises(not_found):
        modal.Volume.from_id("vo-" + "0" * 22).hydrate()


def test_objects(volume: modal.Volume) -> None:
    assert modal.Volume.objects.list() == []
    volume.hydrate()
    modal.Volume.objects.create("two", version=1)
    with pytest.raises(modal.exception.AlreadyExistsError, match="'two' already exists"):
        modal.Volume.objects.create("two")
    modal.Volume.objects.create("two", allow_existing=True)
    assert [each.name for each in modal.Volume.objects.list()] == ["two", "data"]
    assert [each.name for each in modal.Volume.objects.list(max_objects=1)] == ["two"]
    assert modal.Volume.objects.list(created_before="2020-01-01") == []
    info = volume.info()
    assert (info.name, info.created_at.tzinfo is not None) == ("data", True)
    modal.Volume.objects.delete("two")
    modal.Volume.objects.delete("two", allow_missing=True)
    with pytest.raises(not_found):
        modal.Volume.objects.delete("two")
    assert [each.name for each in modal.Volume.objects.list()] == ["data"]


def test_versions() -> None:
    modal.Volume.objects.create("one", version=1)
    modal.Volume.objects.create("new")
    for name, version in (("one", 1), ("new", 2)):
        modal.Volume.from_name(name, version=version).hydrate()
    wrong = (
        "Volume 'one' exists but has version v1, not v2 as requested. To access this Volume, "
        "either omit the version parameter or use the correct version."
    )
    for create in (False, True):
        with pytest.raises(invalid, match=wrong):
            modal.Volume.from_name("one", version=2, create_if_missing=create).hydrate()
    strange = modal.Volume.from_name("one", version=3)
    with pytest.raises(invalid, match="VolumeFS version must be either 1 or 2"):
        strange.hydrate()
    with pytest.raises(invalid, match="VolumeFS version must be either 1 or 2"):
        modal.Volume.objects.create("three", version=3)


def test_ephemeral_volumes() -> None:
    with modal.Volume.ephemeral(version=1) as volume:
        assert volume.name is None
        assert volume.object_id.startswith("vo-")
        assert modal.Volume.objects.list() == []
        assert modal.Volume.from_id(volume.object_id).hydrate().name is None
        program = Path(sys.executable).parent / "volfs"
        assert subprocess.check_output([program, "list"]) == b""
    with pytest.raises(not_found):
        modal.Volume.from_id(volume.object_id).hydrate()


def test_ephemeral_volumes_of_the_dead() -> None:
    left = start(
        """
        volume = modal.Volume.ephemeral().__enter__()
        print(volume.object_id, flush=True)
        os._exit(0)
        """
    )
    volume = modal.Volume.from_id(finish(left).strip())
    with modal.Volume.ephemeral():
        volume.info()
    steady, wall_ns = read_moment()
    lapsed = Moment(steady._replace(ns=steady.ns + EPHEMERAL_NS), wall_ns)
    later = KnownVolumes(client.find_client(), moment=lambda: lapsed)
    other = later.create_ephemeral("main")
    with pytest.raises(not_found):
        volume.info()
    later.delete_by_id(other.id)


# --- other processes --------------------------------------------------------


def test_handles_are_pickled_by_reference(volume: modal.Volume, tmp_path: Path) -> None:
    handles = [
        volume.with_mount_options(read_only=True, sub_path="a"),
        volume.read_only(),
        modal.Dict.from_name("d", create_if_missing=True),
        modal.Queue.from_name("q", create_if_missing=True),
    ]
    modal.Secret.objects.create("s", {"A": "b"})
    handles.append(modal.Secret.from_name("s"))
    data = cloudpickle.dumps(handles)
    (tmp_path / "pickled").write_bytes(data)
    copies = pickle.loads(data)
    assert [each.object_id for each in copies] == [each.object_id for each in handles]
    assert [each.mount_choice for each in copies[:2]] == [
        MountChoice(True, "/a"),
        MountChoice(True),
    ]
    child = start(
        """
        import pickle
        os.environ["VOLFS_STORE"] = "/nowhere"
        for each in pickle.load(open(sys.argv[1], "rb")):
            print(each.info().name)
        """,
        str(tmp_path / "pickled"),
    )
    assert finish(child).split() == ["data", "data", "d", "q", "s"]


def test_after_a_fork(volume: modal.Volume) -> None:
    name = volume.info().name
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = int(volume.info().name != name)
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert volume.info().name == name


def test_a_store_in_use_is_not_taken_away_by_a_fork(volume: modal.Volume) -> None:
    volume.hydrate()
    with client.find_client().store() as store:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert [each.name for each in store.refs.list_volumes()] == ["data"]


# --- how containers mount it ------------------------------------------------


def test_mount_options_add_up(volume: modal.Volume) -> None:
    assert volume.mount_choice == MountChoice()
    one = volume.with_mount_options(read_only=True)
    two = one.with_mount_options(sub_path="/users/a/")
    assert one.mount_choice == MountChoice(True)
    assert two.mount_choice == MountChoice(True, "/users/a")
    three = two.with_mount_options(read_only=False, sub_path=PurePosixPath("b"))
    assert three.mount_choice == MountChoice(False, "/b")
    assert three.with_mount_options(sub_path="/").mount_choice == MountChoice()
    assert volume.mount_choice == MountChoice()
    assert three.name == "data"
    assert three.object_id == volume.object_id
    with pytest.raises(invalid):
        volume.with_mount_options(sub_path="../a")


def test_read_only_handles(volume: modal.Volume) -> None:
    handle = volume.read_only()
    assert handle.mount_choice == MountChoice(read_only=True)
    with pytest.raises(
        invalid, match=r"Cannot call with_mount_options\(\) on a Volume that has .read_only\(\)"
    ):
        handle.with_mount_options(sub_path="/a")
    with pytest.raises(
        invalid, match=r"Cannot call read_only\(\) on a Volume that has with_mount_options\(\)"
    ):
        volume.with_mount_options(read_only=True).read_only()


# --- no mount ---------------------------------------------------------------


def test_commit_and_reload_where_nothing_is_mounted(volume: modal.Volume) -> None:
    volume.hydrate()
    with pytest.raises(
        RuntimeError, match=r"^reload\(\) can only be called from within a running function"
    ):
        volume.reload()
    with pytest.raises(RuntimeError, match="volfs mount data DIRECTORY"):
        volume.commit()
    with pytest.raises(not_found):
        modal.Volume.from_name("missing").commit()
    modal.Volume.objects.delete("data")
    with pytest.raises(RuntimeError, match="deleted"):
        volume.commit()


def test_persist_of_dict_and_queue() -> None:
    for kind in (modal.Dict, modal.Queue):
        with pytest.warns(modal.exception.DeprecationError, match=f"{kind.__name__}.persist"):
            assert kind.persist("p").hydrate().name == "p"
