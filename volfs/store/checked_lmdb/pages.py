"""The pages of an LMDB file, verified before LMDB follows them.

LMDB has no checksums of its own and believes its pages: a damaged page ends the process with a
signal, or hides rows. ``checksum.py`` verifies the rows themselves. Rules: docs/format.md,
"Damaged pages".
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from lmdb.verify import VerifyError, verify

from volfs.errors import DamagedObjectError
from volfs.store.anchor import DELETED, anchored
from volfs.store.checked_lmdb.meta_page import HEAD, MetaPage, find_meta_page
from volfs.system.proc import list_descriptors, read_boot_id

DATA, LOCK = "data.mdb", "lock.mdb"
CHECKED = "checked"
SMALL = 2 << 20
"""A file up to this size is looked at each time it is opened, which takes 20 ms at most."""
_LOOKS = 3
"""How often a file is read before it counts as damaged: another process may have been writing it,
and is done a moment later."""
_LEAK = re.compile(r"\bleak\b")
"""A page that nobody uses does no harm."""


def check_there(directory: Path) -> None:
    """DamagedObjectError if the file is lost. LMDB would make an empty one."""
    if not _has_data(directory):
        raise DamagedObjectError(f"{directory / DATA} is missing")


def _has_data(directory: Path) -> bool:
    data = directory / DATA
    return data.exists() and data.stat().st_size > 0


def check_header(directory: Path) -> None:
    """DamagedObjectError if it is not safe to let LMDB open the file. The file may also not be
    there yet."""
    if not _has_data(directory):
        return
    problems = [_find_header_problem(directory / DATA) for _ in range(_LOOKS)]
    if all(problems):
        raise DamagedObjectError(f"{directory / DATA} is damaged: {problems[0]}")


def _find_header_problem(data: Path) -> str | None:
    first, second = _read_meta_pages(data)
    if first is None or second is None or not (first.is_lmdb and second.is_lmdb):
        return "its first pages are not LMDB's"
    if first.size != second.size:
        return "its first pages are not LMDB's"
    # LMDB writes the two in turn, so one of these is not as it was written.
    apart = abs(first.transaction - second.transaction)
    if apart > 1 or (apart == 0 and first != second):
        return f"its first pages are of transactions {first.transaction} and {second.transaction}"
    return None


def _read_meta_pages(data: Path) -> tuple[MetaPage | None, MetaPage | None]:
    with data.open("rb") as file:
        head = file.read(HEAD)
    first = find_meta_page(head, 0)
    return first, find_meta_page(head, first.size) if first is not None else None


def find_transactions(directory: Path) -> tuple[int, int]:
    """The numbers of the last two transactions, in the order of the file's first pages."""
    first, second = _read_meta_pages(directory / DATA)
    if first is None or second is None:
        raise DamagedObjectError(f"{directory / DATA} is damaged: its first pages are not LMDB's")
    return first.transaction, second.transaction


def find_problems(data: Path, spoiled: Collection[bytes] = ()) -> list[str]:
    """What is wrong with the structure of a file, except in the tables ``spoiled``.

    The caller has a transaction open, so that no page of this moment is used again.
    """
    harmless = tuple(f"main/{name.decode()} DB" for name in spoiled) + ("freeDB",) * bool(spoiled)
    found: list[str] = []
    for _ in range(_LOOKS):
        try:
            found = verify(str(data), subdir=False)  # type: ignore[no-untyped-call]
        except (VerifyError, struct.error) as error:
            found = [str(error)]
        found = [text for text in found if not (text.startswith(harmless) or _LEAK.search(text))]
        if not found:
            break
    return found


def is_due(directory: Path) -> bool:
    """Whether the file has to be looked at: a small file each time, a large one once in a boot."""
    if (directory / DATA).stat().st_size <= SMALL:
        return True
    try:
        return (directory / CHECKED).read_bytes() != read_boot_id()
    except FileNotFoundError:
        return True


def note_checked(directory: Path) -> None:
    """Write down that a large file was found sound in this boot, if there is room for that."""
    if (directory / DATA).stat().st_size <= SMALL:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):
        descriptor = os.open(directory / CHECKED, flags, 0o600)
        try:
            os.pwrite(descriptor, read_boot_id(), 0)
        finally:
            os.close(descriptor)


def keep_from_children(directory: Path) -> None:
    """Close the file in programs that this process starts. LMDB does not ask for this itself."""
    for descriptor in find_open(directory / DATA):
        with suppress(OSError):
            os.set_inheritable(descriptor, False)


def find_open(file: Path) -> Iterator[int]:
    """The descriptors by which this process has the file open."""
    for descriptor in list_open_files(file.name):
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                yield descriptor


def list_open_files(name: str) -> list[int]:
    """The descriptors of this process whose files have or had this name."""
    found = []
    for descriptor in list_descriptors():
        with suppress(OSError):
            if anchored(descriptor).readlink().name.removesuffix(DELETED) == name:
                found.append(descriptor)
    return found
