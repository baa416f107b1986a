"""What a machine remembers of logs: it saves requests, and is never believed without proof."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.contract import add, make_record
from tests.store.distributed.counted import CountedDoor
from tests.store.distributed.two_engines import BucketMachine
from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import NotFoundError
from volfs.store.distributed.creation import create_store
from volfs.store.distributed.place.object_keys import catalog_log, volume_log

RECORD = make_record(1)
VOLUME = RECORD.id
LOG = volume_log(VOLUME)


class Lives:
    """Processes of one machine, one after the other, and of another one."""

    def __init__(self, folder: Path) -> None:
        self.door = CountedDoor()
        self.bucket = Bucket(self.door)
        self.here, self.there = folder / "here", folder / "there"
        create_store(self.bucket, "s3://bucket")

    def open(self, place: Path) -> BucketMachine:
        return BucketMachine(self.bucket, place)

    def commit(self, place: Path, *contents: bytes) -> None:
        machine = self.open(place)
        for content in contents:
            add(machine, VOLUME, content)
        machine.close()

    def check(self) -> int:
        """What a new process here knows, which is what the lines say. How many requests it took to
        learn it."""
        machine = self.open(self.here)
        self.door.asked.clear()
        head = machine.refs.get_head(machine.refs.get_volume(RECORD.name).id)
        asked = len(self.door.asked)
        state = machine.refs.logs.get(VOLUME)
        whole = machine.refs.logs.open(VOLUME).read_whole().state
        assert whole is not None
        assert (state.packs, state.tags, state.riders) == (whole.packs, whole.tags, whole.riders)
        assert head.version == whole.versions.head
        assert list(machine.refs.iter_versions(VOLUME))
        machine.close()
        return asked

    def list_files(self) -> list[Path]:
        return sorted((self.here / "cache" / "logs").iterdir())


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    lives = Lives(tmp_path)
    machine = lives.open(lives.here)
    machine.refs.create_volume(RECORD, b"manifest 0")
    machine.close()
    lives.commit(lives.here, b"one", b"two")
    return lives


def test_the_next_process_reads_only_the_difference(lives: Lives) -> None:
    assert lives.check() == 4, "the line that proves each log, and the look for the end"
    lives.commit(lives.there, b"three")
    assert lives.check() <= 7
    assert lives.check() == 4
    lives.commit(lives.there, *(b"%d" % number for number in range(100)))
    lives.check()
    assert lives.check() == 4
    assert all(file.stat().st_mode & 0o077 == 0 for file in lives.list_files())


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "swapped", "gone", "a directory"])
def test_damaged_files_cost_requests_alone(lives: Lives, how: str) -> None:
    files = lives.list_files()
    assert len(files) >= 2
    datas = [file.read_bytes() for file in files]
    for file, data, other in zip(files, datas, datas[1:] + datas[:1], strict=True):
        if how in ("gone", "a directory"):
            file.unlink()
            if how == "a directory":
                file.mkdir()
            continue
        at = len(data) // 2
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        file.write_bytes({"cut": data[:-1], "flipped": flipped, "empty": b""}.get(how, other))
    assert lives.check() > 4
    if how != "a directory":
        assert lives.check() == 4


def test_a_bucket_that_was_put_back_is_not_what_the_machine_remembers(lives: Lives) -> None:
    """As from an older copy of the bucket, whether or not it has grown again since."""
    lives.bucket.delete(LOG.line(2))
    assert lives.check() > 4
    lives.commit(lives.there, b"other")
    lives.check()
    lives.commit(lives.here, b"more")
    lives.check()
    lives.bucket.delete(LOG.line(3))
    lives.commit(lives.there, b"another", b"and another")
    lives.check()


def test_a_volume_that_was_deleted_meanwhile_is_not_there(lives: Lives) -> None:
    there = lives.open(lives.there)
    there.refs.delete_volume(RECORD.name)
    there.refs.create_volume(make_record(2), b"other")
    there.close()
    here = lives.open(lives.here)
    with pytest.raises(NotFoundError):
        here.refs.get_volume(RECORD.name)
    with pytest.raises(NotFoundError):
        here.refs.get_head(VOLUME)
    assert [record.id for record in here.refs.list_volumes()] == [make_record(2).id]
    here.close()


def test_a_repair_and_a_rebuilding_forget(lives: Lives) -> None:
    machine = lives.open(lives.here)
    machine.refs.logs.forget_all()
    assert lives.list_files() == []
    assert machine.refs.get_head(VOLUME).version == 2
    machine.close()
    lives.check()


def test_another_store_at_the_address_is_not_recognized(lives: Lives) -> None:
    machine = lives.open(lives.here)
    assert machine.engine.recognize()
    machine.close()
    for info in list(iter_objects(lives.bucket)):
        lives.bucket.delete(info.key)
    create_store(lives.bucket, "s3://bucket")
    machine = lives.open(lives.here)
    assert not machine.engine.recognize()
    machine.refs.create_volume(make_record(3), b"manifest 0")
    machine.close()
    lives.bucket.delete(catalog_log().line(0))
    machine = lives.open(lives.here)
    assert not machine.engine.recognize()
    machine.close()
