"""The rows of Dicts and Queues, as ``store.tables.Tables``: names, ids, ephemeral lifetimes.

A table is a hash of its rows and a sorted set of its keys. Each change adds one to a *version*. A
transaction reads rows, notes the version, and gathers its changes; one script applies them if the
version is still the same, and otherwise the transaction runs again. Resources are made and removed
seldom, so this seldom happens; entries and items never go this way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from volfs.store.redis.table_server import Script, TableServer, Word
from volfs.store.tables import Changing, Reading

T = TypeVar("T")

_FIND = Script(
    """
local version = redis.call('GET', KEYS[1]) or '0'
return {version, redis.call('HGET', KEYS[2], ARGV[1])}
""",
    changes=False,
)

_SCAN = Script(
    """
local answer = {redis.call('GET', KEYS[1]) or '0'}
local keys = redis.call('ZRANGE', KEYS[3], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
for _, key in ipairs(keys) do
  answer[#answer + 1] = key
  answer[#answer + 1] = redis.call('HGET', KEYS[2], key)
end
return answer
""",
    changes=False,
)

# The words are the expected version, or nothing; then for each row the number of its table, its
# key, and its value behind a '+', or '-' if the row is to go.
_APPLY_BODY = """
if ARGV[1] ~= '' and (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 0 end
for i = 2, #KEYS, 2 do
  -- A value of another type ends the script here, before it has changed anything.
  redis.call('HLEN', KEYS[i])
  redis.call('ZCARD', KEYS[i + 1])
end
for i = 2, #ARGV, 3 do
  local rows, key, value = tonumber(ARGV[i]) * 2, ARGV[i + 1], ARGV[i + 2]
  if value == '-' then
    redis.call('HDEL', KEYS[rows], key)
    redis.call('ZREM', KEYS[rows + 1], key)
  else
    redis.call('HSET', KEYS[rows], key, string.sub(value, 2))
    redis.call('ZADD', KEYS[rows + 1], 0, key)
  end
end
redis.call('INCR', KEYS[1])
return 1
"""
_APPLY, _REMOVE = Script(_APPLY_BODY, adds=True), Script(_APPLY_BODY)


class _MovedError(Exception):
    """Somebody changed the tables between two reads of a transaction."""


class TableKeys(NamedTuple):
    """The keys of the tables of one space."""

    tag: str

    @property
    def version(self) -> str:
        return f"{self.tag}:version"

    def get(self, table: str) -> tuple[str, str]:
        return f"{self.tag}:rows:{table}", f"{self.tag}:keys:{table}"


class RedisRows:
    """``store.tables.Changing`` whose changes are gathered, not made."""

    def __init__(self, server: TableServer, keys: TableKeys) -> None:
        self._server = server
        self._keys = keys
        self.version: bytes | None = None
        self.changes: dict[tuple[str, bytes], bytes | None] = {}

    def find(self, table: str, key: bytes) -> bytes | None:
        if (table, key) in self.changes:
            return self.changes[table, key]
        version, row = self._server.run(_FIND, [self._keys.version, *self._keys.get(table)], [key])
        self._note(version)
        found: bytes | None = row
        return found

    def scan(self, table: str, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        mine = {key: row for (name, key), row in self.changes.items() if name == table}
        words: list[Word] = [b"[" + first, b"(" + end, min(limit + len(mine), (1 << 31) - 1)]
        keys = [self._keys.version, *self._keys.get(table)]
        version, *flat = self._server.run(_SCAN, keys, words)
        self._note(version)
        rows: dict[bytes, bytes | None] = dict(zip(flat[::2], flat[1::2], strict=True))
        rows |= {key: row for key, row in mine.items() if first <= key < end}
        kept = sorted((key, row) for key, row in rows.items() if row is not None)
        return kept[:limit]

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self.changes[table, key] = value

    def delete(self, table: str, key: bytes) -> bool:
        was_there = self.find(table, key) is not None
        self.changes[table, key] = None
        return was_there

    def delete_range(self, table: str, first: bytes, end: bytes, limit: int | None = None) -> int:
        rows = self.scan(table, first, end, (1 << 30) if limit is None else limit)
        for key, _ in rows:
            self.changes[table, key] = None
        return len(rows)

    def _note(self, version: bytes) -> None:
        if self.version is not None and version != self.version:
            raise _MovedError
        self.version = version


class RedisTables:
    """``store.tables.Tables`` in a database of a server."""

    def __init__(self, server: TableServer, tag: str) -> None:
        self._server = server
        self._keys = TableKeys(tag)

    def read(self, look: Callable[[Reading], T]) -> T:
        while True:
            try:
                return look(RedisRows(self._server, self._keys))
            except _MovedError:
                continue  # Somebody else got on, so this ends.

    def change(self, act: Callable[[Changing], T], adds: int | None = 0) -> T:
        while True:
            rows = RedisRows(self._server, self._keys)
            try:
                result = act(rows)
            except _MovedError:
                continue
            if not rows.changes or self._apply(rows, _REMOVE if adds is None else _APPLY):
                return result

    def _apply(self, rows: RedisRows, script: Script) -> bool:
        names = sorted({table for table, _ in rows.changes})
        keys = [self._keys.version, *(key for name in names for key in self._keys.get(name))]
        words: list[Word] = [b"" if rows.version is None else rows.version]
        for (table, key), row in rows.changes.items():
            words += [names.index(table) + 1, key, b"-" if row is None else b"+" + row]
        return bool(self._server.run(script, keys, words))
