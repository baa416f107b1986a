"""S1, "Modal Storage: Volumes, Dict, Queue, and CloudBucketMount"."""

from __future__ import annotations

import queue

import pytest

import volfs as modal
from tests.spec.blocks import BLOCKS
from tests.spec.buckets import Buckets
from tests.spec.contents import names, read, upload
from tests.spec.setting import Setting, Shell


@pytest.mark.block(17, "as written")
def test_a_volume_by_name(setting: Setting) -> None:
    """Nothing is made before the first use, and then the volume"""
    setting.run(17)
    assert modal.Volume.objects.list() == []
    setting["vol"].hydrate()
    assert [volume.name for volume in modal.Volume.objects.list()] == ["my-volume"]


@pytest.mark.fuse
@pytest.mark.block(18, "as written")
def test_data_is_processed(setting: Setting) -> None:
    """It reads what was uploaded, and what it wrote is in the volume when it returns"""
    setting.define('processed = "done"')
    setting.run(17, 18)
    upload(setting["vol"], setting.write("input.txt"), "input.txt")
    setting["process_data"].remote()
    assert read(setting["vol"], "output.txt") == "done"


@pytest.mark.fuse
@pytest.mark.block(19, "as on Modal")
def test_operations(setting: Setting) -> None:
    """RuntimeError where it is not mounted; in a container each commits and shows the newest"""
    setting.run(17)
    with pytest.raises(RuntimeError, match="my-volume"):
        setting.run(19)
    setting.define("""
        @app.function(volumes={"/data": vol})
        def inside(block):
            exec(block, {"vol": vol})
            return sorted(path.name for path in Path("/data").iterdir())
    """)
    for seen in (["a"], ["a", "b"]):
        upload(setting["vol"], setting.write("uploaded"), seen[-1])
        assert setting["inside"].remote(BLOCKS[19].text) == seen


@pytest.mark.block(20, "as written")
def test_volume_commands(shell: Shell, setting: Setting) -> None:
    """create, list, put work; get finds its output there; ls and rm look where nothing is"""
    setting.write("local_file.txt", "mine")
    assert [done.status for done in shell.run(20)] == [0, 0, 0, 2, 1, 1]
    assert shell.call("modal volume ls my-vol /remote/path").out == "remote/path/file.txt\n"
    (setting.directory / "local_file.txt").unlink()
    assert shell.call("modal volume get my-vol /remote/path/file.txt local_file.txt").status == 0
    assert (setting.directory / "local_file.txt").read_text() == "mine"


@pytest.mark.fuse
@pytest.mark.block(21, "as on Modal")
def test_a_failure(setting: Setting) -> None:
    """Success is committed at once; a failure is raised, and its files are kept all the same"""
    setting.define("""
        def process_files():
            Path("/data/written").touch()
            if Path("/data/fail").exists():
                Path("/data/half").touch()
                raise ValueError("no")
    """)
    setting.run(17, 21)
    setting["safe_volume_usage"].remote()
    assert names(setting["vol"]) == {"written"}
    upload(setting["vol"], setting.write("uploaded"), "fail")
    with pytest.raises(ValueError, match="no"):
        setting["safe_volume_usage"].remote()
    setting.stop()
    assert names(setting["vol"]) == {"written", "fail", "half"}


@pytest.mark.block(22, "as written, beyond Modal")
def test_dict(setting: Setting) -> None:
    """Set, get, look, delete; `ttl=` is taken"""
    setting.run(22)
    assert setting["value"] == "value"
    assert "key" not in setting["d"]


@pytest.mark.fuse
@pytest.mark.block(23, "as written, beyond Modal")
def test_a_cache_and_a_limit(setting: Setting) -> None:
    """Computed once, then from the Dict; the hundredth call passes, the next one is refused"""
    setting.define("""
        import uuid

        def expensive_computation(key):
            return key, uuid.uuid4()

        def process_request():
            return "processed"
    """)
    setting.run(23)
    first = setting["cached_compute"].remote("a")
    assert setting["cached_compute"].remote("a") == first
    assert setting["cached_compute"].remote("b") != first
    limits = modal.Dict.from_name("rate-limits", create_if_missing=True)
    limits["ann"] = 99
    assert setting["rate_limited_api"].remote("ann") == "processed"
    with pytest.raises(Exception, match="Rate limit exceeded"):
        setting["rate_limited_api"].remote("ann")
    assert limits["ann"] == 100


