"""S3, "Modal Volumes: Persistent Storage Patterns": its blocks build on each other."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from tests.spec.blocks import BLOCKS
from tests.spec.contents import names, read, upload
from tests.spec.setting import Setting

pytestmark = pytest.mark.fuse


def hashed(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()[:16]


def upload_all(setting: Setting, *paths: str) -> None:
    for path in paths:
        upload(setting["volume"], setting.write("uploaded", "{}"), path)


@pytest.mark.block(43, "as written")
def test_a_function_with_a_volume(setting: Setting) -> None:
    """The volume is there, at the path that a variable named"""
    setting.run(43)
    assert setting["my_function"].remote() is None
    setting.define("""
        @app.function(volumes={VOLUME_PATH: volume})
        def is_mounted():
            return os.path.ismount(VOLUME_PATH)
    """)
    assert setting["is_mounted"].remote()


@pytest.mark.block(44, "as written")
def test_what_is_committed_is_there(setting: Setting) -> None:
    """The JSON file is in the volume when the call returns"""
    setting.run(43, 44)
    setting["save_data"].remote({"a": 1})
    assert read(setting["volume"], "data.json") == '{"a": 1}'


@pytest.mark.block(45, "as written")
def test_another_container_reads_it(setting: Setting) -> None:
    """None where nothing is; a container that starts later has what was committed, unasked"""
    setting.run(43, 44)
    setting["save_data"].remote({"a": 1})
    setting.run(45)
    assert setting["read_data"].remote() == {"a": 1}


def test_another_container_without_a_file(setting: Setting) -> None:
    setting.run(43, 44, 45)
    assert setting["read_data"].remote() is None


@pytest.mark.block(46, "as written")
@pytest.mark.block(47, "layout")
def test_directories_of_users(setting: Setting) -> None:
    """`/users/HASH/FILE`, bytes as they were given"""
    setting.run(43, 44, 46)
    setting["save_user_file"].remote("ann", "data.json", b"\0\xff")
    setting["save_user_file"].remote("ann", "settings.json", b"{}")
    setting["save_user_file"].remote("ben", "data.json", b"")
    ann, ben = hashed("ann"), hashed("ben")
    assert names(setting["volume"]) == {
        f"users/{ann}/data.json",
        f"users/{ann}/settings.json",
        f"users/{ben}/data.json",
    }
    assert b"".join(setting["volume"].read_file(f"users/{ann}/data.json")) == b"\0\xff"


@pytest.mark.block(48, "as written")
def test_time_buckets(setting: Setting) -> None:
    """`/events/DATE/HOUR/HASH/ID.json`"""
    setting.run(43, 44, 46, 48)
    before = datetime.now(UTC)
    setting["save_event"].remote("ann", {"id": "event_123"})
    after = datetime.now(UTC)
    (path,) = names(setting["volume"])
    hours = [f"{time:%Y-%m-%d}/{time.hour}" for time in (before, after)]
    assert path in [f"events/{hour}/{hashed('ann')}/event_123.json" for hour in hours]


@pytest.mark.block(49, "as written")
@pytest.mark.block(50, "layout")
def test_a_hierarchy(setting: Setting) -> None:
    """`/TYPE/HASH/ID.json`"""
    setting.run(43, 44, 46, 49)
    made = [("schedules", "schedule_1"), ("schedules", "schedule_2"), ("profiles", "profile")]
    for kind, name in made:
        setting["save_resource"].remote("ann", kind, name, {})
    assert names(setting["volume"]) == {
        f"{kind}/{hashed('ann')}/{name}.json" for kind, name in made
    }


@pytest.mark.block(51, "as written")
def test_listing(setting: Setting) -> None:
    """glob finds the user's JSON files; no directory, no files"""
    setting.run(43, 46, 51)
    upload_all(setting, f"users/{hashed('ann')}/a.json", f"users/{hashed('ann')}/b.txt", "c.json")
    assert setting["list_user_files"].remote("ann") == ["a.json"]
    assert setting["list_user_files"].remote("ben") == []


@pytest.mark.block(52, "as written")
def test_deleting(setting: Setting) -> None:
    """True and gone from the volume; False the second time"""
    setting.run(43, 44, 46, 52)
    upload_all(setting, f"users/{hashed('ann')}/a.json")
    assert setting["delete_user_file"].remote("ann", "a.json") is True
    assert names(setting["volume"]) == set()
    assert setting["delete_user_file"].remote("ann", "a.json") is False


