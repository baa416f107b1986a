"""Volumes as one file: what was exported comes back, and a damaged file never half a version."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.volume.replicas.test_sending import versions_of
from tests.volume.shortcuts import noise, publish_files, read_file
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    DamagedObjectError,
    DataError,
    InvalidError,
    UnsupportedFormatError,
    VolfsError,
)
from volfs.model.manifest import decode_manifest, encode_manifest
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.check import check_store
from volfs.volume.history import create_tag, get_version
from volfs.volume.replicas import exporting
from volfs.volume.replicas.exported import (
    ExportedReader,
    encode_end,
    encode_pack,
    encode_version,
    encode_volume,
)
from volfs.volume.replicas.exporting import Export
from volfs.volume.replicas.importing import import_volume
from volfs.volume.replicas.replica import ReplicaName
from volfs.volume.replicas.sending import SendOptions, Sent
from volfs.volume.volumes import create_volume, delete_volume


def export(store: Store, volume: VolumeRecord, since: str | None = None, **options: bool) -> bytes:
    head = None if since is None else get_version(store.refs, volume, since)
    return b"".join(Export(store, volume, head, **options))


class Pipe(io.RawIOBase):
    """Bytes that can only be read once, in small pieces."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._data.readinto(buffer[:7777])


def bring(store: Store, data: bytes, **options: object) -> Sent:
    file = io.BufferedReader(Pipe(data))
    return import_volume(store, file, SendOptions(**options))  # type: ignore[arg-type]


@pytest.fixture
def three(store: Store, volume: VolumeRecord, monkeypatch: pytest.MonkeyPatch) -> VolumeRecord:
    """Three versions whose objects take several packs."""
    monkeypatch.setattr(exporting, "PACK_TARGET", 50_000)
    for number in range(3):
        publish_files(store, volume, {"a": noise(200_000, number), f"d/{number}": b"text" * 9000})
    create_tag(store.refs, volume, "good", get_version(store.refs, volume, "2"))
    return volume


def test_all_versions_come_back(store: Store, three: VolumeRecord, other: Store) -> None:
    data = export(store, three)
    sent = bring(other, data)
    assert (sent.versions, sent.tags) == ([1, 2, 3], ["good"])
    assert versions_of(other, three) == versions_of(store, three)
    assert read_file(other, three, "a") == noise(200_000, 2)
    assert check_store(other, read_data=True).problems == []
    assert bring(other, data).versions == []


def test_it_is_a_tar(store: Store, three: VolumeRecord) -> None:
    with tarfile.open(fileobj=io.BytesIO(export(store, three))) as tar:
        names = tar.getnames()
    assert (names[0], names[-1]) == ("volume.json", "end.json")
    assert [name for name in names if name.startswith("versions/")] == [
        f"versions/{number}.json" for number in (1, 2, 3)
    ]
    assert sum(name.startswith("packs/") for name in names) > 6


def test_what_follows_a_version(store: Store, three: VolumeRecord, other: Store) -> None:
    whole, later = export(store, three), export(store, three, "2")
    assert len(later) < len(whole) / 2
    with pytest.raises(ConflictError, match="no replica of it"):
        bring(other, later)
    assert bring(other, export(store, three, newest=True)).versions == [3]
    delete_volume(other, three.name)
    first = Export(store, three)
    first.versions = first.versions[:2]
    bring(other, b"".join(first))
    assert bring(other, later).versions == [3]
    assert versions_of(other, three) == versions_of(store, three)


def test_the_version_it_continues_must_be_there(
    store: Store, three: VolumeRecord, other: Store
) -> None:
    first = Export(store, three)
    first.versions = first.versions[:1]
    bring(other, b"".join(first))
    with pytest.raises(ConflictError, match="continues version 2"):
        bring(other, export(store, three, "2"))


def test_an_empty_volume(store: Store, volume: VolumeRecord, other: Store) -> None:
    assert bring(other, export(store, volume)).versions == []
    assert versions_of(other, volume) == versions_of(store, volume)


