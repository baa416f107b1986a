"""The LMDB environment of a store: a file of tables that processes share.

Transactions are short, and are never held across a call that waits for anything else. An
environment must not be used in a process forked from its owner.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TypeVar

import lmdb

from volfs.errors import (
    DamagedObjectError,
    OutOfSpaceError,
    StoreDeniedError,
    StoreError,
    StoreReplacedError,
    StoreUnavailableError,
)
from volfs.store.anchor import name_places, spelled
from volfs.store.checked_lmdb.access import Copy, is_writable, say_why
from volfs.store.checked_lmdb.ballast import Ballast
from volfs.store.checked_lmdb.pages import (
    DATA,
    LOCK,
    check_header,
    find_problems,
    is_due,
    keep_from_children,
    note_checked,
)
from volfs.store.checked_lmdb.reader_table import ReaderTable, wait_until_writable
from volfs.store.checked_lmdb.transaction import Cursor as Cursor
from volfs.store.checked_lmdb.transaction import Table as Table
from volfs.store.checked_lmdb.transaction import Transaction as Transaction
from volfs.store.owner import make_for_owner
from volfs.store.refusals import DENIED, FULL, choose_error, to_store_error

T = TypeVar("T")

RESERVE = 8 << 20
"""Free bytes without which no transaction begins. The pages that LMDB copies must fit into
them."""
_SHORT = 1 << 20
"""If fewer bytes than this are free, an I/O error means that the disk is full."""
_MAP_SIZES = (1 << 40, 1 << 36, 1 << 32)
"""Sizes of address space, not of disk. A smaller one is taken if the process may not have more."""


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn errors of the system and of LMDB into the store's errors. No other function does this.

    The errors name files by their real paths, also if the files were opened by a descriptor.
    """
    try:
        with _raising_store_errors(what):
            yield
    except (StoreError, DamagedObjectError) as error:
        said = str(error)
        if (text := name_places(said)) == said:
            raise
        raise type(error)(text) from error


@contextmanager
def _raising_store_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise to_store_error(what, error) from error
    except (lmdb.DiskError, lmdb.MapFullError) as error:
        raise OutOfSpaceError(f"{what}: {error}") from error
    except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError) as error:
        raise DamagedObjectError(f"{what}: the index is damaged: {error}") from error
    except lmdb.ReadonlyError as error:
        raise StoreDeniedError(f"{what}: {error}") from error
    except lmdb.Error as error:
        if "already open in this process" in str(
            error
        ):  # A handle on the store that was there before has it open.
            raise StoreReplacedError(f"{what}: replaced while open here: close it first") from error
        if os.strerror(errno.EAGAIN) in str(error):
            raise StoreUnavailableError(
                f"{what}: another process that uses it has our process id, {os.getpid()}, in "
                "another namespace of them; containers that share a store must share the machine's "
                "process ids, too (docker run --pid=host)"
            ) from error
        raise choose_error(_errno_of(error))(f"{what}: {error}") from error


def _errno_of(error: lmdb.Error) -> int | None:
    """The system's error number, which py-lmdb puts only into the message if it has no class for
    it."""
    text = str(error)
    return next((n for n in (*FULL, *DENIED) if os.strerror(n) in text), None)


