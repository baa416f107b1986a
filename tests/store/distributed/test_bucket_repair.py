"""Objects of a bucket that are damaged: reads, the check, the repair, and the check after it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.crash.children import count_rounds, first_seed
from tests.crash.store_operations import FIRST, Collect, Expire
from tests.store.distributed.damaged_bucket import (
    BucketDamage,
    Outcome,
    Scene,
    choose_damage,
    fill,
    find_wrong,
    is_whole,
    kind_of,
    look_carefully,
    make_scene,
    on_machine,
    play,
    read_objects,
)
from tests.volume.shortcuts import publish_files
from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import VolfsError
from volfs.model.logs.volume_checkpoint import CHECKPOINT_MAGIC, decode_checkpoint
from volfs.store.distributed.checkpoints.due_checkpoints import Pace
from volfs.store.distributed.mending.checkpoint_forms import read_content
from volfs.store.distributed.mending.log_survey import StoreSurvey
from volfs.store.distributed.place.object_keys import pack_key, segment_name
from volfs.volume.check import check_store
from volfs.volume.recovery import recover_volumes

ROUNDS = 120
LONG = 2500
CARE = ("gc", "leases", "secrets")
KINDS = ("packs", "v/x", "v/log", "v/cp", "catalog")


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with pytest.MonkeyPatch.context() as patch:
        yield make_scene(patch)


def judge(outcome: Outcome, scene: Scene) -> None:
    """The rules of ``damaged_bucket``."""
    what = outcome.damage.what
    assert find_wrong(outcome.before, scene.ever) == [], what
    assert find_wrong(outcome.after, scene.ever) == [], what
    is_hurt = not is_whole(outcome.before, scene.model)
    assert not (is_hurt and outcome.check.is_clean), f"{what}: not found"
    assert outcome.is_stable, f"{what}: {outcome.repair}"
    is_mended = is_whole(outcome.after, scene.model)
    # What only a damaged line said is told by the first check, and is not missed afterwards.
    is_line = any(kind_of(key) in ("v/log", "catalog") for key in outcome.damage.changes)
    is_right = is_mended == outcome.check_after.is_clean or (is_line and not is_mended)
    assert is_right, f"{what}: {outcome.check_after}"
    assert not outcome.check_after.damage, f"{what}: {outcome.check_after}"
    assert is_mended or not is_certain(outcome.damage, scene), what


def is_certain(damage: BucketDamage, scene: Scene) -> bool:
    """Whether a repair must bring back everything: nothing that is unique was lost."""
    if all(kind_of(key) in ("v/x", "v/cp", "gc.cp", "catalog.cp") for key in damage.changes):
        return True
    left = damage.apply(scene.objects).values()
    is_swap = sorted(left) == sorted(scene.objects.values())
    return is_swap and all(kind_of(key) == "packs" for key in damage.changes)


@pytest.mark.noisy("what it changed is not known", "a change of it is left out")
def test_damages(scene: Scene) -> None:
    """Seeded damages of packs, index segments, lines and checkpoints."""
    done = 0
    for seed in range(first_seed(), first_seed() + count_rounds(ROUNDS, LONG)):
        damage = choose_damage(random.Random(seed), scene.objects, KINDS)
        if damage.apply(scene.objects) != scene.objects:
            judge(play(scene, damage), scene)
            done += 1
    assert done


@pytest.mark.noisy("what it changed is not known", "a change of it is left out")
def test_damages_of_gc_leases_and_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take no version away, also if gc runs afterwards, and the check finds all damage but a
    last line that is gone."""
    scene = make_scene(monkeypatch, is_cared_for=True)
    for seed in range(first_seed(), first_seed() + count_rounds(40, 1000)):
        damage = choose_damage(random.Random(seed), scene.objects, CARE)
        bucket = fill(damage.apply(scene.objects))
        what = f"seed {seed}: {damage.what}"
        with on_machine(bucket) as store:
            is_found = not check_store(store).is_clean
        assert is_found or damage.apply(scene.objects).items() <= scene.objects.items(), what
        with on_machine(bucket) as store, suppress(VolfsError):
            store.care.repair()
        with on_machine(bucket) as store, suppress(VolfsError):
            Collect(0).act(store)
        with on_machine(bucket) as store:
            assert is_whole(look_carefully(store), scene.model), what


