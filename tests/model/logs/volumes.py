"""Changes of a volume for tests: short names for what lines are full of."""

from __future__ import annotations

from typing import Any

from volfs.model.logs.volume_changes import LoggedPack, LoggedSegment, VolumeCreated
from volfs.model.logs.volume_facts import VolumeFacts
from volfs.model.objects import Kind, Oid, compute_oid

FACTS = VolumeFacts("vo-" + "0" * 21 + "1", "data", 2, 20, 1_700_000_000_000_000_000, "me@host")
DIGEST = b"d" * 32
"""Stands for the digest of the line after which a checkpoint was made."""
OTHER = "vo-" + "0" * 21 + "2"
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def name_pack(number: int) -> str:
    """A name of 26 characters; equal numbers have equal names."""
    return "".join(LETTERS[number >> 5 * n & 31] for n in range(26))


def make_logged(number: int) -> LoggedPack:
    return LoggedPack(name_pack(number), 5000 + number, 4000, 10)


def make_segment(number: int) -> LoggedSegment:
    return LoggedSegment(FACTS.id, name_pack(number), 70_000, 66_000, 1500)


def manifest_of(version: int) -> Oid:
    return compute_oid(Kind.MANIFEST, f"version {version}".encode())


def begin(*versions: int, **fields: Any) -> VolumeCreated:
    manifests = tuple((version, manifest_of(version)) for version in versions or (0,))
    return VolumeCreated(FACTS, manifests, **fields)
