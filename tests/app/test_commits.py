"""What a call has written is committed when it returns: whoever it returns to can read it."""

from __future__ import annotations

import mmap
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import volfs as modal
from tests.app.conftest import Cleanup
from tests.harness.disks import fill, memory_disk
from volfs.errors import OutOfSpaceError
from volfs.exception import FunctionTimeoutError, RemoteError

pytestmark = pytest.mark.fuse
volume = modal.Volume.from_name("returned", create_if_missing=True)
other = modal.Volume.from_name("returned-too", create_if_missing=True)
DATA: dict[str, Any] = {"volumes": {"/data": volume}, "auto_commit": 3600}
"""Nothing is committed in the background before the tests have ended."""
app = modal.App("returning")
kept: list[Any] = []


@app.function(max_containers=1, **DATA)
def write(name: str, text: str = "x") -> None:
    Path("/data", name).write_text(text)


@app.function(max_containers=1, **DATA)
def look(name: str) -> str | None:
    volume.reload()
    path = Path("/data", name)
    return path.read_text() if path.exists() else None


@pytest.fixture(autouse=True)
def running(run) -> modal.App:
    return run(app)


def read(name: str, where: modal.Volume = volume) -> bytes:
    return b"".join(where.read_file(name))


def versions() -> int:
    return len(list(volume.log()))


def test_the_next_function_sees_it_and_one_that_changes_nothing_makes_no_version() -> None:
    assert look.remote("a") is None
    write.remote("a", "1")
    assert look.remote("a") == "1"
    before = versions()
    for _ in range(3):
        look.remote("a")
    assert versions() == before
    assert list(write.map([f"m{n}" for n in range(4)])) == [None] * 4
    assert all(read(f"m{n}") == b"x" for n in range(4))
    write.spawn("b").get(timeout=60)
    assert read("b") == b"x"


def test_what_a_container_of_another_called_has_written() -> None:
    @app.function(**DATA)
    def call() -> str | None:
        write.remote("through", "1")
        volume.reload()
        return Path("/data/through").read_text()

    assert call.remote() == "1"


def test_of_a_generator_at_its_end_also_an_early_one() -> None:
    @app.function(**DATA)
    def count(name: str) -> Iterator[int]:
        try:
            for number in range(3):
                Path("/data", name).write_text(str(number))
                yield number
        finally:
            Path("/data", f"{name}-end").write_text("closed")

    assert list(count.remote_gen("count")) == [0, 1, 2]
    assert (read("count"), read("count-end")) == (b"2", b"closed")


def test_also_of_a_call_that_fails_whatever_it_fails_of() -> None:
    @app.function(**DATA)
    def fail(how: str) -> None:
        Path("/data", how).write_text(how)
        if how == "raise":
            raise ValueError(how)
        if how == "exit":
            raise SystemExit(3)
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "end":
            os._exit(0)
        threading.Event().wait()

    for how, error in (("raise", ValueError), ("exit", RemoteError), ("die", RemoteError)):
        with pytest.raises(error):
            fail.remote(how)
        assert read(how) == how.encode()
    with pytest.raises(RemoteError):
        fail.remote("end")
    assert read("end") == b"end"
    with pytest.raises(FunctionTimeoutError):
        fail.with_options(timeout=1).remote("late")
    assert read("late") == b"late"


def test_of_maps_open_files_and_threads_what_is_written_by_then() -> None:
    @app.function(max_containers=1, **DATA)
    def hold(step: int) -> None:
        if step == 0:
            file = open("/data/mapped", "w+b")  # noqa: SIM115 - it stays open
            file.truncate(8)
            stream = open("/data/stream", "w")  # noqa: SIM115
            kept.extend((file, mmap.mmap(file.fileno(), 8), stream))
        kept[1][step] = ord("m")
        kept[2].write(f"{step};")
        kept[2].flush()
        thread = threading.Thread(target=Path("/data/thread").write_text, args=(str(step),))
        thread.start()
        thread.join()

    for step in range(3):
        hold.remote(step)
        written = b"m" * (step + 1) + bytes(7 - step)
        assert read("mapped") == written
        assert read("stream") == b"".join(b"%d;" % n for n in range(step + 1))
        assert read("thread") == str(step).encode()


def test_classes_and_calls_at_once() -> None:
    @app.cls(**DATA)
    @modal.concurrent(max_inputs=4)
    class Clerk:
        @modal.enter()
        def arrive(self) -> None:
            Path("/data/arrived").write_text("x")

        @modal.method()
        def note(self, name: str) -> str:
            Path("/data", name).write_text(name)
            return name

        @modal.exit()
        def leave(self) -> None:
            Path("/data/left").write_text("x")

    names = [f"note-{number}" for number in range(12)]
    with modal.App("clerks").include(app).run():
        for name in Clerk().note.map(names):
            assert read(name) == name.encode()
        assert read("arrived") == b"x"
    assert read("left") == b"x"


def test_not_where_commits_are_off() -> None:
    sealed = modal.Volume.from_name("sealed", create_if_missing=True)
    for number, off in enumerate((0, False)):
        quiet = write.with_options(volumes={"/data": sealed}, auto_commit=off)
        quiet.remote(f"quiet-{number}")
        assert not sealed.exists(f"quiet-{number}")
    loud = write.with_options(volumes={"/data": sealed}, auto_commit=True)
    loud.remote("loud")
    assert sealed.exists("loud")


def test_what_is_mounted_read_only_or_shares_files_anyway() -> None:
    shared = modal.NetworkFileSystem.from_name("returned-nfs", create_if_missing=True)
    mounts = {"/data": volume.with_mount_options(read_only=True), "/part": other}

    @app.function(
        volumes={**mounts, "/part": other.with_mount_options(sub_path="deep")},
        network_file_systems={"/shared": shared},
        auto_commit=3600,
    )
    def write_all() -> None:
        Path("/part/file").write_text("x")
        Path("/shared/file").write_text("x")

    write_all.remote()
    assert read("deep/file", other) == b"x"
    assert b"".join(shared.read_file("/file")) == b"x"


@pytest.mark.noisy("is not committed, but kept")
def test_a_commit_that_fails_is_the_calls_error(tmp_path: Path, place: Path) -> None:
    with memory_disk(tmp_path, 96 << 20) as disk:
        client = modal.Client(str(disk / "store"))
        full = modal.Volume.from_name("full", create_if_missing=True, client=client)
        small = modal.Volume.from_name("small", create_if_missing=True, client=client)
        full.hydrate()
        small.hydrate()

        @modal.App("full").function(
            volumes={"/full": full, "/small": small}, auto_commit=3600, max_containers=1
        )
        def write_much(size: int, error: str = "") -> str:
            if size:
                Path("/full/big").write_bytes(os.urandom(size))
                Path("/small/little").write_text("x")
            if error:
                raise ValueError(error)
            return "done"

        ended: Cleanup = write_much._target._app.close  # type: ignore[attr-defined]
        try:
            assert write_much.remote(0) == "done"
            ballast = fill(disk, leave=22 << 20)
            with pytest.raises(OutOfSpaceError, match=r"write_much wrote is not committed.*full: "):
                write_much.remote(12 << 20)
            assert read("little", small) == b"x"
            with pytest.raises(ValueError, match="its own"):
                write_much.remote(0, "its own")
            ballast.unlink()
            assert write_much.remote(0) == "done"  # what was kept is committed now
            assert len(read("big", full)) == 12 << 20
        finally:
            ended()
            client.close()