def test_nothing_to_export(store: Store, three: VolumeRecord) -> None:
    with pytest.raises(InvalidError, match="no version comes after 3"):
        export(store, three, "head")


def test_names(store: Store, three: VolumeRecord, other: Store) -> None:
    data = export(store, three)
    create_volume(other, three.name)
    with pytest.raises(AlreadyExistsError):
        bring(other, data)
    assert bring(other, data, name=ReplicaName("copy", "prod")).replica.full_name == "prod/copy"


def test_a_replica_that_went_its_own_way(store: Store, three: VolumeRecord, other: Store) -> None:
    bring(other, export(store, three))
    publish_files(other, three, {"theirs": b"1"})
    publish_files(store, three, {"ours": b"1"})
    with pytest.raises(ConflictError, match="gone its own way"):
        bring(other, export(store, three))


def test_only_the_newest_of_a_file_with_all(
    store: Store, three: VolumeRecord, other: Store
) -> None:
    data = export(store, three)
    assert bring(other, data, newest=True).versions == [3]
    assert read_file(other, three, "d/0") == b"text" * 9000, "that came with version 1"
    publish_files(store, three, {"b": b"4"})
    publish_files(store, three, {"c": noise(100_000, 5)})
    publish_files(store, three, {"b": b"6"})
    assert bring(other, export(store, three), newest=True).versions == [6]
    assert read_file(other, three, "c") == noise(100_000, 5)
    assert check_store(other, read_data=True).problems == []


# --- damage -------------------------------------------------------------------


def check_whole(store: Store, three: VolumeRecord, other: Store) -> None:
    """Each version that was published is the original's, whole."""
    assert check_store(other, read_data=True).problems == []
    if other.refs.find_volume_by_id(three.id) is not None:
        originals = versions_of(store, three)
        assert {head for head in versions_of(other, three) if head.version} <= set(originals)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_noticed(
    store: Store, three: VolumeRecord, other: Store, data: st.DataObject
) -> None:
    whole = export(store, three)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    if data.draw(st.booleans()):
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del damaged[at:]
    try:
        bring(other, bytes(damaged))
    except VolfsError:
        pass
    check_whole(store, three, other)
    if other.refs.find_volume_by_id(three.id) is not None:
        delete_volume(other, other.refs.list_volumes()[0].full_name)


@pytest.mark.parametrize("extra", ["x", "export"])
def test_what_follows_the_end_is_not_ignored(
    store: Store, three: VolumeRecord, other: Store, extra: str
) -> None:
    data = export(store, three)
    with pytest.raises(DamagedObjectError, match="follows the end"):
        bring(other, data + (data if extra == "export" else b"x"))
    check_whole(store, three, other)
    assert bring(other, data + bytes(10_240)).versions == []


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_huge_member_is_not_read(other: Store, kind: bytes) -> None:
    info = tarfile.TarInfo("volume.json")
    info.type, info.size = kind, 1 << 50
    with pytest.raises(DamagedObjectError, match="no volfs writes such a member"):
        bring(other, info.tobuf(tarfile.GNU_FORMAT))


