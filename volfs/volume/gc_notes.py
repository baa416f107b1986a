"""The note of the last gc that this machine has run on a store, for those who watch the store."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from volfs.errors import LocalFileError
from volfs.store.clock import now_ns
from volfs.store.contract.care import GcReport
from volfs.store.contract.store import Store
from volfs.system.files import replace_file
from volfs.system.small_files import read_small

log = logging.getLogger(__name__)

LONGEST = 1 << 16


class LastGc(msgspec.Struct):
    """When the last gc ended, and what it did."""

    ended_ns: int
    report: GcReport


def note_collection(store: Store, report: GcReport) -> None:
    """Note that gc has ended. Without a note nothing but watching suffers, so errors are only
    logged."""
    path = _find_path(store.local)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(path, msgspec.json.encode(LastGc(now_ns(), report)), durable=False)
    except OSError as error:
        log.debug("note of gc: %s", error)


def find_last_gc(local: Path) -> LastGc | None:
    """The last gc of the store whose directory on this machine is ``local``. None if there was
    none, or its note cannot be read."""
    try:
        return msgspec.json.decode(read_small(_find_path(local), LONGEST), type=LastGc)
    except (OSError, LocalFileError, msgspec.MsgspecError):
        return None


def _find_path(local: Path) -> Path:
    return local / "logs" / "last-gc.json"
