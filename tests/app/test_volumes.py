"""Volumes in functions' containers: who sees what, and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import volfs as modal
from tests.api.conftest import ROOT
from tests.app import shop
from tests.harness.mounted import wait_until
from tests.harness.waits import drop_waits
from volfs.control.mount_client import list_mounts
from volfs.control.mounts import list_mount_points
from volfs.exception import FunctionTimeoutError, InvalidError

pytestmark = pytest.mark.fuse


@pytest.fixture(autouse=True)
def running(run) -> modal.App:
    return run(shop.app)


def read_committed(name: str) -> bytes:
    return b"".join(shop.volume.read_file(name))


def test_a_warm_reader_sees_a_commit_after_its_reload() -> None:
    """The guide's own example."""
    assert shop.read.remote("bar.txt") is None
    shop.write.remote("bar.txt", "hello")
    assert shop.read.remote("bar.txt") is None
    assert shop.read.remote("bar.txt", reload=True) == "hello"


def test_what_is_not_committed_is_seen_by_its_container_alone() -> None:
    shop.write.with_options(auto_commit=False).remote("own.txt", "mine", commit=False)
    fresh = shop.read.with_options(scaledown_window=0.0)
    assert fresh.remote("own.txt") is None


def test_the_end_of_the_app_commits() -> None:
    app = modal.App("short")
    write = app.function(volumes={"/data": shop.volume})(shop.write.get_raw_f())
    with app.run():
        write.remote("late.txt", "late", commit=False)
    assert read_committed("late.txt") == b"late"


def test_a_failure_commits_too() -> None:
    app = modal.App("failing")

    @app.function(volumes={"/data": shop.volume})
    def write_and_fail() -> None:
        Path("/data/failed.txt").write_text("there")
        raise ValueError("after that")

    with app.run(), pytest.raises(ValueError, match="after that"):
        write_and_fail.remote()
    assert read_committed("failed.txt") == b"there"


def test_a_retry_after_a_death_begins_with_what_was_written() -> None:
    app = modal.App("dying")

    @app.function(volumes={"/data": shop.volume}, retries=modal.Retries(1, initial_delay=0.0))
    def resume() -> str:
        path = Path("/data/progress.txt")
        if path.exists():
            return path.read_text()
        path.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with app.run():
        assert resume.remote() == "half"


@pytest.mark.noisy("its daemon died")
def test_a_container_that_lost_its_volume_is_replaced() -> None:
    app = modal.App("losing")
    volume = modal.Volume.from_name("lost", create_if_missing=True)

    @app.function(volumes={"/lost": volume}, max_containers=1)
    def write(name: str) -> list[str]:
        Path("/lost", name).write_text(name)
        volume.commit()
        return sorted(os.listdir("/lost"))

    def kill_daemon() -> None:
        (mount,) = [client for client in list_mounts() if client.mount.source == "lost"]
        os.kill(mount.status().pid, signal.SIGKILL)

    with app.run():
        assert write.remote("a") == ["a"]
        kill_daemon()
        with pytest.raises(OSError, match=r"not connected|connection abort"):
            write.remote("b")
        assert write.remote("c") == ["a", "c"]
    again = write.with_options(retries=modal.Retries(1, initial_delay=0.0))
    with app.run():
        assert again.remote("d") == ["a", "c", "d"]
        kill_daemon()
        assert again.remote("e") == ["a", "c", "d", "e"]


def test_what_a_timeout_killed_is_committed() -> None:
    app = modal.App("late")

    @app.function(volumes={"/data": shop.volume}, timeout=1)
    def write_and_wait(name: str) -> None:
        Path("/data", name).write_text("there")
        threading.Event().wait(600 if name == "timeout.txt" else 0)

    with app.run():
        write_and_wait.remote("warm.txt")
        with pytest.raises(FunctionTimeoutError):
            write_and_wait.remote("timeout.txt")
    assert read_committed("timeout.txt") == b"there"


