"""Damage of an index or a pack from which nothing is lost for good."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.crash.mount_life import Place, opened
from tests.harness.damage import flip_byte, spoil_rows_in
from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import MissingObjectError
from volfs.model.objects import Kind, compute_oid
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.engine import Engine
from volfs.store.embedded.refs.name_log import NAME_LOG

OTHER_PACK = 9999
SMALL = (b"names", b"quarantine", b"condemned", b"lost", b"volumes", b"versions")


def damage_store(path: Place, damage: str, seed: int) -> None:
    """One of ``DAMAGES``, or of ``BUCKET_DAMAGES``."""
    rng = random.Random(seed)
    with opened(path) as store:
        if damage in BUCKET_DAMAGES:
            spoil_object(store._engine.bucket, BUCKET_DAMAGES[damage], rng)  # type: ignore[attr-defined]
        else:
            DAMAGES[damage](store._engine, rng)  # type: ignore[attr-defined]


def spoil_object(bucket: Bucket, part: str, rng: random.Random) -> None:
    """Change the last bytes of an object of a kind, or remove it if it is no pack; if there is
    any. At the end of a pack there is its footer."""
    keys = [info.key for info in iter_objects(bucket) if f"/{part}/" in f"/{info.key}"]
    if not keys:
        return
    key = rng.choice(sorted(keys))
    if part != "packs" and rng.random() < 0.5:
        bucket.delete_many([key])
        return
    data = bytearray(bucket.get(key)[1])
    data[-1 - rng.randrange(8)] ^= 1 << rng.randrange(8)
    bucket.put(key, bytes(data))


def forget_entries(engine: Engine, rng: random.Random) -> None:
    """Objects that are stored, and in no index."""
    rows = list(engine.index.iter_rows())
    with engine.environment.write() as txn:
        for oid, row in rng.sample(rows, len(rows) // 2):
            engine.index.replace_entry(txn, oid, row, None)


def forget_pack(engine: Engine, rng: random.Random) -> None:
    """A pack file without a row."""
    packs = engine.index.list_packs()
    with engine.environment.write() as txn:
        engine.index.remove_pack(txn, rng.choice(packs).pack)


def add_entry(engine: Engine, rng: random.Random) -> None:
    """An index entry of nothing."""
    index: Index = engine.index
    stray = compute_oid(Kind.CHUNK, rng.randbytes(10))
    entry = index.find_entry(rng.choice(list(index.iter_rows()))[0])
    assert entry is not None
    with engine.environment.write() as txn:
        index.replace_entry(txn, stray, None, entry._replace(pack=OTHER_PACK))


def spoil_header(engine: Engine, rng: random.Random) -> None:
    """A record of which all but its header can be read."""
    entry = engine.index.find_entry(rng.choice(list(engine.index.iter_rows()))[0])
    if entry is None:
        raise MissingObjectError("of an index row")
    path = Path(engine.path) / "packs" / f"{entry.pack:08d}.pack"
    with path.open("r+b") as file:
        file.seek(entry.offset - 30)
        byte = file.read(1)
        file.seek(entry.offset - 30)
        file.write(bytes((byte[0] ^ 1,)))


def spoil_rows(engine: Engine, rng: random.Random) -> None:
    """Rows of a small table that are not what was put."""
    spoil_rows_in(engine.environment, rng.choice(SMALL))


def spoil_log(engine: Engine, rng: random.Random) -> None:
    """A byte of the name log, if there is one."""
    path = Path(engine.path) / NAME_LOG
    if path.exists():
        flip_byte(path, rng.randrange(path.stat().st_size))


BUCKET_DAMAGES = {"footers": "packs", "checkpoints": "cp", "segments": "x"}
"""The part of the key of the objects that are damaged."""
DAMAGES: dict[str, Callable[[Engine, random.Random], None]] = {
    "entries": forget_entries,
    "pack": forget_pack,
    "stray": add_entry,
    "header": spoil_header,
    "rows": spoil_rows,
    "log": spoil_log,
}
