"""Spools: what they take, where it lies, a full disk, and death in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.harness.disks import fill, memory_disk
from tests.store.contract import noise
from tests.store.distributed.stand_in import MIB, StandInStore
from tests.store.distributed.two_machines import VOLUME, chunks, door, here, publish, read_all
from volfs.model.objects import Kind, compute_oid
from volfs.model.pack import PackKind, Record, decode_pack_header, iter_records
from volfs.model.segments.footer import decode_footer, locate_footer
from volfs.store.distributed.data import spool as spool_module
from volfs.store.distributed.data.pack_numbers import PackNumbers
from volfs.store.distributed.data.spool import FULL_IN_MEMORY, SPILL, Spool
from volfs.store.packs.codec import Packed, pack_object

__all__ = ["door", "here"]


def packed(data: bytes) -> Packed:
    return pack_object(Kind.CHUNK, compute_oid(Kind.CHUNK, data), data)


def make_spool(directory: Path) -> Spool:
    return Spool(PackKind.DATA, PackNumbers().reserve(), directory)


@pytest.mark.parametrize("sizes", [[], [0], [5, 100], [100_000] * 9, [MIB] * 3, [SPILL - 80, 1]])
def test_a_spool_becomes_a_pack(sizes: list[int], tmp_path: Path) -> None:
    spool = make_spool(tmp_path / "spool")
    datas = [noise(size, number) for number, size in enumerate(sizes)]
    for data in datas:
        entry = spool.append(packed(data))
        assert entry is not None
        header = packed(data).header
        assert entry.header(header.oid) == header
        assert len(spool.read_at(entry.offset, entry.stored) or b"") == entry.stored
    pack, whole = spool.finish("a" * 26)
    assert len(whole) == pack.length
    assert locate_footer(whole[-16:], pack.length) == (pack.footer, len(datas))
    assert decode_pack_header(whole[:16]).kind is PackKind.DATA
    records = list(iter_records(lambda at, size: whole[at : at + size], pack.footer))
    footer = decode_footer(whole[pack.footer :], pack.footer, pack.records)
    assert len(records) == len(footer) == len(datas)
    for record in records:
        assert isinstance(record, Record)
        found = footer.find(record.header.oid)
        assert found is not None
        assert found.offset == record.offset + 64
    assert spool.read_records() == whole[16 : pack.footer]
    assert spool.finish("b" * 26)[1] == whole
    spool.close()
    spool.close()
    assert spool.read_at(0, 1) is None
    assert not (tmp_path / "spool").exists() or os.listdir(tmp_path / "spool") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_makes_small_packs_in_memory(tmp_path: Path) -> None:
    """The upload goes on, and nothing of it is lost."""
    datas = [noise(MIB, number) for number in range(30)]
    with memory_disk(tmp_path, 5 * MIB) as disk:
        spools = [make_spool(disk)]
        for data in datas:
            if spools[-1].is_full or spools[-1].append(packed(data)) is None:
                spools.append(make_spool(disk))
                assert spools[-1].append(packed(data)) is not None
        sizes = [spool.size for spool in spools]
        assert all(size < FULL_IN_MEMORY + 2 * MIB for size in sizes)
        assert sum(len(spool.records) for spool in spools) == len(datas)
        kept = set()
        for spool in spools:
            pack, whole = spool.finish("a" * 26)
            found = iter_records(lambda at, size, whole=whole: whole[at : at + size], pack.footer)
            kept |= {each.header.oid for each in found if isinstance(each, Record)}
            spool.close()
        assert kept == {compute_oid(Kind.CHUNK, data) for data in datas}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_local_disk_stops_no_publication(
    here: StandInStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "FULL_IN_MEMORY", MIB)
    with memory_disk(tmp_path, 20 * MIB) as disk:
        small = StandInStore(here.bucket, disk / "local", cache=0)
        first, _ = publish(small, chunks(3, seed=1))
        fill(disk)
        put, shipment = publish(small, chunks(40))
        assert len(shipment.packs) >= 3
        tiny, _ = publish(small, chunks(3, 1000, seed=2))
        read_all(small, first | put | tiny)
        small.close()
    here.log_of(VOLUME).refresh()
    read_all(here, first | put | tiny)


def test_who_dies_while_he_spools_leaves_nothing(tmp_path: Path) -> None:
    program = """
        import os, sys
        from pathlib import Path
        from tests.store.contract import noise
        from tests.store.distributed.stand_in import StandInStore
        from tests.store.distributed.two_machines import VOLUME, chunks, put_all
        from volfs.buckets.access import open_memory_bucket
        store = StandInStore(open_memory_bucket(), Path(sys.argv[1]))
        upload = store.open_upload(VOLUME)
        put_all(upload, chunks(30))
        assert any(spool._file >= 0 for spool in upload._bucket_sink._open.values())
        os.kill(os.getpid(), 9)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(command, check=False, cwd=root, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert os.listdir(tmp_path / "cache" / "spool") == []
