"""The keys of all objects of a store, below the folder that the store's address names.

A number is 16 hexadecimal digits, so listings are in the order of numbers. Checkpoints have the
complement of their number, so the newest comes first in a listing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from blake3 import blake3

from volfs.model.text import from_stored, to_stored

DIGITS = 16
LAST_NUMBER = (1 << 64) - 1
PACK_NAME_SIZE = 16
"""Random bytes in the name of a pack, a segment or a piece."""

FACTS = "volfs.json"
"""The object that is made last when a store is made: a store is there if this object is."""
CATALOG = "catalog"
GC = "gc"
SECRETS = "secrets"
VOLUMES = "v/"
PACKS = "packs/"
LEASES = "leases/"
LONGEST = 200
"""Characters of the name of a lease's log. A session whose name is longer is named by its hash."""
HASHED = "="
"""Begins a name that is a hash: no session's name begins so, because it is quoted."""
NOTES = "repairs/"
"""Notes of repairs."""
PROBES = "probe/"
"""Objects that a probe makes, and deletes."""

_NUMBER = re.compile(r"[0-9a-f]{16}")
_VOLUME = re.compile(r"(?:vo|sv)-[0-9A-Za-z]{22}")
_RANDOM = re.compile(r"[a-z2-7]{26}")


class LogPlace:
    """Where one log and its checkpoints are."""

    def __init__(self, lines: str, checkpoints: str) -> None:
        self.lines = lines
        """The beginning of the names of all lines."""
        self.checkpoints = checkpoints

    def __repr__(self) -> str:
        return f"<LogPlace {self.lines}>"

    def line(self, number: int) -> str:
        return self.lines + number_text(number)

    def checkpoint(self, number: int) -> str:
        return self.checkpoints + number_text(LAST_NUMBER - number)

    def find_number(self, key: str) -> int | None:
        """The number of the line with this name. None for any other name."""
        return _find_number(key, self.lines)

    def find_checkpoint_number(self, key: str) -> int | None:
        """The number of the line after which this checkpoint was made."""
        found = _find_number(key, self.checkpoints)
        return None if found is None else LAST_NUMBER - found


def catalog_log() -> LogPlace:
    return _plain_log(CATALOG)


def gc_log() -> LogPlace:
    return _plain_log(GC)


def secrets_log() -> LogPlace:
    return _plain_log(SECRETS)


def volume_log(volume_id: str) -> LogPlace:
    home = volume_home(volume_id)
    return LogPlace(f"{home}log/", f"{home}cp/")


def lease_log(session: str) -> LogPlace:
    """The log of a session's lease. It has no checkpoints, because only its last line counts."""
    stored = to_stored(session)
    digest = blake3(stored.encode()).hexdigest()
    name = quote(stored, safe="")
    if len(name) > LONGEST:
        name = HASHED + digest
    return LogPlace(f"{LEASES}{digest[:2]}/{name}/", "")


def find_lease_session(lines: str) -> str | None:
    """The session whose lease has its lines in this folder. None if the name is a hash."""
    name = lines.rstrip("/").rpartition("/")[2]
    return None if name.startswith(HASHED) else from_stored(unquote(name))


def volume_home(volume_id: str) -> str:
    """The folder of everything that belongs to one volume."""
    return f"{VOLUMES}{volume_id}/"


def history_name(volume_id: str, number: int) -> str:
    return f"{volume_home(volume_id)}h/{number_text(number)}"


def newest_name(volume_id: str, name: str) -> str:
    """The history segment of a block that is not full yet. A later checkpoint has another."""
    return f"{volume_home(volume_id)}h/{name}"


def segment_name(volume_id: str, name: str) -> str:
    return f"{volume_home(volume_id)}x/{name}"


def piece_name(volume_id: str, name: str) -> str:
    """A piece of the table of a volume's packs."""
    return f"{volume_home(volume_id)}p/{name}"


def pack_key(name: str) -> str:
    return f"{PACKS}{name[:2]}/{name}"


def find_pack_name(key: str) -> str | None:
    """The name of the pack that is stored under this key. None for any other key."""
    name = key.rpartition("/")[2]
    return name if _RANDOM.fullmatch(name) and key == pack_key(name) else None


def find_note_name(key: str) -> str | None:
    """The name of the note of a repair that has this key. None for any other key."""
    name = key.removeprefix(NOTES)
    return name if key.startswith(NOTES) and is_random_name(name) else None


def is_random_name(text: str) -> bool:
    """Whether a pack, a segment or a piece can have this name."""
    return _RANDOM.fullmatch(text) is not None


def find_volume_id(key: str) -> str | None:
    """The id of the volume to which a key belongs. None for any other key."""
    home, _, _ = key.removeprefix(VOLUMES).partition("/")
    return home if key.startswith(VOLUMES) and is_volume_id(home) else None


def is_volume_id(text: str) -> bool:
    """Whether a volume can have this id."""
    return _VOLUME.fullmatch(text) is not None


def make_random_name(random_bytes: Callable[[int], bytes]) -> str:
    """A name that no pack has yet: 26 characters, which stand for 16 random bytes."""
    return base64.b32encode(random_bytes(PACK_NAME_SIZE)).decode().rstrip("=").lower()


def number_text(number: int) -> str:
    """A number as names have it. ValueError if it is none."""
    if not 0 <= number <= LAST_NUMBER:
        raise ValueError(f"{number}: no number of a line")
    return f"{number:0{DIGITS}x}"


def _plain_log(name: str) -> LogPlace:
    return LogPlace(f"{name}/", f"{name}.cp/")


def _find_number(key: str, prefix: str) -> int | None:
    digits = key[len(prefix) :]
    is_ours = key.startswith(prefix) and prefix and _NUMBER.fullmatch(digits)
    return int(digits, 16) if is_ours else None
