"""S2, "Storage & Data": much of it Modal does not have, and volfs has it all the same."""

from __future__ import annotations

import json
import queue

import pytest

import volfs as modal
from tests.harness.mounted import wait_until
from tests.spec.buckets import Buckets
from tests.spec.contents import names, read, upload
from tests.spec.declared import check_accepted, find_attributes, find_classes
from tests.spec.setting import Setting, Shell

BEYOND = pytest.mark.filterwarnings("ignore:Modal has no:volfs.errors.DeprecatedWarning")


@pytest.mark.block(31, "declared")
def test_volume_is_declared(setting: Setting) -> None:
    """Volume takes every call declared; entries have what is declared"""
    declared = find_classes(31)
    check_accepted(modal.Volume, declared["Volume"])
    with modal.Volume.ephemeral() as volume:
        upload(volume, setting.write("uploaded"), "a")
        (entry,) = volume.listdir("/")
    assert find_attributes(declared["FileEntry"]) <= set(dir(entry))
    assert find_attributes(declared["FileEntryType"]) <= set(dir(modal.types.FileEntryType))


@BEYOND
@pytest.mark.fuse
@pytest.mark.block(32, "as written, beyond Modal")
def test_a_program_that_uploads(setting: Setting, shell: Shell) -> None:
    """`volfs run` uploads and lists; a container then reads the file and writes another"""
    setting.write("local_data.txt", "mine")
    setting.write("datasets/deep/a", "a")
    setting.write_program("program.py", 32)
    done = shell.call("modal run program.py")
    assert done.status == 0, done
    assert "input.txt: FILE, 4 bytes" in done.out.splitlines()
    assert "datasets: DIRECTORY, " in done.out
    setting.run(32)
    setting["process_data"].remote()
    setting.stop()
    assert names(setting["volume"]) == {"input.txt", "output.txt", "datasets/deep/a"}
    assert read(setting["volume"], "output.txt") == "Processed: mine"


@pytest.mark.block(33, "declared")
def test_network_file_system_is_declared() -> None:
    """NetworkFileSystem takes every call declared"""
    check_accepted(modal.NetworkFileSystem, find_classes(33)["NetworkFileSystem"])


@BEYOND
@pytest.mark.fuse
@pytest.mark.block(34, "as written, beyond Modal")
def test_a_shared_cache(setting: Setting) -> None:
    """The second call has the file's result; the file is there at once, without commit"""
    setting.define("""
        import uuid

        def expensive_computation(task):
            return [task, uuid.uuid4().hex]
    """)
    setting.run(34)
    result = setting["worker_function"].remote("1")
    assert json.loads(b"".join(setting["nfs"].read_file("/task_1.json"))) == result
    assert setting["worker_function"].remote("1") == result
    assert setting["worker_function"].remote("2") != result


@pytest.mark.block(35, "declared")
def test_dict_is_declared() -> None:
    """Dict takes every call declared; keys, values and items are iterators, as on Modal"""
    declared = find_classes(35)
    check_accepted(modal.Dict, declared["Dict"])
    with modal.Dict.ephemeral() as d:
        assert find_attributes(declared["DictInfo"]) <= set(dir(d.info()))
        d["a"] = 1
        assert (next(d.keys()), next(d.values()), next(d.items())) == ("a", 1, ("a", 1))


@BEYOND
@pytest.mark.fuse
@pytest.mark.block(36, "as written, beyond Modal")
def test_configuration_is_shared(setting: Setting) -> None:
    """What one function sets the others see; values read, changed and written are counted"""
    setting.define("""
        def use_new_algorithm():
            return "new"

        def use_legacy_algorithm():
            return "legacy"
    """)
    setting.run(36)
    setting["shared_dict"]["database_url"] = "none yet"
    assert setting["worker_task"].remote() == "legacy"
    setting["setup_config"].remote()
    assert setting["worker_task"].remote() == "new"
    for _ in range(2):
        setting["analytics_function"].remote()
    assert setting["shared_dict"]["request_count"] == 2
    assert [result["processed"] for result in setting["shared_dict"]["daily_results"]] == [100, 100]


@pytest.mark.block(37, "declared")
def test_queue_is_declared() -> None:
    """Queue takes every call declared"""
    declared = find_classes(37)
    check_accepted(modal.Queue, declared["Queue"])
    with modal.Queue.ephemeral() as q:
        assert find_attributes(declared["QueueInfo"]) <= set(dir(q.info()))


def run_tasks(setting: Setting) -> None:
    """Block 38, with its tasks in the queue."""
    setting.define("""
        done = modal.Queue.from_name("done", create_if_missing=True)

        def expensive_operation(data):
            done.put(data)

        def process_single_task(task):
            done.put(task["data"])
    """)
    setting.run(38)
    setting["generate_tasks"].remote()


