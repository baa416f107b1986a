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
