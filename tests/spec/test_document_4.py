"""S4, "Modal Volumes"."""

from __future__ import annotations

import pytest

import volfs as modal
from tests.spec.blocks import BLOCKS
from tests.spec.contents import names, read, upload
from tests.spec.setting import Setting, Shell


@pytest.mark.block(59, "as written")
def test_volumes_are_created(shell: Shell) -> None:
    """The first is made; the second has its name, so it is told that it exists"""
    first, second = shell.run(59)
    assert (first.status, second.status) == (0, 1)
    assert "my-volume: already exists" in second.err
    assert shell.call("modal volume delete -y my-volume").status == 0
    assert shell.call(second.command).status == 0


@pytest.mark.block(60, "as written")
def test_a_volume_by_name(setting: Setting) -> None:
    """The volume is made at its first use"""
    setting.run(60)
    assert modal.Volume.objects.list() == []
    setting["volume"].hydrate()
    assert [volume.name for volume in modal.Volume.objects.list()] == ["my-volume"]


@pytest.mark.fuse
@pytest.mark.block(61, "as written")
def test_below_the_mount(setting: Setting) -> None:
    """What is written below the path is in the volume; what is beside it is not"""
    setting.run(60, 61)
    setting["process"].remote()
    setting.define("""
        @app.function(volumes={"/data": volume})
        def beside(path):
            Path(path).write_text("beside")
    """)
    setting["beside"].remote(str(setting.directory / "result.txt"))
    setting.stop()
    assert names(setting["volume"]) == {"result.txt"}
    assert read(setting["volume"], "result.txt") == "hello"


@pytest.mark.fuse
@pytest.mark.block(62, "as written")
def test_commit(setting: Setting, shell: Shell) -> None:
    """RuntimeError where it is not mounted; a container publishes, and at its end the rest"""
    setting.run(60)
    with pytest.raises(RuntimeError, match="my-volume"):
        setting.run(62)
    setting.define("""
        @app.function(volumes={"/data": volume})
        def inside(block):
            Path("/data/early").touch()
            exec(block, {"volume": volume})
            Path("/data/late").touch()
    """)
    setting["inside"].remote(BLOCKS[62].text)
    assert "early" in names(setting["volume"])
    setting.stop()
    assert names(setting["volume"]) == {"early", "late"}


@pytest.mark.fuse
@pytest.mark.block(63, "as written")
def test_a_commit_for_each_file(setting: Setting) -> None:
    """100 files either way, and a version for each only with the commits"""
    setting.run(60)
    setting.define("""
        @app.function(volumes={"/data": volume})
        def inside(block):
            def write_file(path, data):
                Path(path).write_text(data)

            exec(block, {"volume": volume, "write_file": write_file, "data": "data"})
    """)
    setting["inside"].remote(BLOCKS[63].text)
    setting.stop()
    found = names(setting["volume"])
    assert found == {f"file_{number}.txt" for number in range(100)}
    assert {read(setting["volume"], name) for name in found} == {"data"}
    # Writing them again made one, or a few where background commits came in between.
    assert 100 < len(list(setting["volume"].log())) < 150


@pytest.mark.fuse
@pytest.mark.block(64, "as written")
def test_reload(setting: Setting) -> None:
    """A container that has read before reads what was committed since"""
    setting.run(60, 64)
    for text in ("first", "second"):
        upload(setting["volume"], setting.write("latest.txt", text), "latest.txt")
        assert setting["read_latest"].remote() == text


@pytest.mark.fuse
@pytest.mark.block(65, "as written")
def test_a_busy_volume(setting: Setting) -> None:
    """RuntimeError: "volume busy", with Modal's own words, and the file's name"""
    setting.run(60)
    setting.define("""
        @app.function(volumes={"/data": volume})
        def inside(block):
            exec(block, {"volume": volume})
    """)
    upload(setting["volume"], setting.write("file.txt"), "file.txt")
    with pytest.raises(RuntimeError) as caught:
        setting["inside"].remote(BLOCKS[65].text)
    said = "volume busy: there are open files preventing the operation: path file.txt is open"
    assert said in str(caught.value)


