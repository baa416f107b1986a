"""Dicts on a server: the rules of ``dicts``, one script for each call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from volfs.errors import RequestSizeError
from volfs.services.dicts import check_size, check_update, find_term, lost_value
from volfs.services.lifetimes import IDLE_NS, SLACK_NS, Flag
from volfs.services.redis_contents import RedisContents
from volfs.services.resources import DICT
from volfs.store.redis import dict_scripts
from volfs.store.redis.dict_scripts import SWEPT, dict_keys
from volfs.store.redis.table_server import Script, Word

REQUEST_MAX = 256 << 20
"""The most bytes that one update sends: a server closes a connection that asks for more than it
likes to keep."""
_BATCH = 256
_ANSWER = 4 << 20
_MS = 10**6
_IDLE, _TERM = IDLE_NS // _MS, (IDLE_NS + SLACK_NS) // _MS


class RedisDicts:
    """``dicts.Dicts`` on a server."""

    def __init__(self, contents: RedisContents) -> None:
        self._contents = contents

    # --- one key ---------------------------------------------------------

    def find(self, dict_id: str, key: bytes) -> bytes | None:
        return _get_value(dict_id, self._run(dict_scripts.FIND, dict_id, key, _IDLE, _TERM))

    def contains(self, dict_id: str, key: bytes) -> bool:
        return bool(self._run(dict_scripts.CONTAINS, dict_id, key)[0])

    def put(
        self, dict_id: str, key: bytes, value: bytes, *, ttl: float | None, only_new: bool
    ) -> bool:
        check_size(len(value), "Dict.put")
        term_ns, flags = find_term(ttl)
        term, flag = max(1, term_ns // _MS), int(bool(flags & Flag.TTL))
        words = (key, value, term, flag, int(only_new), SWEPT)
        return bool(self._run(dict_scripts.PUT, dict_id, *words)[0])

    def swap(self, dict_id: str, key: bytes, expected: bytes | None, value: bytes) -> bool:
        check_size(len(value), "Dict.put")
        words = (key, int(expected is not None), expected or b"", value, _TERM)
        return bool(self._run(dict_scripts.SWAP, dict_id, *words)[0])

    def pop(self, dict_id: str, key: bytes) -> bytes | None:
        return _get_value(dict_id, self._run(dict_scripts.POP, dict_id, key))

    # --- many ------------------------------------------------------------

    def update(self, dict_id: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        size = check_update(items) + sum(len(key) for key, _ in items)
        if len(items) > 1 and size > REQUEST_MAX:
            raise RequestSizeError(
                f"Dict.update request is too large: {size:,} bytes, at most {REQUEST_MAX:,} at once"
            )
        words = (word for pair in items for word in pair)
        self._run(dict_scripts.UPDATE, dict_id, _TERM, *words)

    def count(self, dict_id: str) -> int:
        return int(self._run(dict_scripts.COUNT, dict_id)[0])

    def iter_keys(self, dict_id: str) -> Iterator[bytes]:
        for batch in self._iter_batches(dict_id):
            yield from batch

    def iter_items(self, dict_id: str) -> Iterator[tuple[bytes, bytes]]:
        for batch in self._iter_batches(dict_id):
            while batch:
                values = self._run(dict_scripts.READ, dict_id, _ANSWER, *batch)
                for key, value in zip(batch, values, strict=False):
                    if value is not None:
                        yield key, value
                batch = batch[len(values) :]

    def clear(self, dict_id: str) -> None:
        self._run(dict_scripts.CLEAR, dict_id)

    def _iter_batches(self, dict_id: str) -> Iterator[list[bytes]]:
        """The keys, each once."""
        cursor, seen = b"0", set[bytes]()
        while True:
            cursor, *keys = self._run(dict_scripts.SCAN, dict_id, cursor, _BATCH)
            new = [key for key in dict.fromkeys(keys) if key not in seen]
            seen.update(new)
            for first in range(0, len(new), _BATCH):
                yield new[first : first + _BATCH]
            if cursor == b"0":
                return

    def _run(self, script: Script, dict_id: str, *words: Word) -> Any:
        return self._contents.run(script, DICT, dict_id, dict_keys(dict_id), words)


def _get_value(dict_id: str, answer: list[bytes | None]) -> bytes | None:
    if not answer:
        return None
    if answer[0] is None:
        raise lost_value(dict_id)
    return answer[0]
