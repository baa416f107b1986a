"""The leases of sessions: what gc keeps for them. Rows: docs/format.md, "Leases"."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec
from blake3 import blake3

from volfs.errors import DamagedObjectError
from volfs.model.text import from_stored, to_bytes, to_stored
from volfs.store.checked_lmdb.checksum import CHECKSUM_SIZE
from volfs.store.checked_lmdb.environment import LmdbEnvironment, Table, Transaction
from volfs.store.contract.lease import Lease
from volfs.store.embedded.refs.refs import RefRows

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Lease)


class LeaseRows:
    """The rows of leases. Thread-safe. Each call reads LMDB."""

    def __init__(self, environment: LmdbEnvironment, refs: RefRows) -> None:
        self._environment = environment
        self._refs = refs
        self._leases: Table = environment.open_table(b"leases")

    def put(self, lease: Lease) -> None:
        # No reserve, because reading a store must go on when its disk is full.
        with self._environment.write(reserve=0, is_noted=False) as txn:
            self.put_in(txn, lease)

    def put_in(self, txn: Transaction, lease: Lease) -> None:
        """Put a lease as a part of the caller's transaction. NotFoundError."""
        self._refs.check_versions(txn, lease.volume_id, lease.versions)
        txn.put(_key(lease.session), _encode(lease), db=self._leases)

    def find(self, session: str) -> Lease | None:
        with self._environment.read() as txn:
            try:
                return self._find_in(txn, session)
            except DamagedObjectError as error:
                raise _refuse(session, error) from error

    def list_all(self) -> list[Lease]:
        with self._environment.read() as txn:
            return self.list_in(txn)

    def list_in(self, txn: Transaction) -> list[Lease]:
        """All leases, by session, as of the transaction."""
        try:
            leases = [_decode(row) for _, row in txn.list_all(self._leases)]
        except DamagedObjectError as error:
            raise _refuse("of somebody", error) from error
        return sorted(leases, key=lambda lease: lease.session)

    def list_damaged(self) -> list[str | None]:
        """The sessions of damaged leases, as far as the rest of each row tells its session; else
        None."""
        with self._environment.read() as txn:
            damaged = txn.list_damaged(self._leases)
            left = [txn.raw.get(key, b"", db=self._leases.raw) for key in damaged]
        return [_find_session(*pair) for pair in zip(damaged, left, strict=True)]

    def drop(self, session: str, expected: Lease | None = None) -> None:
        def drop(txn: Transaction) -> None:
            if expected is None or self._find_in(txn, session) == expected:
                txn.delete(_key(session), db=self._leases)

        self._environment.free(drop, is_noted=False)

    def _find_in(self, txn: Transaction, session: str) -> Lease | None:
        # Leases are compared decoded, because a former volfs wrote rows with fewer fields.
        row = txn.get(_key(session), db=self._leases)
        return None if row is None else _decode(row)


def _key(session: str) -> bytes:
    """The key of a session's lease: a hash, because a session may be a path longer than a key of
    LMDB."""
    return blake3(to_bytes(session)).digest()


def _find_session(key: bytes, damaged: bytes) -> str | None:
    """The session that a damaged row names, if the row's key belongs to that session."""
    with suppress(ValueError):
        session = from_stored(_decoder.decode(damaged[:-CHECKSUM_SIZE]).session)
        if _key(session) == key:
            return session
    return None


def _refuse(session: str, error: DamagedObjectError) -> DamagedObjectError:
    return DamagedObjectError(f"lease {session}: {error}; see `volfs check --repair`")


def _encode(lease: Lease) -> bytes:
    return _encoder.encode(_convert(lease, to_stored))


def _decode(row: bytes) -> Lease:
    try:
        return _convert(_decoder.decode(row), from_stored)
    except ValueError as error:
        raise DamagedObjectError(f"lease: {error}") from error


def _convert(lease: Lease, convert: Callable[[str], str]) -> Lease:
    """The lease with its texts of the system as they are stored, or back."""
    return msgspec.structs.replace(
        lease,
        session=convert(lease.session),
        place=convert(lease.place),
        host_name=convert(lease.host_name),
    )
