"""Checkpoints, pieces and history segments: nothing is lost, and nothing else is accepted."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from tests.model.logs.volumes import (
    DIGEST,
    begin,
    make_logged,
    make_segment,
    manifest_of,
    name_pack,
)
from volfs.errors import DamagedObjectError
from volfs.model.logs.version_table import BLOCK_SIZE
from volfs.model.logs.volume_changes import (
    PacksFenced,
    VersionPublished,
    VersionsExpired,
    VersionTagged,
)
from volfs.model.logs.volume_checkpoint import (
    PIECE_SIZE,
    HistoryRow,
    Kept,
    PieceRow,
    VolumeCheckpoint,
    decode_checkpoint,
    decode_history,
    decode_piece,
    encode_checkpoint,
    encode_history,
    encode_piece,
    find_next_block,
    find_next_piece,
    make_checkpoint,
    restore_state,
)
from volfs.model.logs.volume_log import VolumeState, apply


def make_state() -> VolumeState:
    state = apply(None, 0, 0, (begin(0, 1, packs=(make_logged(1), make_logged(2))),))
    state = apply(state, 1, 4, (PacksFenced((name_pack(1),)),))
    published = VersionPublished(2, manifest_of(2), 1, "s", b"o", packs=(make_logged(3),))
    return apply(state, 2, 4, (published, VersionsExpired(((0, 0),)), VersionTagged("a", 1)))


def test_pieces_take_the_oldest_packs_and_leave_the_rest() -> None:
    many = tuple(map(make_logged, range(PIECE_SIZE)))
    state = apply(None, 0, 0, (begin(packs=many[:-1]),))
    assert find_next_piece(state, Kept()) == ()
    state = apply(state, 1, 0, (VersionPublished(1, b"m" * 32, 0, packs=(many[-1],)),))
    later = VersionPublished(2, b"m" * 32, 1, packs=(make_logged(PIECE_SIZE),))
    state = apply(state, 2, 0, (later,))
    piece = find_next_piece(state, Kept())
    assert [pack for pack, _ in piece] == [*sorted(many[:-1], key=lambda p: p.name), many[-1]]
    kept = Kept(pieces={"p" * 26: decode_piece(encode_piece(piece))}, merged=(make_segment(1),))
    assert find_next_piece(state, kept) == ()
    gone = (many[5].name, many[7].name)
    state = apply(state, 3, 1, (PacksFenced((*gone, many[9].name), gone=gone),))
    made = make_checkpoint(state, DIGEST, kept)
    assert (made.pieces, made.packs) == (("p" * 26,), ((later.packs[0], 2),))
    assert (set(made.gone), made.closed) == (set(gone), (many[9].name,))
    assert made.merged == (make_segment(1),)
    read = decode_checkpoint(encode_checkpoint(made))
    assert restore_state(read, kept.pieces.values()) == state
    with pytest.raises(DamagedObjectError, match="packs that it does not have"):
        restore_state(read)


def test_full_blocks_are_in_history_segments() -> None:
    state = apply(None, 0, 0, (begin(*range(BLOCK_SIZE + 1)),))
    assert find_next_block(state, 0) == 0
    assert find_next_block(state, 1) is None
    late = apply(state, 1, 0, (VersionPublished(9000, b"m" * 32, BLOCK_SIZE),))
    assert find_next_block(late, 1) == 1
    assert find_next_block(late, 2) is None
    made = make_checkpoint(state, DIGEST, Kept(1))
    assert made.rows == ((BLOCK_SIZE, manifest_of(BLOCK_SIZE), 0),)
    assert len(encode_checkpoint(made)) < 300
    restored = restore_state(made)
    assert restored.versions.has(5)
    assert restored.versions.unread == {0}


def test_a_history_segment_proves_its_manifests() -> None:
    rows = (
        HistoryRow(BLOCK_SIZE, 3, manifest_of(BLOCK_SIZE), f"version {BLOCK_SIZE}".encode()),
        HistoryRow(BLOCK_SIZE + 2, 9, manifest_of(1)),
    )
    assert decode_history(encode_history(rows), 1) == rows
    wrong = (
        (rows, 0),
        (rows[::-1], 1),
        ((rows[0], rows[0]), 1),
        ((replace(rows[0], content=b"another"),), 1),
    )
    for bad, block in wrong:
        with pytest.raises(DamagedObjectError, match=f"history segment {block}"):
            decode_history(encode_history(bad), block)


BAD_CHECKPOINTS: dict[str, dict[str, object]] = {
    "a row too few": {"rows": ()},
    "a row of an expired version": {"rows": ((0, b"m" * 32, 0), (1, b"m" * 32, 0))},
    "a row after the head": {"rows": ((1, b"m" * 32, 0), (7, b"m" * 32, 0))},
    "another head": {"head": 1},
    "runs after the head": {"runs": (0, 1, 3)},
    "more history than versions": {"history": 1},
    "a tag of nothing": {"tags": (("a", 0),)},
    "closed and not there": {"closed": (name_pack(9),)},
    "gone and not there": {"gone": (name_pack(9),)},
    "gone and closed": {"gone": (name_pack(1),)},
}


@pytest.mark.parametrize("case", BAD_CHECKPOINTS)
def test_a_checkpoint_that_contradicts_itself_is_damage(case: str) -> None:
    made = make_checkpoint(make_state(), DIGEST)
    restore_state(made)
    with pytest.raises(DamagedObjectError):
        restore_state(replace(made, **BAD_CHECKPOINTS[case]))


@pytest.mark.parametrize(
    "data", [b"", b"\x90", b"\xc0", b"\x91" * 3000, b"\xff\xfe", b"\x81\x01\x02"]
)
def test_other_bytes_are_damage(data: bytes) -> None:
    for decode in (decode_checkpoint, lambda data: decode_history(data, 0), decode_piece):
        if data == b"\x90" and decode is not decode_checkpoint:
            continue  # An empty list is what it is.
        with pytest.raises(DamagedObjectError):
            decode(data)


def test_every_cut_of_a_checkpoint_is_damage() -> None:
    data = encode_checkpoint(make_checkpoint(make_state(), DIGEST))
    for end in range(len(data)):
        with pytest.raises(DamagedObjectError):
            decode_checkpoint(data[:end])
    with pytest.raises(DamagedObjectError):
        decode_checkpoint(data + b"\0")


def test_a_long_history_makes_no_long_checkpoint() -> None:
    """50,000 numbers of versions of which every second is left out."""
    state = apply(None, 0, 0, (begin(*range(0, 50_000, 2)),))
    made = make_checkpoint(state, DIGEST, Kept(50_000 // BLOCK_SIZE))
    data = encode_checkpoint(made)
    assert len(data) < 80 << 10
    assert restore_state(decode_checkpoint(data)).versions.there == state.versions.there


def test_the_types_of_rows_are_those_that_are_said() -> None:
    made = make_checkpoint(make_state(), DIGEST)
    assert isinstance(made, VolumeCheckpoint)
    rows: tuple[PieceRow, ...] = decode_piece(encode_piece(made.packs))
    assert rows == made.packs
    assert msgspec.msgpack.decode(encode_checkpoint(made))[0] == 2