@pytest.mark.fuse
@pytest.mark.block(66, "as written")
def test_a_file_for_each_task(setting: Setting) -> None:
    """All files are there, written by containers at the same time"""
    setting.run(60)
    setting.define("""
        arrived = modal.Queue.from_name("arrived", create_if_missing=True)
        go = modal.Queue.from_name("go", create_if_missing=True)
        result = "rows"

        def write_result(path, result):
            arrived.put(None)
            go.get()
            Path(path).write_text(result)
    """)
    setting.run(66)
    calls = [setting["process"].spawn(number) for number in range(3)]
    for _ in calls:
        setting["arrived"].get(timeout=60)
    setting["go"].put_many([None] * 3)
    for call in calls:
        call.get()
    setting.stop()
    found = names(setting["volume"])
    assert found == {f"task_{number:08d}.parquet" for number in range(3)}


@pytest.mark.fuse
@pytest.mark.block(67, "as written")
def test_one_file_for_all(setting: Setting) -> None:
    """Two containers append at once: one line of one is left, whole; the other is in the history"""
    setting.run(60, 67)
    setting.define("""
        arrived = modal.Queue.from_name("arrived", create_if_missing=True)
        go = modal.Queue.from_name("go", create_if_missing=True)

        class Task:
            def __init__(self, number):
                self.number = number

            def __format__(self, how):
                arrived.put(None)
                go.get()
                return str(self.number)
    """)
    calls = [setting["process"].spawn(setting["Task"](number)) for number in range(2)]
    for _ in calls:
        setting["arrived"].get(timeout=60)
    setting["go"].put_many([None] * 2)
    for call in calls:
        call.get()
    setting.stop()
    volume = setting["volume"]
    lines = {"Task 0 done\n", "Task 1 done\n"}
    last = read(volume, "shared_log.txt")
    assert last in lines
    versions = [version.version for version in volume.log()]
    assert {read(volume.at(version), "shared_log.txt") for version in versions} >= lines


@pytest.mark.block(68, "as written")
def test_volume_commands(shell: Shell, setting: Setting) -> None:
    """ls, get and put, with relative paths; delete wants a terminal or `-y`"""
    setting.write("local/file.txt", "mine")
    for command in (
        "modal volume create my-volume",
        "modal volume put my-volume local/file.txt remote/path.txt",
    ):
        assert shell.call(command).status == 0
    ls, get, put, delete = shell.run(68)
    assert (ls.status, get.status, put.status) == (0, 0, 0)
    assert ls.out == "remote\n"
    assert (setting.directory / "local" / "path.txt").read_text() == "mine"
    assert shell.call("modal volume get my-volume remote/file.txt -").out == "mine"
    assert delete.status == 1
    assert "Rerun with --yes (-y)" in delete.err
    assert shell.call(f"{delete.command} -y").status == 0
    assert modal.Volume.objects.list() == []


@pytest.mark.fuse
@pytest.mark.block(69, "as on Modal")
def test_downloading(setting: Setting, shell: Shell) -> None:
    """The program copies what is committed to the directory, which is the container's"""
    volume = modal.Volume.from_name("my-volume", create_if_missing=True)
    for name in ("a.parquet", "deep/b.parquet", "c.txt"):
        upload(volume, setting.write("uploaded", name), name)
    setting.write_program("program.py", 60, 69)
    done = shell.call("modal run program.py --output-dir copied")
    assert done.status == 0, done
    assert done.out.splitlines() == ["Downloaded: a.parquet", "Downloaded: deep/b.parquet"]
    assert (setting.directory / "copied" / "deep" / "b.parquet").read_text() == "deep/b.parquet"


@pytest.mark.block(70, "as written")
def test_batch_upload(setting: Setting) -> None:
    """Two files and a directory, in one version; the second time the files are there"""
    setting.run(60)
    for name in ("local1.txt", "local2.txt", "local_dir/a", "local_dir/deep/b"):
        setting.write(name)
    setting.run(70)
    volume = setting["volume"]
    assert names(volume) == {
        "remote/file1.txt",
        "remote/file2.txt",
        "remote/dir/a",
        "remote/dir/deep/b",
    }
    assert len(list(volume.log())) == 1
    with pytest.raises(FileExistsError):
        setting.run(70)
    assert len(list(volume.log())) == 1
