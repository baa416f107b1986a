"""Which lines a volume's log refuses, by name, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.model.logs.volumes import (
    DIGEST,
    begin,
    make_logged,
    make_segment,
    manifest_of,
    name_pack,
)
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    HeadMovedError,
    NotFoundError,
    VolfsError,
)
from volfs.model.logs.volume_changes import (
    PacksFenced,
    VersionPublished,
    VersionsExpired,
    VersionTagged,
    VolumeChange,
    VolumeDeleted,
    VolumeNamed,
)
from volfs.model.logs.volume_checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    make_checkpoint,
    restore_state,
)
from volfs.model.logs.volume_log import VolumeState, apply
from volfs.model.objects import Kind, compute_oid


def start(*changes: VolumeChange, **fields: Any) -> VolumeState:
    state = apply(None, 0, 3, (begin(0, 1, **fields),))
    for change in changes:
        era = state.era + isinstance(change, PacksFenced)
        state = apply(state, state.number + 1, era, (change,))
    return state


REFUSED: dict[str, tuple[Callable[[], VolumeState], VolumeChange, type[VolfsError], str]] = {
    "the head moved": (
        start,
        VersionPublished(2, manifest_of(2), 0),
        HeadMovedError,
        "the head is version 1, not 0",
    ),
    "a number that was taken": (
        start,
        VersionPublished(1, manifest_of(1), 1),
        ConflictError,
        "version 1 cannot follow version 1",
    ),
    "a shared version is gone": (
        lambda: start(VersionsExpired(((0, 0),))),
        VersionPublished(2, manifest_of(2), 1, shares=(0,)),
        NotFoundError,
        "version 0 is not there any more",
    ),
    "a closed pack": (
        lambda: start(PacksFenced((name_pack(1),)), packs=(make_logged(1),)),
        VersionPublished(2, manifest_of(2), 1, relies=(name_pack(1),)),
        ConflictError,
        "is not open: put its objects again",
    ),
    "a pack that nobody named": (
        start,
        VersionPublished(2, manifest_of(2), 1, relies=(name_pack(9),)),
        ConflictError,
        "is not open",
    ),
    "a closed pack as a new one": (
        lambda: start(packs=(make_logged(1),), closed=(name_pack(1),)),
        VersionPublished(2, manifest_of(2), 1, packs=(make_logged(1),)),
        ConflictError,
        "closed, or another",
    ),
    "the head expires": (start, VersionsExpired(((0, 1),)), ConflictError, "the head stays"),
    "a tagged version expires": (
        lambda: start(VersionTagged("a", 0), VersionTagged("b", 0), VersionTagged("a")),
        VersionsExpired(((0, 0),)),
        ConflictError,
        "a tag names it",
    ),
    "a version expires twice": (
        lambda: start(VersionsExpired(((0, 0),))),
        VersionsExpired(((0, 0),)),
        NotFoundError,
        "version 0",
    ),
    "ranges out of order": (
        lambda: start(VersionPublished(2, b"m" * 32, 1), VersionPublished(3, b"m" * 32, 2)),
        VersionsExpired(((1, 1), (0, 0))),
        ConflictError,
        "cannot expire",
    ),
    "a taken tag": (
        lambda: start(VersionTagged("a", 0)),
        VersionTagged("a", 1),
        AlreadyExistsError,
        "it names version 0",
    ),
    "no such tag": (start, VersionTagged("a"), NotFoundError, "no tag a"),
    "an open pack cannot be gone": (
        lambda: start(packs=(make_logged(1),)),
        PacksFenced(gone=(name_pack(1),)),
        ConflictError,
        "cannot be gone",
    ),
    "a forward to a closed pack": (
        lambda: start(packs=(make_logged(1), make_logged(2)), closed=(name_pack(2),)),
        PacksFenced((name_pack(1),), (), ((name_pack(1), (name_pack(2),)),)),
        ConflictError,
        "not open",
    ),
    "deleted": (
        lambda: start(VolumeDeleted()),
        VolumeNamed("x", "main"),
        NotFoundError,
        "it was deleted",
    ),
    "created twice": (start, begin(0), ConflictError, "creates a volume that is there"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, change, error, words = REFUSED[case]
    state = make()
    era = state.era + isinstance(change, PacksFenced)
    with pytest.raises(error, match=words):
        apply(state, state.number + 1, era, (change,))


def test_a_line_is_whole_or_nothing() -> None:
    state = start()
    good, bad = VersionTagged("a", 0), VersionTagged("b", 7)
    with pytest.raises(NotFoundError):
        apply(state, 1, 3, (good, bad))
    assert not state.tags
    assert dict(apply(state, 1, 3, (good, VersionTagged("b", 0))).tags) == {"a": 0, "b": 0}


def test_a_fence_is_alone_in_its_line_and_nothing_else_raises_the_era() -> None:
    state = start()
    assert apply(state, 1, 9, (PacksFenced(),)).era == 9
    for era, changes in (
        (4, (PacksFenced(), VersionTagged("a", 0))),
        (4, (VersionTagged("a", 0),)),
        (3, (PacksFenced(),)),
        (2, (PacksFenced(),)),
        (2, (VersionTagged("a", 0),)),
        (3, ()),
    ):
        with pytest.raises(ConflictError):
            apply(state, 1, era, changes)


def test_a_log_begins_with_a_creation() -> None:
    for number, changes in (
        (1, (begin(0),)),
        (0, ()),
        (0, (VersionTagged("a", 0),)),
        (0, (VolumeDeleted(), begin(0))),
        (0, (begin(1, 0),)),
    ):
        with pytest.raises((ConflictError, NotFoundError)):
            apply(None, number, 0, changes)


def test_a_fork_that_never_came_is_deleted_from_its_beginning() -> None:
    state = apply(None, 0, 5, (VolumeDeleted(),))
    assert (state.is_deleted, state.facts, state.era) == (True, None, 5)
    with pytest.raises(NotFoundError, match="it was deleted"):
        apply(state, 1, 5, (VersionTagged("a", 0),))
    made = encode_checkpoint(make_checkpoint(state, DIGEST))
    assert restore_state(decode_checkpoint(made)) == state


def test_a_fork_has_the_packs_of_its_source_as_they_were() -> None:
    one, two = make_logged(1), make_logged(2)
    state = start(
        packs=(one, two),
        closed=(one.name,),
        forwards=((one.name, (two.name,)),),
        segments=(make_segment(3),),
    )
    assert state.packs.is_open(two.name)
    assert state.packs.is_closed(one.name)
    assert dict(state.packs.forwards) == {one.name: (two.name,)}
    assert state.segments == (make_segment(3),)
    made = encode_checkpoint(make_checkpoint(state, DIGEST))
    assert restore_state(decode_checkpoint(made)) == state
    assert compute_oid(Kind.MANIFEST, b"version 1") == state.versions.known[1].manifest
