"""What a machine has of a store in a bucket: a directory by the store's id, and the machine's own
id in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from volfs.errors import LocalFileError
from volfs.store.identity import make_id
from volfs.store.location import state_directory
from volfs.system.files import replace_file
from volfs.system.locks import locked_directory

STORES = "stores"
MACHINE = "machine"
ADDRESS = "address"
HARDWARE = (Path("/sys/class/dmi/id/product_uuid"), Path("/etc/machine-id"))
"""Ids that a hypervisor or an installation gives a machine. The first that can be read counts."""
HOLDS = "holds"
CACHE = "cache"
CANARY = f"{CACHE}/canary"
"""Notes that the service has refused the canary."""
REMEMBERED = "logs"
"""In the cache: what is remembered of logs."""


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


def read_machine(local: Path, hardware: str | None = None) -> str:
    """The id of this machine in a store: random, and made once. LocalFileError.

    A machine that was cloned with its disk gets another id than the one that it was cloned from,
    as far as ``hardware`` tells them apart. Otherwise each would take the other's sessions for its
    own, and drop their leases.
    """
    hardware = find_hardware() if hardware is None else hardware
    file = local / MACHINE
    try:
        with locked_directory(local):
            known, _, of = (file.read_text("ascii") if file.exists() else "").strip().partition(" ")
            if known and hardware in ("", of):
                return known
            machine = known if known and not of else make_id("ma")
            replace_file(file, f"{machine} {hardware}".strip().encode() + b"\n")
            return machine
    except (OSError, ValueError) as error:
        raise LocalFileError(f"{file}: {error}") from error


def find_hardware() -> str:
    """What tells this machine from a clone of it; empty if nothing is known."""
    for file in HARDWARE:
        with suppress(OSError):
            said = file.read_bytes().strip()
            if said:
                return blake3(said).hexdigest(length=16)
    return ""
