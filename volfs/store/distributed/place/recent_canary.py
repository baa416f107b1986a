"""Whether this machine has sent the canary not long ago, with the credentials that it has now.

The canary finds a service that has forgotten its conditions, or credentials that may only read.
Both change seldom, so one canary a day is enough. Nothing relies on the clock: without the note,
the canary is sent once more.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from volfs.system.files import replace_file
from volfs.system.world import World

BELIEVED_NS = 24 * 3600 * 10**9
CREDENTIALS = ("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "VOLFS_STORE", "VOLFS_TOKEN")
FILES = ("~/.aws/credentials", "~/.aws/config")


def is_recent(note: Path, world: World) -> bool:
    """Whether the canary was refused, as it must be, within the last day."""
    try:
        age = world.wall_ns() - note.stat().st_mtime_ns
        return 0 <= age < BELIEVED_NS and note.read_bytes() == _digest_credentials()
    except OSError:
        return False


def note_canary(note: Path) -> None:
    """Note that the canary was refused just now. Raises nothing."""
    with suppress(OSError):
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(note, _digest_credentials(), durable=False)


def _digest_credentials() -> bytes:
    """A digest that changes with the credentials, as far as the environment and files tell."""
    said = sorted(item for item in os.environ.items() if item[0].startswith(CREDENTIALS))
    facts: list[object] = [said, os.geteuid()]
    for name in FILES:
        with suppress(OSError):
            status = Path(name).expanduser().stat()
            facts.append((name, status.st_mtime_ns, status.st_size))
    return blake3(repr(facts).encode("utf-8", "surrogateescape")).digest()
