"""What the embedded engine does and other engines need not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.embedded.published import VOLUME, add
from volfs.errors import (
    MissingObjectError,
)
from volfs.model.objects import Kind, compute_oid
from volfs.store.embedded.engine import EmbeddedStore


def test_all_volumes_share_one_index(store: EmbeddedStore) -> None:
    """And it says at once that an object is missing."""
    (oid,) = add(store, b"chunk")
    for volume_id in (VOLUME.id, "vo-none"):
        objects = store.objects_of(volume_id)
        assert objects.load_object_ready(oid) == b"chunk"
        assert objects.ahead == 8 << 20
        absent = compute_oid(Kind.TREE, b"never put")
        for read in (
            lambda o=objects, a=absent: o.load_object_ready(a),
            lambda o=objects, a=absent: o.read_object_ready(a, 0, 1),
        ):
            with pytest.raises(MissingObjectError):
                read()


def test_its_own_directory_has_its_sessions_and_its_room(store: EmbeddedStore, path: Path) -> None:
    assert store.local == path == Path(store.url)
    space = store.care.find_space()
    assert space is not None
    assert 0 < space.free <= space.total


def test_the_head_is_known_without_asking(store: EmbeddedStore) -> None:
    add(store, b"1")
    assert store.refs.guess_head(VOLUME.id) == store.refs.get_head(VOLUME.id)