@BEYOND
@pytest.mark.fuse
@pytest.mark.noisy("were ended with it")
@pytest.mark.block(38, "as on Modal")
def test_tasks(setting: Setting) -> None:
    """100 tasks are done in their order; a batch is taken while there are tasks, then waits"""
    run_tasks(setting)
    expected = [f"task_{number}" for number in range(100)]
    working = setting["process_tasks"].spawn()
    assert [setting["done"].get(timeout=60) for _ in expected] == expected
    working.cancel()
    setting["generate_tasks"].remote()
    working = setting["batch_processor"].spawn()
    assert [setting["done"].get(timeout=60) for _ in expected] == expected
    setting["task_queue"].put({"data": "one more"})
    assert setting["done"].get(timeout=60) == "one more"
    working.cancel()


@BEYOND
@pytest.mark.fuse
@pytest.mark.slow
def test_tasks_until_none_comes_for_30_seconds(
    setting: Setting, capfd: pytest.CaptureFixture[str]
) -> None:
    run_tasks(setting)
    setting["process_tasks"].remote()
    assert "No more tasks, worker stopping" in capfd.readouterr().out
    with pytest.raises(queue.Empty):
        setting["task_queue"].get(timeout=0)


@BEYOND
@pytest.mark.block(39, "declared")
def test_cloud_bucket_mount_is_declared() -> None:
    """CloudBucketMount takes every call declared"""
    check_accepted(modal.CloudBucketMount, find_classes(39)["CloudBucketMount"])


@BEYOND
@pytest.mark.fuse
@pytest.mark.block(40, "as written, beyond Modal")
def test_buckets(
    setting: Setting, s3: Buckets, google: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results are beside what was read; the second bucket is read-only unless told: EROFS"""
    monkeypatch.setenv("VOLFS_SHARE_TMP", "0")  # as with users: `/tmp/data` is the container's
    modal.Secret.objects.create("aws-credentials", s3.secret)
    modal.Secret.objects.create("gcp-credentials", google.secret)
    s3.put("my-data-bucket", {"input/data.csv": "12345", "output/other": "other"})
    google.put("my-gcs-bucket", {"backup/earlier": "earlier"})
    setting.define("""
        def analyze_data(data):
            return {"size": len(data)}
    """)
    setting.run(40)
    setting["process_s3_data"].remote()
    assert s3.read("my-data-bucket", "output/results.json") == '{"size": 5}'
    with pytest.raises(FileNotFoundError):  # of the container's own /tmp, which is empty
        setting["backup_to_gcs"].remote()
    setting.define("""
        @app.function(cloud_bucket_mounts={"/gcs-data": gcs_mount})
        def back_up():
            Path("/tmp/data").mkdir()
            Path("/tmp/data/new").write_text("new")
            try:
                backup_to_gcs.local()
            finally:
                print(os.listdir("/gcs-data/backup"))
    """)
    with pytest.raises(OSError, match="Read-only file system"):
        setting["back_up"].remote()


@BEYOND
@pytest.mark.fuse
@pytest.mark.block(41, "as written, beyond Modal")
def test_a_pipeline(setting: Setting) -> None:
    """A Volume is read, a NetworkFileSystem remembers, a Queue tells; the second time nothing"""
    setting.define("process_data_file = str.upper")
    setting.run(41)
    for name in ("a", "b"):
        upload(setting["raw_data_volume"], setting.write("uploaded", name), f"input/{name}")
    for _ in range(2):
        setting["data_pipeline"].remote()
    assert list(setting["processed_cache"].listdir("/")) != []
    tasks = [setting["task_queue"].get(timeout=0) for _ in range(2)]
    assert sorted(tasks, key=lambda task: task["file"]) == [
        {"type": "notify", "file": name, "result": name.upper()} for name in ("a", "b")
    ]
    assert setting["task_queue"].len() == 0


@BEYOND
@pytest.mark.fuse
@pytest.mark.noisy("were ended with it")  # the last worker may not have returned yet
@pytest.mark.block(42, "as written, beyond Modal")
def test_workers_share_a_state(setting: Setting) -> None:
    """Five workers are started and end; by the document's own design their counts may be low"""
    setting.define("""
        done = modal.Queue.from_name("done", create_if_missing=True)
        get_tasks = lambda: range(2)
        process_task = done.put
    """)
    setting.run(42)
    setting["coordinator"].remote()
    assert sorted(setting["done"].get(timeout=60) for _ in range(10)) == [0] * 5 + [1] * 5
    state = setting["shared_state"]
    wait_until(lambda: state["status"] == "completed" or state["active_workers"], "the workers")
    assert 1 <= state["total_processed"] <= 10
