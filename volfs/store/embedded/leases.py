"""The leases of sessions: what gc keeps for them. Rows: docs/format.md, "Leases"."""

from __future__ import annotations

import msgspec
from blake3 import blake3

from volfs.errors import DamagedObjectError
from volfs.store.base import Lease
from volfs.store.embedded.environment import Environment, Table, Transaction
from volfs.store.embedded.refs import Refs

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Lease)


class Leases:
    """Thread-safe; reads LMDB each time."""

    def __init__(self, environment: Environment, refs: Refs) -> None:
        self._environment = environment
        self._refs = refs
        self._leases: Table = environment.open_table(b"leases")

    def put(self, lease: Lease) -> None:
        # No reserve: reading a store must go on when its disk is full.
        with self._environment.write(reserve=0) as txn:
            self.put_in(txn, lease)

    def put_in(self, txn: Transaction, lease: Lease) -> None:
        """Put it as a part of what else the transaction does. NotFoundError."""
        self._refs.check_versions(txn, lease.volume_id, lease.versions)
        txn.put(_key(lease.session), _encoder.encode(lease), db=self._leases)

    def find(self, session: str) -> Lease | None:
        with self._environment.read() as txn:
            row = txn.get(_key(session), db=self._leases)
        return None if row is None else _decode(row)

    def list_all(self) -> list[Lease]:
        with self._environment.read() as txn:
            return self.list_in(txn)

    def list_in(self, txn: Transaction) -> list[Lease]:
        """All of them, as of the transaction."""
        leases = [_decode(row) for _, row in txn.list_all(self._leases)]
        return sorted(leases, key=lambda lease: lease.session)

    def drop(self, session: str, expected: Lease | None = None) -> None:
        row = None if expected is None else _encoder.encode(expected)
        with self._environment.write(reserve=0) as txn:
            if row is None or txn.get(_key(session), db=self._leases) == row:
                txn.delete(_key(session), db=self._leases)


def _key(session: str) -> bytes:
    """Sessions may be paths, longer than a key of LMDB may be."""
    return blake3(session.encode()).digest()


def _decode(row: bytes) -> Lease:
    try:
        return _decoder.decode(row)
    except ValueError as error:
        raise DamagedObjectError(f"lease: {error}") from error