@pytest.mark.noisy("what it changed is not known", "a change of it is left out")
def test_damage_of_what_only_a_checkpoint_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index segments that a checkpoint itself names, whether it is of the last line or not. A
    machine that knows nothing reads everything after the repair."""
    pace = "volfs.store.distributed.refs.checkpoint_keeper.choose_pace"
    monkeypatch.setattr(pace, lambda lines: Pace(1, 1))
    scene = make_scene(monkeypatch, 7, is_cared_for=True)
    named = [key for key in find_merged(fill(scene.objects)) if key in scene.objects]
    assert named
    for key in named:
        data = scene.objects[key]
        for what, left in (("cut", data[:-1]), ("flipped", data[:-1] + bytes([data[-1] ^ 1]))):
            judge(play(scene, BucketDamage(f"{key} {what}", {key: left})), scene)
        outcome = play(scene, BucketDamage(f"{key} gone", {key: None}))
        assert not outcome.check.is_clean
        judge(outcome, scene)


def find_merged(bucket: Bucket) -> set[str]:
    """The keys of the segments that the newest checkpoints name."""
    newest: dict[str, str] = {}
    for info in iter_objects(bucket):
        if kind_of(info.key) == "v/cp":
            newest.setdefault(info.key.rpartition("/")[0], info.key)  # The newest is listed first.
    found = (
        decode_checkpoint(read_content(bucket, key, CHECKPOINT_MAGIC)) for key in newest.values()
    )
    return {segment_name(one.volume, one.name) for each in found for one in each.merged}


def test_scenes_are_as_their_seeds_say() -> None:
    """So that a seed says which damage it was."""
    scenes = []
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            scenes.append(make_scene(patch, is_cared_for=True))
    assert scenes[0].objects == scenes[1].objects


def test_a_whole_store_is_clean_and_a_repair_does_nothing(scene: Scene) -> None:
    bucket = fill(scene.objects)
    with on_machine(bucket) as store:
        report = check_store(store)
        assert report.is_clean, report
        assert [item.where for item in report.oddities] == ["packs"]
        assert not store.care.repair().has_changed
    assert read_objects(bucket) == scene.objects


def test_a_quick_check_reads_no_pack(scene: Scene) -> None:
    packs = [key for key in scene.objects if kind_of(key) == "packs"]
    changed = {**scene.objects, **{key: bytes(len(scene.objects[key])) for key in packs}}
    with on_machine(fill(changed)) as store:
        assert check_store(store, quick=True).damage == []
        assert check_store(store).damage
    shorter = {**scene.objects, **{key: scene.objects[key][:-1] for key in packs}}
    with on_machine(fill(shorter)) as store:
        assert {"bytes instead of" in item.problem for item in store.care.iter_damage(quick=True)}


def test_strays_are_told_and_are_no_damage(scene: Scene) -> None:
    changed = {**scene.objects, "notes.txt": b"mine", "v/vo-x/log/1": b"", "packs/aa/x": b"x"}
    with on_machine(fill(changed)) as store:
        report = check_store(store)
        assert report.is_clean
        told = {item.where: item.what for item in report.oddities}
        assert set(told) == {"notes.txt", "v", "packs"}
        assert "that volfs does not know, such as notes.txt" in told["notes.txt"]


@pytest.mark.noisy("what it changed is not known", "a change of it is left out")
def test_the_beginning_of_another_volume_is_not_believed(scene: Scene) -> None:
    """Line 0 follows no line whose digest would tell that it is in a wrong place."""
    logs = [find_log(scene, name) for name in (FIRST, "fork")]
    for one, other in (logs, logs[::-1]):
        begun = {f"{one}{0:016x}": scene.objects[f"{other}{0:016x}"]}
        judge(play(scene, BucketDamage(f"{other} begins {one}", dict(begun))), scene)
        longer = [key for key in scene.objects if key.startswith(one) and key not in begun]
        alone = BucketDamage(f"{one} is only that", {**begun, **dict.fromkeys(longer)})
        with on_machine(fill(alone.apply(scene.objects))) as store:
            assert find_wrong(look_carefully(store), scene.ever) == []
            assert not check_store(store).is_clean


def find_log(scene: Scene, name: str) -> str:
    with on_machine(fill(scene.objects)) as store:
        return f"v/{store.refs.get_volume(name).id}/log/"


def test_a_volume_whose_log_is_gone_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its name, and the versions whose objects lie in packs: here all but the first."""
    scene = make_scene(monkeypatch, line_bytes=0)
    lines = find_log(scene, FIRST)
    bucket = fill({key: data for key, data in scene.objects.items() if not key.startswith(lines)})
    with on_machine(bucket) as store:
        report = store.care.rebuild()
        assert report.refs_lost
        assert report.packs == sum(kind_of(key) == "packs" for key in scene.objects)
        (recovered,) = recover_volumes(store)
        assert recovered.volume.full_name == FIRST
        assert set(recovered.versions) >= set(scene.model[FIRST].versions) - {0}
        assert not store.care.has_lost_refs()
        assert recover_volumes(store) == []
    with on_machine(bucket) as store:
        seen = look_carefully(store)
        assert find_wrong(seen, scene.ever) == []
        assert {v for n, v in seen.versions if n == FIRST} == set(recovered.versions)
        assert check_store(store).is_clean
        publish_files(store, store.refs.get_volume(FIRST), {"after": b"after"})


def test_a_rebuilt_index_of_a_whole_store(scene: Scene) -> None:
    with on_machine(fill(scene.objects)) as store:
        report = store.care.rebuild()
        assert not report.refs_lost
        assert report.damaged_packs == 0
        assert report.objects > 0
        assert is_whole(look_carefully(store), scene.model)


def test_what_gc_has_deleted_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume names a deleted pack until the next fence of its log."""
    bucket = fill(make_scene(monkeypatch, line_bytes=0).objects)
    with on_machine(bucket) as store:
        Expire(FIRST, 1).act(store)
        before = {key for key in read_objects(bucket) if kind_of(key) == "packs"}
        Collect(0).act(store)
        volume = store.refs.get_volume(FIRST).id
        state = StoreSurvey(bucket).volumes[volume].known.state
        assert state is not None
        gone = before - read_objects(bucket).keys()
        assert gone & {pack_key(name) for name in state.packs.packs}
        assert check_store(store, quick=True).damage == check_store(store).damage == []
        assert not store.care.repair().has_changed
        named = {pack_key(name) for name in state.packs.packs}
        left = min(named & read_objects(bucket).keys())
        bucket.delete_many([left])
        assert check_store(store).damage
