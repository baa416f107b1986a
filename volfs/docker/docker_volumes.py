"""The volumes that Docker knows of one plugin. Each is a file in the state directory.

The files outlive the plugin and the machine's next start, as Docker's own notes do.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import msgspec

from volfs.docker.volume_options import VolumeOptions
from volfs.errors import InvalidNameError, LocalFileError, NotFoundError
from volfs.model.names import join_name
from volfs.model.text_json import decode_json, encode_json
from volfs.store.location import state_directory
from volfs.system.files import replace_file

_ENDING = ".json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


class DockerVolume(msgspec.Struct, frozen=True, omit_defaults=True):
    """A volume of volfs, with the name that Docker has for it."""

    name: str
    store: str
    volume: str
    environment: str
    options: VolumeOptions
    created_ns: int
    created_id: str = ""
    """The volume's id if the plugin has created it; empty if the volume was there before."""

    @property
    def full_name(self) -> str:
        """The volume's name in volfs, with its environment if that is not ``main``."""
        return join_name(self.environment, self.volume)


class DockerVolumes:
    """The volumes of the plugin with the name ``driver``. LocalFileError without a home."""

    def __init__(self, driver: str) -> None:
        state = state_directory()
        if state is None:
            raise LocalFileError("no home directory, and no VOLFS_STATE_DIR: nowhere for notes")
        self._directory = state / "docker" / check_docker_name(driver)

    def find(self, name: str) -> DockerVolume | None:
        """LocalFileError for a file that cannot be read."""
        path = self._path(name)
        try:
            return decode_json(path.read_bytes(), DockerVolume)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LocalFileError(f"{path}: cannot be read: {error}") from error

    def get(self, name: str) -> DockerVolume:
        """NotFoundError; LocalFileError."""
        known = self.find(name)
        if known is None:
            raise NotFoundError(f"no volume {name} of this plugin: `docker volume create` makes it")
        return known

    def list_all(self) -> list[DockerVolume]:
        """All volumes, by name. LocalFileError."""
        try:
            paths = sorted(self._directory.iterdir())
        except FileNotFoundError:
            return []
        # Files whose names begin with a period are being written.
        names = (it.stem for it in paths if it.suffix == _ENDING and _NAME.fullmatch(it.stem))
        return [known for known in map(self.find, names) if known is not None]

    def put(self, known: DockerVolume) -> None:
        """Keep a volume. Durable when this returns. LocalFileError."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path(known.name), encode_json(known))
        except OSError as error:
            raise LocalFileError(f"{self._directory}: {error.strerror}") from error

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        return self._directory / f"{check_docker_name(name)}{_ENDING}"


def check_docker_name(name: str) -> str:
    """Return a name as Docker gives them. InvalidNameError for anything else."""
    if not _NAME.fullmatch(name):
        raise InvalidNameError(
            f"invalid name {name!r}: use letters, digits, '.', '_' and '-', at most 200, the first "
            "one a letter or a digit"
        )
    return name