class LmdbEnvironment:
    """One LMDB environment of a store, as this process has it open.

    Without ``durable``, commits reach the disk some time later, in no order: that is enough for
    what need not outlive the machine. DamagedObjectError if LMDB would stumble over the pages,
    except over pages of the tables ``spoiled``, which must not be opened then. With ``seen``, the
    pages are not looked at, because this process has already done that.

    ``when_acknowledged`` is called after each committed transaction, except those that need not be
    known. ``make_room`` is called before a full disk becomes an error: it gives back room that
    nobody needs, and writes nothing.
    """

    def __init__(
        self,
        path: Path,
        *,
        durable: bool = True,
        seen: bool = False,
        spoiled: frozenset[bytes] = frozenset(),
        prove: Callable[[], None] = lambda: None,
        ballast: Ballast | None = None,
        refused: str = "",
        when_acknowledged: Callable[[int], None] = lambda transaction: None,
        make_room: Callable[[], object] = lambda: None,
    ) -> None:
        self._path = path
        self._shown = Path(name_places(str(path)))
        self._is_durable = durable
        self._prove = prove
        """Raises StoreReplacedError if the environment is no longer in its place."""
        self._when_acknowledged = when_acknowledged
        self._last = 0
        """The number of the newest transaction that was seen."""
        self._pid = os.getpid()
        self._closed = False
        self._refused = refused
        """The reason why the environment must not be changed, although it could be."""
        self.tables: dict[bytes, Table] = {}
        self._ballast = ballast
        self._make_room = make_room
        self._copy: Copy | None = None
        with store_errors(f"index {path}"):
            check_header(path)
            if not is_writable(path):
                self._copy = Copy(path)
            else:
                wait_until_writable(path)
            self._env = _open(self._copy.path if self._copy else path, durable, self._copy is None)
            try:
                keep_from_children(path)
                self._readers = ReaderTable(path, self._count_readers)
                self._readers.make_writable()
                self._env.reader_check()
                self._last = self._env.info()["last_txnid"]
                if not seen:
                    self._check_pages(spoiled)
                    self._check_names()
                    if ballast is not None and self._copy is None:
                        ballast.restore()
            except BaseException:
                self._env.close()
                raise

    def _check_pages(self, spoiled: frozenset[bytes]) -> None:
        if self._copy is None and not is_due(self._path):
            return
        problems = self.find_problems(spoiled)
        if problems:
            raise DamagedObjectError(f"{self._shown} is damaged: {problems[0]}")
        if self._copy is None:
            note_checked(self._path)

    def find_problems(self, spoiled: frozenset[bytes] = frozenset()) -> list[str]:
        """What is wrong with the pages, except those of the tables ``spoiled``. No page is reused
        meanwhile."""
        with self.read():
            return find_problems(self._copy.path if self._copy else self._path / DATA, spoiled)

    def open_table(self, name: bytes, *, has_checksums: bool = True) -> Table:
        # The transaction is ours, because py-lmdb's own waits for other writers with the GIL held.
        with store_errors(f"index {self._shown}"), self._begin_writing() as txn:
            raw = self._env.open_db(name, txn=txn)
        table = self.tables[name] = Table(name, raw, has_checksums)
        return table

    def _check_names(self) -> None:
        """DamagedObjectError if the name of a table cannot be found: that table would be made
        anew, and empty."""
        # A transaction for writing, because forks would inherit a reader's slot, and open_table
        # writes anyway.
        with self._begin_writing() as txn, txn.cursor() as cursor:
            names = [bytes(name) for name in cursor.iternext(values=False)]
        if len(names) != self._env.stat()["entries"] or not all(names):
            raise DamagedObjectError(
                f"index {self._shown}: the index is damaged: tables are missing"
            )

    @property
    def is_writable(self) -> bool:
        """Whether the environment can be changed."""
        return self._copy is None and not self._refused

    def check_writable(self) -> None:
        """Raise StoreDeniedError, with the reason, if the environment cannot be changed."""
        if self._refused:
            raise StoreDeniedError(self._refused)
        if self._copy is not None:
            store = self._shown.parent
            raise StoreDeniedError(f"store {store}: cannot be changed: {say_why(self._shown)}")

    def check_usable(self) -> None:
        """Raise StoreError in a forked process, and after closing."""
        if os.getpid() != self._pid:
            raise StoreError(
                f"store {self._shown.parent}: opened by process {self._pid}, used in its fork "
                f"{os.getpid()}; open the store after forking"
            )
        if self._closed:
            raise StoreError(f"store {self._shown.parent}: closed")

    def run(self, act: Callable[[Transaction], T], *, write: bool, reserve: int = 0) -> T:
        """Run ``act`` in a transaction, as ``read`` or ``write`` would, in a third of their time.

        This is for tables, whose whole work is one transaction. They check for forks and closing
        themselves.
        """
        try:
            return self._run(act, write, reserve)
        except OutOfSpaceError:
            if reserve or not self.spend_ballast():
                raise
        except StoreUnavailableError:
            # LMDB reports a short write, the first sign of a full disk, as an I/O error.
            if not write or (self._count_free() < _SHORT and not self.spend_ballast()):
                raise
        return self._run(act, write, reserve)

    def _run(self, act: Callable[[Transaction], T], write: bool, reserve: int) -> T:
        if write:
            self.check_writable()
            self._check_space(reserve)
        try:
            with self._begin_writing() if write else self._begin_reading() as txn:
                result = act(Transaction(txn))
                if write:
                    self._prove_before()
            if write:
                self._prove_after()
            return result
        except (lmdb.Error, OSError) as error:
            self._fail(error)

    def _fail(self, error: lmdb.Error | OSError) -> NoReturn:
        """Raise an error of LMDB or of the system as one of volfs. Only a call that failed pays for
        the context manager."""
        with store_errors(f"index {self._shown}"):
            raise error
        raise AssertionError from error

    def find_row(self, key: bytes, table: Table) -> bytes | None:
        """One row, as a transaction of ``read`` would find it, in a third of its time."""
        self.check_usable()
        try:
            began = self._readers.make_writable()
            with self._env.begin() as txn:
                stored = txn.get(key, db=table.raw)
                self._readers.before_end(began)
        except (lmdb.Error, OSError) as error:
            self._fail(error)
        return None if stored is None else table.decode(key, stored)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        self.check_usable()
        with store_errors(f"index {self._shown}"):
            began = self._readers.make_writable()
            with self._env.begin() as txn:
                try:
                    yield Transaction(txn)
                finally:
                    self._readers.before_end(began)

    def _begin_reading(self) -> lmdb.Transaction[bytes]:
        """Begin a short transaction for reading, which can write its slot without sleeping."""
        self._readers.make_writable()
        return self._env.begin()

    def _begin_writing(self) -> lmdb.Transaction[bytes]:
        """Begin a transaction for writing. LMDB's lock for writing lies in a page of the reader
        table, too."""
        self._readers.make_writable()
        return self._env.begin(write=True)

    def _count_readers(self) -> int:
        return int(self._env.info()["num_readers"])

    @contextmanager
    def write(self, reserve: int = RESERVE, *, is_noted: bool = True) -> Iterator[Transaction]:
        """A transaction for writing. It is durable when the block has ended, and undone if the
        block raises.

        OutOfSpaceError before anything is touched, if the disk has fewer than ``reserve`` free
        bytes: a map larger than the disk must never be what finds that out. A transaction need not
        be ``is_noted`` if an older index without it would lack nothing.
        """
        self.check_usable()
        self.check_writable()
        self._check_space(reserve)
        try:
            with store_errors(f"index {self._shown}"), self._begin_writing() as txn:
                yield Transaction(txn)
                self._prove_before()
        except StoreUnavailableError:
            # LMDB reports a short write, the first sign of a full disk, as an I/O error.
            self._check_space(max(reserve, _SHORT))
            raise
        self._prove_after()
        if is_noted:
            self._when_acknowledged(self._last)

    def free(self, act: Callable[[Transaction], T], *, is_noted: bool = True) -> T:
        """Run ``act``, which makes room, in a transaction as ``write`` has.

        No reserve holds it up. On a full disk the ballast is given up for it, and ``act`` runs
        again from its beginning.
        """
        try:
            return self._free(act, is_noted)
        except OutOfSpaceError:
            if not self.spend_ballast():
                raise
        return self._free(act, is_noted)

    def _free(self, act: Callable[[Transaction], T], is_noted: bool) -> T:
        with self.write(reserve=0, is_noted=is_noted) as txn:
            return act(txn)

    def spend_ballast(self) -> bool:
        """Give the room of the ballast to the disk. Whether there was any."""
        return self._ballast is not None and self._ballast.spend()

    def _prove_before(self) -> None:
        """The last step of a transaction that writes. StoreReplacedError undoes the
        transaction."""
        self._prove()
        # The file may be in its place, but written over. LMDB would go on from what it remembers.
        last = self._env.info()["last_txnid"]
        if last < self._last:
            problem = f"written over while it was in use: transaction {self._last} is gone"
            raise StoreReplacedError(f"index {self._shown}: {problem}; nothing was written to it")

    def _prove_after(self) -> None:
        """Prove that the committed transaction is in the store, which may have been moved away
        meanwhile."""
        if self._is_durable:
            self._prove()
        # This is not the transaction's own number, because a transaction that changed nothing
        # leaves none.
        self._last = max(self._last, self._env.info()["last_txnid"])

    def count_transactions(self) -> int:
        """The number of the newest transaction."""
        with store_errors(f"index {self._shown}"):
            return int(self._env.info()["last_txnid"])

    def _check_space(self, reserve: int) -> None:
        if self._count_free() >= reserve:
            return
        self._make_room()
        if self._count_free() < reserve:
            raise OutOfSpaceError(
                f"store {self._shown.parent}: less than {max(1, reserve >> 20)} MiB free; make "
                "room on the disk, such as by `volfs expire` or `volfs delete` and then "
                "`volfs gc --grace 0`, and try again"
            )

    def _count_free(self) -> int:
        try:
            disk = os.statvfs(self._path)
        except OSError:
            self._prove()  # The directory may have been deleted with the store.
            with store_errors(f"index {self._shown}"):
                raise
        return disk.f_bavail * disk.f_frsize

    def close(self) -> None:
        if not self._closed and os.getpid() == self._pid:
            self._closed = True
            self._env.close()
            self._readers.close()
            if self._copy is not None:
                self._copy.close()


def _open(path: Path, durable: bool, lock: bool) -> lmdb.Environment:
    """Open an environment in a directory with a lock beside it, or in a file that only this
    process has."""
    for size in _MAP_SIZES[:-1]:
        with suppress(lmdb.MemoryError):
            return _open_with(path, size, durable, lock)
    return _open_with(path, _MAP_SIZES[-1], durable, lock)


def _open_with(path: Path, size: int, durable: bool, lock: bool) -> lmdb.Environment:
    if lock and path.is_dir():
        for name in (DATA, LOCK):
            make_for_owner(path / name)
    with spelled(path) as place:
        return lmdb.open(
            place,
            sync=durable,
            metasync=durable,
            create=not path.is_dir(),  # py-lmdb calls mkdir with the GIL held
            map_size=size,
            lock=lock,
            subdir=lock,
            max_dbs=64,
            max_readers=4096,
            max_spare_txns=8,
            # Lookups by hash are random: read-ahead would only push packs out of the page cache.
            readahead=False,
            mode=0o600,
        )
