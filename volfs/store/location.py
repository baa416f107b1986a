"""Which store and which environment a program means, with or without being told."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from volfs.errors import InvalidError, InvalidNameError, NotAStoreError
from volfs.model.names import MAIN, check_environment
from volfs.store.address import parse_address
from volfs.system.files import replace_file
from volfs.system.user_directories import find_user_directory

ENVIRONMENT_VARIABLES = ("VOLFS_ENVIRONMENT", "MODAL_ENVIRONMENT")
ENVIRONMENT_KEY = "environment"


def default_store() -> str:
    """The directory of the store if nobody names another. NotAStoreError without a home."""
    if os.geteuid() == 0:
        return "/var/lib/volfs"
    data = find_user_directory("XDG_DATA_HOME", ".local/share")
    if data is None:
        raise NotAStoreError("no home directory, and no VOLFS_STORE: name a store")
    return str(data)


def choose_store(named: str | None = None) -> str:
    """The named store, else ``VOLFS_STORE``, else the default. A directory comes as an absolute
    path.

    NotAStoreError for a text that cannot be an address.
    """
    return parse_address(named or os.environ.get("VOLFS_STORE") or default_store()).text


def choose_environment(named: str | None = None) -> str:
    """The named environment, else what ``VOLFS_ENVIRONMENT``, ``MODAL_ENVIRONMENT`` or the
    user's configuration says, else ``main``.

    InvalidNameError; InvalidError for a configuration that cannot be read.
    """
    if named:
        return check_environment(named)
    for variable in ENVIRONMENT_VARIABLES:
        if said := os.environ.get(variable):
            return _check_said(variable, said)
    said = load_config().get(ENVIRONMENT_KEY)
    return _check_said(str(config_file()), said) if said else MAIN


def _check_said(where: str, said: str) -> str:
    try:
        return check_environment(said)
    except InvalidNameError as error:
        raise InvalidNameError(f"{where}: {error}") from None


def config_file() -> Path | None:
    """The user's configuration file, which may be absent. None if the user has no home
    directory."""
    if named := os.environ.get("VOLFS_CONFIG_PATH"):
        return Path(named)
    config = find_user_directory("XDG_CONFIG_HOME", ".config")
    return None if config is None else config / "config.toml"


def load_config() -> dict[str, str]:
    """The settings in the configuration. InvalidError for a key or a value without a meaning."""
    file = config_file()
    if file is None or not _is_reachable(file):
        return {}
    try:
        said = tomllib.loads(file.read_text())
    except OSError as error:
        raise InvalidError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidError(f"{file}: {error}") from error
    for key, value in said.items():
        if key != ENVIRONMENT_KEY or not isinstance(value, str):
            raise InvalidError(f'{file}: {key}: only `{ENVIRONMENT_KEY} = "NAME"` has a meaning')
    return said


def _is_reachable(file: Path) -> bool:
    """Whether the file is there. A file in a home that is closed to us counts as absent, because
    it is not ours."""
    try:
        file.stat()
    except OSError:
        return False
    return True


def save_environment(name: str) -> Path:
    """Write the environment into the configuration, and return the file. InvalidError."""
    check_environment(name)
    load_config()  # A configuration with an error is not overwritten.
    file = config_file()
    if file is None:
        raise InvalidError("no home directory, and no VOLFS_CONFIG_PATH: nowhere to keep it")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(file, f'{ENVIRONMENT_KEY} = "{name}"\n'.encode(), mode=0o666)
    return file


def state_directory() -> Path | None:
    """The directory of this user's notes about stores, outside of the stores. None if the user has
    no home directory."""
    named = os.environ.get("VOLFS_STATE_DIR")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/volfs-state")
    return find_user_directory("XDG_STATE_HOME", ".local/state")
