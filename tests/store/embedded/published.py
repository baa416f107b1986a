"""What tests of one embedded store do to it: publish objects, look at packs, run a process."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

from volfs.model.objects import Kind, Oid
from volfs.store.contract.care import Damage
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.embedded.engine import EmbeddedStore

VOLUME = VolumeRecord("vo-" + "0" * 22, "data", 2, 20, 1, "me")


def add(store: EmbeddedStore, *chunks: bytes, kind: Kind = Kind.CHUNK) -> list[Oid]:
    head = store.refs.get_head(VOLUME.id)
    with store.open_upload(VOLUME.id) as upload:
        oids = [upload.put_object(kind, chunk) for chunk in chunks]
        manifest = upload.put_object(Kind.MANIFEST, f"manifest {head.version + 1}".encode())
        store.refs.publish(upload, VOLUME.id, head, Head(head.version + 1, manifest))
    return oids


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(f"{seed} {size}").randbytes(size)


def packs(path: Path) -> list[Path]:
    return sorted((path / "packs").iterdir())


def data_pack(path: Path) -> Path:
    return next(pack for pack in packs(path) if pack.read_bytes()[8] == 1)


def list_damage(store: EmbeddedStore) -> list[Damage]:
    return list(store.care.iter_damage())


def run_python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


PUBLISH = """
    import random, sys
    from volfs.errors import HeadMovedError
    from volfs.model.objects import Kind
    from volfs.store.contract.refs import Head
    from volfs.store.registry import open_store
    url, volume, count, seed = sys.argv[1:]
    store = open_store(url)
    for number in range(int(count)):
        with store.open_upload(volume) as upload:
            upload.put_object(Kind.CHUNK, random.Random(f"{seed} {number}").randbytes(3000))
            while True:
                head = store.refs.get_head(volume)
                text = f"{seed} {number} after {head.version}".encode()
                new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, text))
                try:
                    store.refs.publish(upload, volume, head, new)
                except HeadMovedError:
                    continue
                break
    store.close()
"""


def forget(store: EmbeddedStore, oid: Oid) -> None:
    """What gc of another process does to the index."""
    engine = store._engine
    with engine.environment.write() as txn:
        assert txn.delete(oid, db=engine.index._objects)
