"""The changes in the lines of a volume's log. Layout: docs/format.md, "The log of a volume"."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from volfs.model.logs.change_codec import ChangeCodec, LogChange
from volfs.model.logs.line import LINE_HEADER_SIZE
from volfs.model.logs.volume_facts import Natural, OidField, VolumeFacts, VolumeId, VolumeName
from volfs.model.objects import Kind

RandomName = Annotated[str, Meta(pattern=r"\A[a-z2-7]{26}\Z")]
"""The name of a pack, a segment or a piece."""
PackName = Annotated[str, Meta(pattern=r"\A([a-z2-7]{26}|(vo|sv)-[0-9A-Za-z]{22}/[0-9a-f]{16})\Z")]
"""The name of a pack. A line with records counts as one: its name is the id of its volume, ``/``,
and its number in 16 hexadecimal digits."""
TagName = Annotated[str, Meta(min_length=1, max_length=64)]
Forward = tuple[PackName, tuple[PackName, ...]]
"""A pack, and the packs that its live records were copied to."""


class LoggedPack(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A pack that a volume reads from."""

    name: PackName
    length: Natural
    footer: Natural
    """Where the footer begins. In a line: where its records begin."""
    count: Natural
    """How many records there are."""


class CarriedRecords(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The records that the line itself has."""

    count: Natural
    start: Natural
    """Where in the line they begin."""
    length: Natural


NO_RECORDS = CarriedRecords(0, 0, 0)


class LoggedSegment(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An index segment that a volume reads, its own or one of the volume it was forked from."""

    volume: VolumeId
    name: RandomName
    length: Natural
    directory: Natural
    """Where the part that describes the others begins."""
    count: Natural
    """How many objects it has places of."""


class VolumeCreated(LogChange, tag="created", frozen=True):
    """The volume begins, with these versions. The other fields are those of a fork."""

    facts: VolumeFacts
    manifests: Annotated[tuple[tuple[Natural, OidField], ...], Meta(min_length=1)]
    """Versions and the ids of their manifests, ascending."""
    source: str = ""
    """The id of the volume that this one was forked from; empty if it was not."""
    source_line: Natural = 0
    """The line with the change ``forked`` in the log of the source."""
    packs: tuple[LoggedPack, ...] = ()
    closed: tuple[PackName, ...] = ()
    """Those of ``packs`` that are closed."""
    forwards: tuple[Forward, ...] = ()
    segments: tuple[LoggedSegment, ...] = ()
    carried: CarriedRecords = NO_RECORDS


class VersionPublished(LogChange, tag="published", frozen=True):
    """The head moves. What the new version needs is in ``packs`` and ``relies``, in the records of
    lines, or below older versions."""

    version: Natural
    manifest: OidField
    after: Natural
    """The head before."""
    session: str = ""
    """The session whose lease this change adds to; empty if there is none."""
    over: bytes = b""
    """The stamp of the session's catalog when the published changes were sealed."""
    needs: tuple[tuple[Kind, OidField], ...] = ()
    """What the session relies on from now on, besides the new version."""
    upto: Natural = 0
    """The session's lease has its changes up to this line of this log."""
    packs: tuple[LoggedPack, ...] = ()
    """Packs that this log does not know yet."""
    relies: tuple[PackName, ...] = ()
    """Packs of this log in which objects were found that were not stored again."""
    shares: tuple[Natural, ...] = ()
    """Versions that the new one has parts of."""
    segments: tuple[LoggedSegment, ...] = ()
    """Index segments of ``packs``, if those are many."""
    carried: CarriedRecords = NO_RECORDS


class VersionsExpired(LogChange, tag="expired", frozen=True):
    versions: Annotated[tuple[tuple[Natural, Natural], ...], Meta(min_length=1)]
    """The first and the last of versions that follow each other, ascending."""


class VersionTagged(LogChange, tag="tagged", frozen=True):
    """A tag names a version, or none any more."""

    tag: TagName
    version: Annotated[int, Meta(ge=-1)] = -1
    """-1 for none."""
    move: bool = False
    """Whether the tag may have named another version."""


class VolumeForked(LogChange, tag="forked", frozen=True):
    """A volume is about to begin that has a version of this one."""

    volume: VolumeId
    version: Natural


class PacksFenced(LogChange, tag="fenced", frozen=True):
    """gc raises the era. It has condemned the packs ``closed``: nothing may rely on them any
    more."""

    closed: tuple[PackName, ...] = ()
    packs: tuple[LoggedPack, ...] = ()
    """Packs that gc has written, to which ``forwards`` lead."""
    forwards: tuple[Forward, ...] = ()
    gone: tuple[PackName, ...] = ()
    """Packs that were deleted, and lines without their records."""
    settled: tuple[VolumeId, ...] = ()
    """Forks whose logs are there."""
    ended: tuple[str, ...] = ()
    """Sessions without a lease: what their lines need does not count any more."""


class PacksAdopted(LogChange, tag="adopted", frozen=True):
    """Packs that were closed may be relied on again, because gc returned them in a line of its
    log."""

    packs: Annotated[tuple[PackName, ...], Meta(min_length=1)]
    returned: Natural


class PacksMended(LogChange, tag="mended", frozen=True):
    """A repair has put what can be read of damaged packs into others."""

    packs: tuple[LoggedPack, ...] = ()
    """Packs that this log does not know yet."""
    without: tuple[PackName, ...] = ()
    """Damaged packs, and lines, from which nothing is read any more."""
    dropped: tuple[RandomName, ...] = ()
    """Index segments that are damaged, or gone."""


class VolumeNamed(LogChange, tag="named", frozen=True):
    """The volume has another name, for the day on which the catalog is lost."""

    name: VolumeName
    environment: VolumeName


class VolumeDeleted(LogChange, tag="deleted", frozen=True):
    """The log ends."""


VolumeChange = (
    VolumeCreated
    | VersionPublished
    | VersionsExpired
    | VersionTagged
    | VolumeForked
    | PacksFenced
    | PacksAdopted
    | PacksMended
    | VolumeNamed
    | VolumeDeleted
)
VOLUME_CHANGES: ChangeCodec[VolumeChange] = ChangeCodec("line of a volume", VolumeChange)


Carrying = TypeVar("Carrying", VolumeCreated, VersionPublished)


def carry(change: Carrying, count: int, length: int) -> Carrying:
    """The change as it is in a line with these records and no other change.

    The change says where the records begin, and by that how long it is itself.
    """
    start = -1
    while start != change.carried.start:
        start = change.carried.start
        begins = LINE_HEADER_SIZE + len(VOLUME_CHANGES.encode([change]))
        carried = CarriedRecords(count, begins, length) if count else NO_RECORDS
        change = msgspec.structs.replace(change, carried=carried)
    return change
