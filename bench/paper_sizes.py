"""What one thing takes in a bucket, in bytes: made by the code that writes it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from volfs.model.content import StoredList
from volfs.model.entry import Extent
from volfs.model.logs.catalog_log import CATALOG_CHANGES, NameGiven
from volfs.model.logs.gc_log import GC_CHANGES, PacksCondemned
from volfs.model.logs.lease_log import LEASE_CHANGES, LeaseMade
from volfs.model.logs.line import NONCE_SIZE, Line, encode_line
from volfs.model.logs.pack_table import PackTable
from volfs.model.logs.version_table import VersionRow, VersionTable
from volfs.model.logs.volume_changes import (
    VOLUME_CHANGES,
    LoggedPack,
    VersionPublished,
    VersionsExpired,
    VersionTagged,
    VolumeChange,
    VolumeCreated,
    carry,
)
from volfs.model.logs.volume_checkpoint import (
    HistoryRow,
    encode_checkpoint,
    encode_history,
    encode_piece,
    make_checkpoint,
)
from volfs.model.logs.volume_facts import VolumeFacts
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Oid
from volfs.model.pack import RECORD_HEADER_SIZE
from volfs.model.segments.footer import find_footer_size
from volfs.model.segments.id_filter import FilterBuilder
from volfs.model.segments.packs_named import NamedPack, encode_packs, name_line
from volfs.model.segments.segment import BLOCK_ENTRIES, BLOCK_SIZE
from volfs.store.distributed.data.spool import FULL
from volfs.store.distributed.place.object_keys import make_random_name

VOLUME = "vo-" + "0" * 22
OTHER = "vo-" + "1" * 22
OID = bytes(range(32))
VERSION = 100_000
"""A version of a volume that is used for long."""
SOME, MANY = 1, 101
FILTERED = 1 << 14


def make_pack(number: int) -> LoggedPack:
    name = make_random_name(lambda size: number.to_bytes(size, "big"))
    return LoggedPack(name, FULL, FULL - 5000, 70)


def measure_sizes() -> dict[str, float]:
    """The bytes of each thing, by the words for it in docs/scale.md."""
    return {**_lines(), **_beside_logs(), **_index()}


def _lines() -> dict[str, float]:
    published = _publish()
    mounted = msgspec.structs.replace(
        published, session="ma-" + "0" * 22 + ".data-0123456789abcdef", over=bytes(32), upto=VERSION
    )
    return {
        "line of a commit, without its objects": _line(published),
        "the same, of a mount": _line(mounted),
        "each object in a line, beside its bytes": RECORD_HEADER_SIZE,
        "each pack that a line names": _step(lambda count: _line(_publish(count))),
        "each line with objects that a fork names": _step(lambda count: _line(_fork(count))),
        "line of a tag": _line(VersionTagged("release", VERSION)),
        "line of an expiry of one range": _line(VersionsExpired(((VERSION, VERSION + 100),))),
        "line of a lease": len(_encode(LEASE_CHANGES.encode([_lease()]))),
        "line of the catalog": len(_encode(CATALOG_CHANGES.encode([NameGiven(_facts())]))),
        "each pack that gc condemns": _step(_condemn),
    }


def _beside_logs() -> dict[str, float]:
    def history(count: int) -> int:
        return len(encode_history(HistoryRow(VERSION + n, VERSION + n, OID) for n in range(count)))

    def piece(count: int) -> int:
        return len(encode_piece((make_pack(n), VERSION) for n in range(count)))

    return {
        "each version in a history segment, without its manifest": _step(history),
        "each version in a checkpoint": _step(lambda n: len(_checkpoint(versions=n))),
        "each pack in a checkpoint or a piece": _step(piece),
    }


def _index() -> dict[str, float]:
    return {
        "each object in the footer of a pack": find_footer_size(1) - find_footer_size(0),
        "each object in an index segment": BLOCK_SIZE / BLOCK_ENTRIES,
        "the same, in the filter": _filter(FILTERED) / FILTERED,
        "the same, in the directory": 32 / BLOCK_ENTRIES,
        "each pack in the directory": len(encode_packs([_named()])),
        "each chunk in the list of a file": _step(_list),
    }


def _publish(packs: int = 0) -> VersionPublished:
    named = tuple(map(make_pack, range(packs)))
    return VersionPublished(VERSION, OID, VERSION - 1, packs=named)


def _fork(lines: int) -> VolumeCreated:
    packs = tuple(LoggedPack(name_line(OTHER, number), 20_000, 250, 12) for number in range(lines))
    return VolumeCreated(_facts(), ((0, OID),), OTHER, VERSION, packs=packs)


def _line(change: VolumeChange) -> int:
    if isinstance(change, VersionPublished):
        change = carry(change, 12, 20_000)
    return len(_encode(VOLUME_CHANGES.encode([change])))


def _encode(body: bytes) -> bytes:
    return encode_line(Line(bytes(NONCE_SIZE), OID, 1, body))


def _condemn(packs: int) -> int:
    names = tuple(make_pack(number).name for number in range(packs))
    return len(GC_CHANGES.encode([PacksCondemned(names)]))


def _lease() -> LeaseMade:
    session, host = "ma-" + "0" * 22 + ".data-0123456789abcdef", "ma-" + "0" * 22
    oid = ((VERSION, OID),)
    return LeaseMade(
        session, VOLUME, oid, (), VERSION, "kept", 0, 1 << 60, bytes(32), False, host, "/mnt/data"
    )


def _facts() -> VolumeFacts:
    return VolumeFacts(VOLUME, "training-data", 2, 20, 1 << 60, "user@host")


def _checkpoint(versions: int) -> bytes:
    table = VersionTable()
    for number in range(versions):
        table = table.add(VERSION + number, VersionRow(Oid(OID), VERSION + number))
    state = VolumeState(VERSION, 1, _facts(), table, packs=PackTable())
    return encode_checkpoint(make_checkpoint(state, OID))


def _named() -> NamedPack:
    return NamedPack(make_pack(0).name, FULL, FULL - 5000, 70)


def _filter(count: int) -> int:
    builder = FilterBuilder(count)
    for number in range(count):
        builder.add(((number << 64) // count).to_bytes(8, "big"))
    return len(builder.finish())


def _list(chunks: int) -> int:
    extents = tuple(Extent(1 << 20, OID, 0) for _ in range(chunks))
    return len(msgspec.msgpack.encode(StoredList(0, 20, extents, ())))


def _step(measure: Callable[[int], int]) -> float:
    """What one more takes, when there are many."""
    return (measure(MANY) - measure(SOME)) / (MANY - SOME)