def test_another_tar_program_may_add_attributes(
    store: Store, three: VolumeRecord, other: Store
) -> None:
    again = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(export(store, three))) as old,
        tarfile.open(fileobj=again, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for info in old:
            info.mtime = 1.5
            new.addfile(info, old.extractfile(info))
    assert b"mtime=1.5" in again.getvalue()
    assert bring(other, again.getvalue()).versions == [1, 2, 3]


def members(data: bytes) -> list[tuple[str, bytes]]:
    """The members of a tar, each with the bytes that stand for it."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        infos = tar.getmembers()
    starts = [info.offset for info in infos] + [len(data)]
    parts = [data[start:end] for start, end in pairwise(starts)]
    return list(zip([info.name for info in infos], parts, strict=True))


Forge = Callable[[list[tuple[str, bytes]]], list[bytes]]


def without(prefix: str) -> Forge:
    """Leave out one member."""

    def forge(found: list[tuple[str, bytes]]) -> list[bytes]:
        gone = next(i for i, (name, _) in enumerate(found) if name.startswith(prefix))
        return [data for i, (_, data) in enumerate(found) if i != gone]

    return forge


FORGERIES: dict[str, Forge] = {
    "no volume": without("volume.json"),
    "a pack is missing": without("packs/00000003"),
    "a version is missing": without("versions/2"),
    "no end": without("end.json"),
    "nothing": lambda found: [],
    "another version": lambda found: [found[0][1], encode_version(77)],
    "a pack that is none": lambda found: [found[0][1], encode_pack(1, b"x" * 100)],
    "a member of another program": lambda found: [
        found[0][1],
        encode_pack(1, b"").replace(b"packs/00000001", b"../../etc/motd"),
    ],
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_file(store: Store, three: VolumeRecord, other: Store, forge: Forge) -> None:
    data = b"".join(forge(members(export(store, three))))
    with pytest.raises(DataError):
        bring(other, data)
    check_whole(store, three, other)


@pytest.mark.parametrize("data", [b"", b"hello", bytes(10_240), b"\x1f\x8b" + bytes(600)])
def test_no_exported_volume(other: Store, data: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        bring(other, data)
    assert other.refs.list_volumes() == []


def test_a_later_format(
    store: Store, three: VolumeRecord, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from volfs.volume.replicas import exported

    monkeypatch.setattr(exported, "FORMAT", 2)
    data = export(store, three)
    monkeypatch.undo()
    with pytest.raises(UnsupportedFormatError, match="format 2"):
        bring(other, data)


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "../x"},
        {"id": "../../x"},
        {"id": ""},
        {"id": "x" * 1000},
        {"profile": 9},
        {"chunk_bits": 63},
    ],
)
def test_an_impossible_record(
    store: Store, three: VolumeRecord, other: Store, facts: dict[str, object]
) -> None:
    data = members(export(store, three))
    said = ExportedReader(io.BytesIO(data[0][1])).volume
    forged = said._replace(record=msgspec.structs.replace(said.record, **facts))
    with pytest.raises(DamagedObjectError):
        bring(other, encode_volume(forged) + b"".join(part for _, part in data[1:]))
    assert other.refs.list_volumes() == []


@pytest.mark.parametrize("tag", ["", "3", "a/b", "a\x1b[2J"])
def test_an_impossible_tag(store: Store, three: VolumeRecord, other: Store, tag: str) -> None:
    data = members(export(store, three))
    with pytest.raises(DamagedObjectError, match="no tag is called"):
        bring(other, b"".join(part for _, part in data[:-1]) + encode_end({tag: 1}))


def test_a_manifest_of_another_version(store: Store, three: VolumeRecord, other: Store) -> None:
    data = members(export(store, three))
    said = ExportedReader(io.BytesIO(data[0][1])).volume
    (_, manifest), *others = said.versions
    forged = said._replace(versions=[Head(1, others[0].manifest), *others])
    with pytest.raises(DamagedObjectError):
        bring(other, encode_volume(forged) + b"".join(part for _, part in data[1:]))
    forged = said._replace(versions=[Head(2, manifest)])
    packs = [part for name, part in until(data, "versions/1.json") if name.startswith("packs/")]
    parts = [encode_volume(forged), *packs, encode_version(2), encode_end({})]
    with pytest.raises(DamagedObjectError, match="is that of version 1"):
        bring(other, b"".join(parts))
    assert [head.version for head in versions_of(other, three)] == [0]


def until(found: list[tuple[str, bytes]], name: str) -> list[tuple[str, bytes]]:
    return found[: [each for each, _ in found].index(name)]


def test_a_first_version_with_content_that_is_nowhere(
    store: Store, three: VolumeRecord, other: Store
) -> None:
    said = ExportedReader(io.BytesIO(export(store, three))).volume
    assert said.first is not None
    first = decode_manifest(said.first)
    root = msgspec.structs.replace(first.root, root=b"\7" * 32)
    forged = encode_manifest(msgspec.structs.replace(first, root=root))
    bring(other, encode_volume(said._replace(versions=[], first=forged)) + encode_end({}))
    assert check_store(other).problems == []