@pytest.mark.block(53, "as written")
def test_empty_directories_are_removed(setting: Setting) -> None:
    """Those below the path, however deep; others stay"""
    setting.run(43, 44, 53)
    setting.define("""
        @app.function(volumes={VOLUME_PATH: volume})
        def make():
            for path in ("users/a/b/c", "users/d", "others/e"):
                Path(VOLUME_PATH, path).mkdir(parents=True)
            Path(VOLUME_PATH, "users/d/f").touch()
            volume.commit()
    """)
    setting["make"].remote()
    setting["cleanup_empty_dirs"].remote("users")
    left = {entry.path for entry in setting["volume"].iterdir("/")}
    assert left == {"users", "users/d", "users/d/f", "others", "others/e"}


@pytest.mark.block(54, "as written")
def test_old_days_are_removed(setting: Setting) -> None:
    """Days before the limit go as a whole; what is no day stays; without `events` it fails"""
    setting.run(43, 44, 54)
    with pytest.raises(FileNotFoundError):
        setting["cleanup_old_events"].remote()
    today = datetime.now(UTC)
    old, new = (f"{today - timedelta(days=days):%Y-%m-%d}" for days in (40, 20))
    paths = [f"events/{old}/0/e.json", f"events/{new}/0/e.json", "events/notes/e.json"]
    upload_all(setting, *paths)
    setting.stop()
    setting["cleanup_old_events"].remote(days_to_keep=30)
    assert names(setting["volume"]) == set(paths[1:])


@pytest.mark.block(55, "as written")
def test_one_commit_and_many(setting: Setting) -> None:
    """Both write all files: one makes one version, the other one for each file"""
    setting.run(43, 44, 55)
    setting["save_batch"].remote([{"id": number} for number in range(10)])
    one = len(list(setting["volume"].log()))
    setting["save_batch_slow"].remote([{"id": number} for number in range(10, 20)])
    many = len(list(setting["volume"].log())) - one
    assert one < 10 <= many  # background commits may have come in between
    assert names(setting["volume"]) == {f"{number}.json" for number in range(20)}


@pytest.mark.noisy("save_data")
@pytest.mark.block(56, "as on Modal")
def test_a_missing_commit(setting: Setting) -> None:
    """Nothing is lost without commit: the container's end commits. Of two of one name, the later"""
    setting.run(43, 44)
    forgetful = BLOCKS[56].text.partition("# ✅ Correct\n")[0]
    setting.define(forgetful)
    setting["save_data"].remote({"a": 1})
    setting.stop()
    assert read(setting["volume"], "data.json") == '{"a": 1}'
    setting.run(56)
    setting["save_data"].remote({"b": 2})
    assert read(setting["volume"], "data.json") == '{"b": 2}'


@pytest.mark.noisy("increment_counter")
@pytest.mark.block(57, "as on Modal")
def test_a_counter(setting: Setting) -> None:
    """One after the other both count; two containers at once lose one, also with flock"""
    racy = BLOCKS[57].text.partition("# ✅ Better: ")[0]
    setting.run(43)
    setting.define("""
        arrived = modal.Queue.from_name("arrived", create_if_missing=True)
        go = modal.Queue.from_name("go", create_if_missing=True)
        together = modal.Dict.from_name("together", create_if_missing=True)

        def int(text):
            if together.get("wait"):
                arrived.put(text)
                go.get()
            import builtins
            return builtins.int(text)
    """)
    for part in (racy, BLOCKS[57].text):
        setting["together"]["wait"] = False
        upload(setting["volume"], setting.write("zero", "0"), "counter.txt")
        setting.define(part)
        setting["increment_counter"].remote()
        setting["increment_counter"].remote()
        assert read(setting["volume"], "counter.txt") == "2"
        setting.stop()
        setting["together"]["wait"] = True
        calls = [setting["increment_counter"].spawn() for _ in range(2)]
        assert [setting["arrived"].get(timeout=30) for _ in calls] == ["2", "2"]
        setting["go"].put_many([None, None])
        for call in calls:
            call.get()
        assert read(setting["volume"], "counter.txt") == "3"


@pytest.mark.block(58, "as written")
def test_reloading(setting: Setting) -> None:
    """A container that has read before reads what was committed since"""
    setting.run(43, 44, 58)
    for data in ({"a": 1}, {"b": 2}):
        setting["save_data"].remote(data)
        assert setting["read_latest_data"].remote() == data
