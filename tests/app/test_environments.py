"""An app runs in an environment: what its functions are given, and what they name, is of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import volfs as modal
from volfs.api.resource import ResourceHandle
from volfs.exception import InvalidError

pytestmark = pytest.mark.fuse


def make_app(volume: modal.Volume, secret: modal.Secret) -> tuple[modal.App, modal.Function]:
    app = modal.App()

    @app.function(volumes={"/data": volume}, secrets=[secret], serialized=True)
    def look(text: str) -> dict[str, str]:
        Path("/data/f").write_text(text)
        volume.commit()
        own = modal.Dict.from_name("own", create_if_missing=True)
        own["text"] = text
        return {
            "secret": os.environ["WHERE"],
            "variables": os.environ["VOLFS_ENVIRONMENT"] + os.environ["MODAL_ENVIRONMENT"],
            "id": volume.object_id,
        }

    return app, look


def read(environment: str) -> str:
    volume = modal.Volume.from_name("envs", environment_name=environment)
    return b"".join(volume.read_file("f")).decode()


def test_an_app_in_each_of_two_environments(place: Path) -> None:
    for environment in ("main", "prod"):
        modal.Volume.objects.create("envs", environment_name=environment)
        modal.Secret.objects.create("envs", {"WHERE": environment}, environment_name=environment)
    seen = {}
    for environment in ("prod", None):
        app, look = make_app(modal.Volume.from_name("envs"), modal.Secret.from_name("envs"))
        with app.run(environment_name=environment):
            seen[environment or "main"] = look.remote(f"in {environment}")
    for environment in ("main", "prod"):
        assert seen[environment]["secret"] == environment
        assert seen[environment]["variables"] == environment * 2
        handle: ResourceHandle = modal.Volume.from_name("envs", environment_name=environment)
        assert seen[environment]["id"] == handle.object_id
    assert (read("prod"), read("main")) == ("in prod", "in None")
    assert modal.Dict.from_name("own", environment_name="prod")["text"] == "in prod"
    assert modal.Dict.from_name("own")["text"] == "in None"
    with pytest.raises(InvalidError, match="Invalid Environment name"):
        modal.App("bad").run(environment_name="a/b")


def test_one_app_in_one_environment_after_the_other(place: Path) -> None:
    """Handles that were used belong to the environment of each new run, as on Modal."""
    for environment in ("main", "prod"):
        modal.Volume.objects.create("turns", environment_name=environment)
        modal.Secret.objects.create("turns", {"WHERE": environment}, environment_name=environment)
    volume = modal.Volume.from_name("turns")
    elsewhere = modal.Volume.from_name("turns", environment_name="dev", create_if_missing=True)
    queue = modal.Queue.from_name("turns", create_if_missing=True)
    app = modal.App()

    @app.function(
        volumes={"/data": volume, "/elsewhere": elsewhere},
        secrets=[modal.Secret.from_name("turns")],
        serialized=True,
    )
    def write(text: str) -> str:
        for directory in ("/data", "/elsewhere"):
            Path(directory, text).touch()
        queue.put(text)
        return os.environ["WHERE"]

    def see(environment: str | None = None) -> list[str]:
        found = modal.Volume.from_name("turns", environment_name=environment)
        return [entry.path for entry in found.listdir("/")]

    assert volume.listdir("/") == []  # looked up in ``main``, before anything runs
    for turn, environment in enumerate(("prod", None, "prod", "main")):
        with app.run(environment_name=environment):
            assert len(volume.listdir("/")) == turn // 2, "before the first call"
            assert write.remote(str(turn)) == (environment or "main")
        assert [entry.path for entry in volume.listdir("/")][-1] == str(turn), "afterwards, too"
    assert (see("prod"), see("main")) == (["0", "2"], ["1", "3"])
    assert [entry.path for entry in elsewhere.listdir("/")] == ["0", "1", "2", "3"]
    assert [len(queue), queue.object_id] == [2, modal.Queue.from_name("turns").object_id]
    assert modal.Queue.from_name("turns", environment_name="prod").len() == 2
