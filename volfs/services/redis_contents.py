"""The contents of Dicts and Queues on a server, which are there as long as their resources.

The row of a resource and its contents have keys that a cluster may keep apart, so no script sees
both. A *presence* beside the contents says that the resource is there. Whoever finds none looks
for the row, puts the presence, and looks for the row once more. If the resource was removed between
the two looks, the remover may have been there before the presence, so that is taken away again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from volfs.errors import NotFoundError
from volfs.services.resources import DICT, ResourceKind, get_resource
from volfs.store.redis import queue_scripts
from volfs.store.redis.dict_scripts import dict_keys
from volfs.store.redis.queue_scripts import queue_keys
from volfs.store.redis.scripts import presence_key
from volfs.store.redis.table_server import Script, TableServer, Word
from volfs.store.tables import Tables

_MS = 10**6


class RedisContents:
    """Runs scripts on contents, and removes contents."""

    def __init__(
        self, server: TableServer, rows: Tables, now: Callable[[], int] | None = None
    ) -> None:
        """``now``, in nanoseconds since 1970, takes the place of the server's clock."""
        self.server = server
        self._rows = rows
        self._now = now

    def run(
        self,
        script: Script,
        kind: ResourceKind,
        resource_id: str,
        keys: Sequence[Word],
        words: Sequence[Word],
    ) -> Any:
        """The answer of a script, which gets the time and then ``words``. NotFoundError if the
        resource is gone."""
        now = "" if self._now is None else self._now() // _MS
        while (answer := self.server.run(script, keys, (now, *words))) is None:
            self._put_presence(kind, resource_id)
        return answer

    def _put_presence(self, kind: ResourceKind, resource_id: str) -> None:
        self._rows.read(lambda txn: get_resource(txn, resource_id, kind))
        self.server.call("SET", presence_key(resource_id), kind.noun, changes=True)
        try:
            self._rows.read(lambda txn: get_resource(txn, resource_id, kind))
        except NotFoundError:
            self.remove(resource_id)
            raise

    def remove(self, resource_id: str) -> None:
        """Remove all that a resource contains. It may be repeated."""
        if resource_id.startswith(DICT.prefix):
            self.server.call("UNLINK", *dict_keys(resource_id), changes=True)
        else:
            self.server.run(queue_scripts.REMOVE, queue_keys(resource_id, b""), ("", b""))
