"""The facts of a volume as lines have them. Layout: docs/format.md, "The facts of a volume"."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from volfs.model.names import MAIN

Natural = Annotated[int, Meta(ge=0, le=(1 << 62))]
"""A number of a version, a line or an era; a length, or a count of things."""
OidField = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""An object id, or the digest of a line."""
VolumeId = Annotated[str, Meta(pattern=r"\A(vo|sv)-[0-9A-Za-z]{22}\Z")]
VolumeName = Annotated[str, Meta(min_length=1, max_length=64)]


class VolumeFacts(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a volume is, and which name it was created with."""

    id: VolumeId
    name: VolumeName
    profile: Annotated[int, Meta(ge=1, le=255)]
    chunk_bits: Annotated[int, Meta(ge=12, le=26)]
    created_ns: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
    created_by: Annotated[str, Meta(max_length=2048)]
    """Text of the system, as it is stored."""
    auto_commit: float | None = None
    environment: VolumeName = MAIN