def test_each_container_has_a_view_and_conflicts_are_merged() -> None:
    app = modal.App("writers")

    @app.function(volumes={"/data": shop.volume}, single_use_containers=True, auto_commit=0)
    def write(number: int) -> list[str]:
        Path(f"/data/of-{number}.txt").write_text(str(number))
        Path("/data/of-all.txt").write_text(str(number))
        shop.said.put(number, partition="written")
        while shop.said.len(partition="written") < 2:
            threading.Event().wait(0.01)
        return sorted(path.name for path in Path("/data").glob("of-[0-9].txt"))

    with app.run():
        assert list(write.map([0, 1])) == [["of-0.txt"], ["of-1.txt"]]
    assert [read_committed(f"of-{n}.txt") for n in (0, 1)] == [b"0", b"1"]
    assert read_committed("of-all.txt") in (b"0", b"1")


def test_read_only() -> None:
    with pytest.raises(OSError, match="Read-only file system"):
        shop.write_nothing.remote()


def test_sub_path() -> None:
    app = modal.App("sub")
    below = shop.volume.with_mount_options(sub_path="/users/a")
    write = app.function(volumes={"/data": below})(shop.write.get_raw_f())
    with app.run():
        write.remote("f.txt", "below", commit=False)
    assert read_committed("users/a/f.txt") == b"below"


def test_reload_with_open_files() -> None:
    with pytest.raises(RuntimeError, match="there are open files preventing the operation"):
        shop.reload_busy.remote()


def test_sync_commits_unless_the_background_does_not() -> None:
    app = modal.App("syncing")

    def sync(name: str) -> None:
        Path("/data", name).write_text("x")
        directory = os.open("/data", os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    options = {"volumes": {"/data": shop.volume}}
    quiet = app.function(name="quiet", auto_commit=0, **options)(sync)
    with app.run():
        app.function(auto_commit=3600, **options)(sync).remote("sync1.txt")
        quiet.remote("sync2.txt")
        assert shop.volume.exists("sync1.txt")
        assert not shop.volume.exists("sync2.txt")
    assert shop.volume.exists("sync2.txt")
    for option in ("auto_commit", "lanes", "max_inputs"):
        with pytest.raises(InvalidError, match=f"{option} must be positive"):
            app.function(**{option: -1})


def test_two_handles_of_one_volume() -> None:
    app = modal.App("twice")
    again = modal.Volume.from_name("data")
    function = app.function(volumes={"/a": shop.volume, "/b": again})(shop.double)
    with app.run(), pytest.raises(InvalidError, match="same Volume"):
        function.remote(1)


PROGRAM = """
import sys
from pathlib import Path
import volfs as modal
wait = False
app = modal.App("script")
volume = modal.Volume.from_name("ends", create_if_missing=True)

@app.function(volumes={"/data": volume})
def write():
    Path("/data/end.txt").write_text("end")
    print("written", flush=True)
    if wait:
        import threading
        threading.Event().wait()

# CALLS
"""


def start(place: Path, *lines: str) -> subprocess.Popen[str]:
    script = place / "script.py"
    script.write_text(PROGRAM.replace("# CALLS\n", "\n".join(lines)))
    return subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_end_of_the_program_commits(place: Path) -> None:
    out, error = start(place, "write.remote()").communicate(timeout=60)
    assert (out, drop_waits(error)) == ("written\n", "")
    ends = modal.Volume.from_name("ends")
    assert b"".join(ends.read_file("end.txt")) == b"end"


def test_an_interrupt_ends_all_and_commits(place: Path) -> None:
    process = start(place, "wait = True", "with app.run():", "    write.remote()")
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    assert find_mounts(place)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in error
    assert "calls of write were ended with it: 1" in error
    ends = modal.Volume.from_name("ends")
    assert b"".join(ends.read_file("end.txt")) == b"end"
    assert not find_mounts(place)


def test_the_death_of_the_program_ends_its_containers(place: Path) -> None:
    process = start(place, "wait = True", "write.remote()")
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    assert find_mounts(place)
    process.kill()
    process.communicate()
    wait_until(lambda: not find_mounts(place), "the daemons to unmount")


def find_mounts(place: Path) -> list[str]:
    """Those of programs; the apps of this process have some, too."""
    mounts = [m.source for m in list_mount_points() if m.path.startswith(f"{place}/")]
    return [source for source in mounts if "ends" in source]
