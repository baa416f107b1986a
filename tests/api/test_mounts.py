"""``volumes=`` and ``network_file_systems=``: what may be mounted where, in Modal's words."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

import volfs as modal
from volfs.api.mount_rules import (
    NETWORK_FILE_SYSTEM,
    VOLUME,
    check_distinct,
    validate_mounts,
)


@pytest.fixture
def volume() -> modal.Volume:
    return modal.Volume.from_name("v", create_if_missing=True)


def refuse(mapping: Any, message: str, kind: str = VOLUME) -> None:
    with pytest.raises(modal.exception.InvalidError) as caught:
        validate_mounts(kind, mapping)
    assert message in str(caught.value)


def test_paths_come_back_canonical(volume: modal.Volume) -> None:
    other = modal.Volume.from_name("w")
    pairs = validate_mounts(
        VOLUME,
        {"/data/": volume, PurePosixPath("/root/x"): other, "/tmp/y": modal.CloudBucketMount("b")},
    )
    assert [path for path, _ in pairs] == ["/data", "/root/x", "/tmp/y"]
    assert [what for _, what in pairs][:2] == [volume, other]
    assert validate_mounts(VOLUME, {}) == []


@pytest.mark.parametrize("path", ["data", "", ".", "/a/../b", "/a//b", "//a", "/a/./b", "~/a"])
def test_paths_that_are_not_canonical(volume: modal.Volume, path: str) -> None:
    refuse({path: volume}, f"Volume {path} must be a canonical, absolute path.")


def test_places_that_are_taken(volume: modal.Volume) -> None:
    refuse({"/": volume}, "Volume / cannot be mounted into root directory.")
    refuse({"/root/": volume}, "cannot be mounted at '/root'.")
    refuse({PurePosixPath("/tmp"): volume}, "Volume /tmp cannot be mounted at '/tmp'.")
    refuse(
        {"/a": volume, "/a/": modal.CloudBucketMount("b")},
        "Volume /a: more than one is to be mounted there.",
    )


def test_things_that_cannot_be_mounted(volume: modal.Volume) -> None:
    refuse([volume], "`volume_likes` should be a dict[str | PurePosixPath, Volume], got <class")
    refuse({"/a": "v"}, "Object of type <class 'str'> mounted at '/a' is not usable as a volume.")
    refuse({"/a": volume}, "is not usable as a network file system.", NETWORK_FILE_SYSTEM)
    refuse({"/a": modal.Dict.from_name("d")}, "is not usable as a volume.")


def test_each_volume_once(volume: modal.Volume) -> None:
    message = (
        "The same Volume cannot be mounted in multiple locations for the same function: /a, /b"
    )
    refuse({"/a": volume, "/b": volume}, message)
    again = volume.with_mount_options(sub_path="x")
    pairs = validate_mounts(VOLUME, {"/a": volume, "/c": modal.CloudBucketMount("b"), "/b": again})
    with pytest.raises(modal.exception.InvalidError, match=message):
        check_distinct(VOLUME, pairs)
    bucket = modal.CloudBucketMount("b")
    check_distinct(VOLUME, validate_mounts(VOLUME, {"/a": bucket, "/b": bucket, "/c": volume}))
