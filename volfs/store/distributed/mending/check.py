"""The check of a store in a bucket: everything that is wrong, and what is odd.

Odd is what does no harm and people should know: objects that nothing needs, and objects that volfs
does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import DataError, ObjectNotFoundError
from volfs.model.logs.gc_log import GcState
from volfs.model.logs.pack_table import PackInUse
from volfs.model.logs.volume_changes import LoggedPack
from volfs.model.progress import Report, report_bytes
from volfs.store.contract.care import Damage, Tell
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.log.log_rules import volume_rules
from volfs.store.distributed.mending.catalog_check import iter_name_damage
from volfs.store.distributed.mending.inventory import group_by_folder
from volfs.store.distributed.mending.log_survey import StoreSurvey
from volfs.store.distributed.mending.pack_check import judge_pack
from volfs.store.distributed.mending.segment_check import judge_segment
from volfs.store.distributed.place.object_keys import (
    find_pack_name,
    pack_key,
    segment_name,
    volume_log,
)
from volfs.store.distributed.refs.condemned_packs import is_usable

AT_ONCE_BYTES = 64 << 20


class PackInVolumes(NamedTuple):
    """A pack, or a line with records, that living volumes read from."""

    pack: LoggedPack
    volumes: list[str]


def iter_damage(bucket: Bucket, quick: bool, report: Report, tell: Tell) -> Iterator[Damage]:
    """Yield everything that is wrong. With ``quick``, no record in a pack is read. StoreError;
    UnsupportedFormatError."""
    survey = StoreSurvey(bucket)
    yield from _iter_logs(survey, tell)
    yield from iter_name_damage(survey, tell)
    uses = list_uses(survey)
    yield from _iter_packs(survey, uses, quick, report)
    yield from _iter_segments(survey)
    _tell_of_strays(survey, uses, tell)


def list_uses(survey: StoreSurvey) -> dict[str, PackInVolumes]:
    """The packs that living volumes read from, and who does.

    A volume names a pack that gc has deleted until the next fence of its log. Nothing reads it.
    """
    uses: dict[str, PackInVolumes] = {}
    gc = survey.read_gc_anew()
    for volume, state in survey.iter_living():
        for name, row in state.packs.packs.items():
            if "/" in name or name in survey.objects.packs or is_readable(row, gc):
                uses.setdefault(name, PackInVolumes(row.pack, [])).volumes.append(volume)
    return uses


def is_readable(row: PackInUse, gc: GcState | None) -> bool:
    """Whether a pack must be there. Without the log of gc, nothing tells that it may be gone."""
    return gc is None or is_usable(row, gc)


# --- logs -------------------------------------------------------------------


def _iter_logs(survey: StoreSurvey, tell: Tell) -> Iterator[Damage]:
    for log, found in survey.list_logs():
        wrong = 0
        for key, problem in found.damage:
            if key in survey.noted.passed:
                tell(key, f"{problem}; a repair has mended what needed it")
                continue
            wrong += 1
            yield Damage(None, key, problem)
        if not wrong and not found.is_readable:
            problem = "it cannot be read to its end, for the checkpoint that a repair made is gone"
            yield Damage(None, f"log {log.place.lines}", problem)
        for doubt in found.doubts if wrong else ():
            tell(log.place.lines, doubt)
    for lease in survey.leases:
        if lease.problem:
            what = f"{lease.problem}; gc and expiry refuse to work until the session ends"
            yield Damage(None, lease.key, what)
    for key in survey.noted.damaged:
        tell(key, "a note of a repair that cannot be read; the next repair writes it anew")
    if survey.objects.has_facts and not survey.objects.gc.lines:
        yield Damage(None, survey.objects.gc.place.line(0), "the log of gc is gone")


# --- packs ------------------------------------------------------------------


def _iter_packs(
    survey: StoreSurvey, uses: dict[str, PackInVolumes], quick: bool, report: Report
) -> Iterator[Damage]:
    packs = {name: use for name, use in uses.items() if "/" not in name}
    for name, use in uses.items():
        if "/" in name:
            yield from _confirm(survey, use, judge_line(survey, use.pack))
    total, done = sum(use.pack.length for use in packs.values()), 0
    report_bytes(report, 0, total)
    for use in packs.values():
        found = _look(survey, use.pack) if quick else judge_pack(survey.bucket, use.pack).damage
        yield from _confirm(survey, use, found)
        done += use.pack.length
        report_bytes(report, done, total)
    report_bytes(report, total, total)


def judge_line(survey: StoreSurvey, pack: LoggedPack) -> list[Damage]:
    """What is wrong with a line as a pack. A slim line has its records in a pack."""
    volume, _, digits = pack.name.partition("/")
    objects = survey.objects.volumes.get(volume)
    info = objects.log.lines.get(int(digits, 16)) if objects else None
    if info is None:
        return [Damage(None, f"line {pack.name}", "it is gone, and its records with it")]
    return survey.line_damage.get(pack.name, [])


def _look(survey: StoreSurvey, pack: LoggedPack) -> list[Damage]:
    """What a listing tells of a pack."""
    info = survey.objects.packs.get(pack.name)
    try:
        size = info.size if info else survey.bucket.head(pack_key(pack.name)).size
    except ObjectNotFoundError:
        return [Damage(None, f"pack {pack.name}", "it is gone")]
    problem = f"it has {size} bytes instead of {pack.length}"
    return [] if size == pack.length else [Damage(None, f"pack {pack.name}", problem)]


def _confirm(survey: StoreSurvey, use: PackInVolumes, found: list[Damage]) -> list[Damage]:
    """What was found, unless gc has taken the pack away since its volumes were looked at."""
    if found and not any(_still_has(survey, volume, use.pack.name) for volume in use.volumes):
        return []
    return found


def _still_has(survey: StoreSurvey, volume: str, name: str) -> bool:
    known, rules = survey.volumes[volume].known, volume_rules(volume)
    try:
        for number, line in Log(survey.bucket, volume_log(volume)).read_after(
            known.number, known.digest
        ):
            changes = rules.codec.decode(line.body)
            state = rules.apply(known.state, number, line.era, changes)
            known = known._replace(state=state)
    except DataError:
        return True
    row = known.state.packs.packs.get(name) if known.state is not None else None
    return row is not None and (
        "/" in name or bool(survey.gc.damage) or is_readable(row, survey.read_gc_anew())
    )


# --- segments, strays --------------------------------------------------------


def _iter_segments(survey: StoreSurvey) -> Iterator[Damage]:
    done: set[str] = set()
    for _, state in survey.iter_living():
        for segment in state.segments:
            key = segment_name(segment.volume, segment.name)
            if key not in done:
                done.add(key)
                problem = judge_segment(survey.bucket, segment, state)
                if problem:
                    yield Damage(None, key, problem)


def _tell_of_strays(survey: StoreSurvey, uses: dict[str, PackInVolumes], tell: Tell) -> None:
    gc = survey.gc.known.state
    waiting = {*gc.condemned, *gc.dooms} if gc else set()
    orphans = [info for name, info in survey.objects.packs.items() if name not in uses]
    for infos, what in (
        ([i for i in orphans if _name(i.key) in waiting], "waiting for gc to delete them"),
        ([i for i in orphans if _name(i.key) not in waiting], "in no volume; gc takes them"),
    ):
        if infos:
            size = sum(info.size for info in infos)
            tell("packs", f"{len(infos)} with {size:,} bytes {what}")
    for folder, infos in group_by_folder(survey.objects.unknown).items():
        tell(folder, f"{len(infos)} objects that volfs does not know, such as {infos[0].key}")


def _name(key: str) -> str:
    return find_pack_name(key) or ""