@pytest.mark.fuse
@pytest.mark.block(24, "as written")
def test_a_queue(setting: Setting) -> None:
    """Tasks come in their order; None ends it"""
    setting.define("""
        done = modal.Queue.from_name("done", create_if_missing=True)
        process = done.put
    """)
    setting.run(24)
    running = setting["process_tasks"].spawn()
    for task in (1, {"a": 2}, None):
        setting["submit_task"].remote(task)
    running.get()
    assert list(setting["done"].iterate()) == [1, {"a": 2}]


@pytest.mark.fuse
@pytest.mark.block(25, "as written")
def test_a_queue_with_a_timeout(setting: Setting) -> None:
    """An item is taken at once; where none is, None; after ten seconds queue.Empty"""
    tasks = modal.Queue.from_name("tasks", create_if_missing=True)
    tasks.put("task")
    setting.run(25)
    assert setting["consumer"].remote() is None
    assert tasks.len() == 0


@pytest.mark.fuse
@pytest.mark.slow
def test_a_queue_with_a_timeout_that_is_over(setting: Setting) -> None:
    modal.Queue.objects.create("tasks")
    setting.run(25)
    with pytest.raises(queue.Empty):
        setting["consumer"].remote()


@pytest.mark.fuse
@pytest.mark.block(26, "as written")
def test_fan_out(setting: Setting) -> None:
    """One container shares out and collects, three others work at the same time"""
    for name in ("work-queue", "results-queue"):
        modal.Queue.objects.create(name)
    setting.define("""
        NUM_WORKERS = 3

        def process(item):
            return item * item
    """)
    setting.run(26)
    workers = [setting["worker"].spawn() for _ in range(3)]
    assert sorted(setting["coordinator"].remote(list(range(10)))) == [n * n for n in range(10)]
    for worker in workers:
        worker.get()


@pytest.mark.fuse
@pytest.mark.block(27, "as on Modal")
def test_buckets_of_s3(setting: Setting, s3: Buckets) -> None:
    """A file is read, another one is in the bucket; the "read-only mount" can be written, too"""
    modal.Secret.objects.create("aws-creds", s3.secret)
    s3.put("my-bucket", {"path/to/file.txt": "read"})
    setting.run(27)
    assert setting["read_from_s3"].remote() == "read"
    with pytest.raises(FileNotFoundError):  # a folder begins with its first object, or by mkdir
        setting["write_to_s3"].remote()
    s3.put("my-bucket", {"output/other.txt": "other"})
    setting.renew_app()
    setting.run(27)
    setting["write_to_s3"].remote()
    assert s3.read("my-bucket", "output/result.txt") == "data"
    assert not setting["s3_mount"].read_only


@pytest.mark.fuse
@pytest.mark.block(28, "as written, beyond Modal")
def test_a_bucket_of_gcs(setting: Setting, google: Buckets) -> None:
    """All files are processed; without an endpoint, it is the secret that says it is Google's"""
    modal.Secret.objects.create("gcp-creds", google.secret)
    google.put("my-gcs-bucket", {"data/a": "a", "data/b": "b"})
    setting.define("""
        done = modal.Queue.from_name("done", create_if_missing=True)

        def process(path):
            done.put((path, Path(path).read_text()))
    """)
    setting.run(28)
    setting["process_from_gcs"].remote()
    assert sorted(setting["done"].iterate()) == [("/gcs/data/a", "a"), ("/gcs/data/b", "b")]


@pytest.mark.block(29, "as written")
def test_secret_commands(shell: Shell) -> None:
    """Both are made; the value is split off at the first `=`"""
    aws, gcp = shell.run(29)
    assert "'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'" in aws.out
    assert "the key 'GOOGLE_APPLICATION_CREDENTIALS_JSON'" in gcp.out
    assert (aws.status, gcp.status) == (0, 0)


@pytest.mark.fuse
@pytest.mark.block(30, "as written")
def test_a_pipeline(setting: Setting, s3: Buckets, capfd: pytest.CaptureFixture[str]) -> None:
    """All files of the bucket, in their order, are in the volume, and their status is printed"""
    modal.Secret.objects.create("aws-creds", s3.secret)
    setting.define("transform = str.upper")
    files = ["c.txt", "a.txt", "b.txt"]
    s3.put("input-data", {name: name for name in files})
    setting.run(30)
    assert setting["coordinator"].remote(files) == files
    assert [read(setting["data_vol"], name) for name in files] == ["C.TXT", "A.TXT", "B.TXT"]
    assert "c.txt: completed\na.txt: completed\nb.txt: completed\n" in capfd.readouterr().out
    assert list(setting["task_queue"].iterate()) == files
