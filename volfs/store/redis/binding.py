"""Whose tables a database keeps: those of one store, or those of all that name one space.

The first store that uses a database writes its identity into it. Another store is refused, so
that nobody finds the names of another store by accident. ``?space=NAME`` in the address says that
the tables are shared by all stores that name the same space.
"""

from __future__ import annotations

import msgspec

from volfs.errors import ConflictError, DamagedObjectError, UnsupportedFormatError
from volfs.model.text import from_stored, to_stored
from volfs.store.identity import default_author
from volfs.store.redis.table_server import Script, TableServer

FORMAT = 1

_CLAIM = Script(
    """
local known = redis.call('GET', KEYS[1])
if known then return known end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
""",
    adds=True,
)


class Binding(msgspec.Struct, frozen=True):
    """What a database says of whose it is."""

    format: int
    store: str
    """The identity of the store; empty for a space."""
    url: str
    made_by: str


def find_tag(space: str) -> str:
    """The beginning of the keys of names, as a hash tag."""
    return f"{{volfs:{space}}}" if space else "{volfs}"


def bind(server: TableServer, store: str, url: str) -> str:
    """Say whose the tables are, or check it. Returns the beginning of their keys.

    ConflictError if they are another store's; UnsupportedFormatError; DamagedObjectError.
    """
    tag, space = find_tag(server.address.space), server.address.space
    who = to_stored(default_author())
    mine = Binding(FORMAT, "", "", who) if space else Binding(FORMAT, store, to_stored(url), who)
    key = f"{tag}:store"
    known = server.call("GET", key) or server.run(_CLAIM, [key], [msgspec.json.encode(mine)])
    _check(server, known, mine.store)
    return tag


def _check(server: TableServer, data: bytes, store: str) -> None:
    where = f"tables {server.address.text_with_space}"
    try:
        stated = msgspec.json.decode(data, type=dict[str, object]).get("format")
        if isinstance(stated, int) and stated > FORMAT:
            raise UnsupportedFormatError(f"{where}: a newer volfs made these tables: update volfs")
        known = msgspec.json.decode(data, type=Binding)
    except ValueError:
        raise DamagedObjectError(
            f"{where}: another program's value is where volfs keeps whose tables these are; use a "
            "database that is volfs's own"
        ) from None
    if known.store != store:
        raise ConflictError(
            f"{where}: keeps the Dicts and Queues of another store, {from_stored(known.url)} of "
            f"{from_stored(known.made_by)}; name another database, or add ?space=NAME to "
            "VOLFS_TABLES of both stores to let them share Dicts and Queues"
        )
