"""What a machine has of a store in a bucket: a directory by the store's id, and the machine's own
id in it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from volfs.errors import LocalFileError
from volfs.store.identity import make_id
from volfs.store.location import state_directory
from volfs.system.files import replace_file

STORES = "stores"
MACHINE = "machine"
ADDRESS = "address"
HOLDS = "holds"
CACHE = "cache"


def open_local(store_id: str, url: str) -> Path:
    """This machine's directory of a store; it is made if it is not there. LocalFileError."""
    state = state_directory()
    if state is None:
        raise LocalFileError("no home directory, and no VOLFS_STATE_DIR: nowhere for sessions")
    directory = state / STORES / store_id
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / HOLDS).touch(mode=0o600)
        _note_address(directory / ADDRESS, url)
    except OSError as error:
        raise LocalFileError(f"{directory}: {error.strerror}") from error
    return directory


def find_local(url: str) -> Path | None:
    """This machine's directory of the store that was last opened at an address, found without
    asking the bucket. None if there is none."""
    state = state_directory()
    try:
        found = list((state / STORES).iterdir()) if state else []
    except OSError:
        return None
    return next((each for each in found if _read_address(each / ADDRESS) == url), None)


def _note_address(file: Path, url: str) -> None:
    """Note by which address a store was opened last. Only a hint."""
    if _read_address(file) != url:
        replace_file(file, url.encode("utf-8", "surrogateescape"), durable=False)


def _read_address(file: Path) -> str | None:
    try:
        return file.read_text("utf-8", "surrogateescape")
    except OSError:
        return None


def read_machine(local: Path) -> str:
    """The id of this machine in a store: random, and made once. LocalFileError."""
    file = local / MACHINE
    try:
        if not file.exists():
            _make_machine(file)
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise LocalFileError(f"{file}: {error}") from error


def _make_machine(file: Path) -> None:
    """Make the file with its whole content at once, unless another process is faster."""
    written = file.with_name(f"{MACHINE}.{os.getpid()}")
    written.write_text(make_id("ma") + "\n", encoding="ascii")
    with suppress(FileExistsError):
        os.link(written, file)
    written.unlink()
