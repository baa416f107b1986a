"""How file systems like this one lost data or hung elsewhere, tried here.

What is not below is where it belongs: ``test_damage.py``, ``test_reload.py``,
``test_tools.py``, ``tests/daemon`` and ``tests/store``.
"""

from __future__ import annotations

import errno
import os
import random
import subprocess
import threading
from pathlib import Path

import pytest

from tests.harness.calls import fails, start_python
from tests.harness.mounted import Mounted, Mounts, wait_until

pytestmark = pytest.mark.fuse


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


# --- bytes ----------------------------------------------------------------------


def test_sparse_copies_of_files_just_written_are_whole(mounted: Mounted) -> None:
    """OpenZFS 15526: a copy asked for holes of what was still dirty, and got zeros."""
    here = mounted.path
    for number in range(12):
        data = noise(number, 70_000) + bytes(200_000) + noise(number, 1000 * number + 1)
        with (here / "f").open("wb", buffering=0) as file:
            file.write(data)
            copies = [here / f"{number}-{option}" for option in ("always", "auto", "never")]
            for copy in copies:
                option = f"--sparse={copy.name.split('-')[1]}"
                subprocess.run(["cp", option, here / "f", copy], check=True)
        assert [copy.read_bytes() == data for copy in copies] == [True] * 3
        if number % 4 == 0:
            mounted.commit()
            assert [copy.read_bytes() == data for copy in copies] == [True] * 3


def test_sizes_agree_after_truncates_and_writes_at_once(mounts: Mounts, mounted: Mounted) -> None:
    """hf-mount 76: a truncate between a write and its size."""
    path = mounted.path / "f"
    path.touch()
    code = """
import os, random, sys
chance = random.Random(int(sys.argv[2]))
f = os.open(sys.argv[1], os.O_RDWR)
for n in range(400):
    if chance.random() < 0.5: os.ftruncate(f, chance.randrange(100_000))
    else: os.pwrite(f, bytes([chance.randrange(1, 256)]) * chance.randrange(1, 20_000),
                    chance.randrange(100_000))
"""
    children = [start_python(code, path, seed) for seed in range(3)]
    while any(child.poll() is None for child in children):
        mounted.commit()
    assert [child.communicate() and child.returncode for child in children] == [0, 0, 0]
    size = path.stat().st_size
    data = path.read_bytes()
    assert len(data) == size
    os.utime(path)  # the kernel asks for the size again
    assert path.stat().st_size == size
    mounted.commit()
    assert (mounts.mount(read_only=True).path / "f").read_bytes() == data


def test_reads_of_odd_sizes_see_the_end_where_it_is(mounts: Mounts, mounted: Mounted) -> None:
    """gcsfuse: premature ends with large read-ahead."""
    sizes = [1, 4095, 4097, 65_535, 131_073, 1_000_003]
    for size in sizes:
        (mounted.path / str(size)).write_bytes(noise(size, size))
    mounted.unmount()
    again = mounts.mount(mounted.path, read_only=True)
    for size in sizes:
        for step in (1021, 65_537, 1 << 20):
            with (again.path / str(size)).open("rb", buffering=0) as file:
                data = b"".join(iter(lambda s=step, f=file: f.read(s), b""))  # type: ignore[misc]
            assert data == noise(size, size)


def test_a_replaced_file_is_never_the_old_one_under_another_size(mounted: Mounted) -> None:
    """s3fs 2120, hf-mount 75: bytes kept of a file that was replaced meanwhile."""
    path = mounted.path / "f"
    for number in range(30):
        data = noise(number, 50_000 - 1500 * number)
        other = mounted.path / "new"
        other.write_bytes(data)
        with path.open("ab") as old:
            os.replace(other, path)
            old.write(b"to the one that is gone")
        assert path.read_bytes() == data
        if number % 10 == 0:
            mounted.commit()
            assert path.read_bytes() == data


# --- names ------------------------------------------------------------------------


def test_a_name_that_was_missing_is_there_the_moment_it_is_made(
    mounts: Mounts, mounted: Mounted
) -> None:
    """sandbox0 609: ``git clone`` looked before it wrote, and the absence was remembered."""
    code = """
import os, sys
os.chdir(sys.argv[1])
for line in sys.stdin:
    print(os.path.exists(line.strip()), flush=True)
"""
    other = start_python(code, mounted.path)
    assert other.stdin is not None
    assert other.stdout is not None

    def is_seen(name: str) -> bool:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(name + "\n")
        return other.stdout.readline() == "True\n"

    here = mounted.path
    makers = {
        "f": lambda: (here / "f").touch(),
        "d": lambda: (here / "d").mkdir(),
        "link": lambda: os.symlink(".", here / "link"),
        "hard": lambda: os.link(here / "f", here / "hard"),
        "moved": lambda: os.rename(here / "hard", here / "moved"),
        "d/inside": lambda: (here / "d" / "inside").touch(),
    }
    for name, make in makers.items():
        assert not is_seen(name)
        make()
        assert is_seen(name)
    (here / "f").unlink()
    assert not is_seen("f")
    assert not is_seen("hard")
    other.communicate()


def test_a_clone_from_outside_is_whole(
    mounted: Mounted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sandbox0 609 again, with the program that met it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    source = tmp_path / "source"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t", "-C"]
    subprocess.run(["git", "init", "-q", source], check=True)
    for number in range(150):
        (source / f"{number}.txt").write_bytes(noise(number, 100 * number))
    subprocess.run([*git, source, "add", "."], check=True)
    subprocess.run([*git, source, "commit", "-qm", "one"], check=True)
    clone = mounted.path / "clone"
    subprocess.run(["git", "clone", "-q", "--no-local", source, clone], check=True)
    subprocess.run([*git, clone, "fsck", "--full", "--strict"], check=True, capture_output=True)
    assert not subprocess.check_output([*git, clone, "status", "--short"])


# --- numbers ------------------------------------------------------------------------


def test_df_goes_back_when_files_go(mounted: Mounted) -> None:
    """JuiceFS 5967: what was deleted was still counted."""

    def used() -> tuple[int, int]:
        facts = os.statvfs(mounted.path)
        return facts.f_blocks - facts.f_bfree, facts.f_files - facts.f_ffree

    before = used()
    for number in range(20):
        (mounted.path / f"{number}").write_bytes(noise(number, 40_960))
    os.link(mounted.path / "0", mounted.path / "twin")
    assert used() == (before[0] + 200, before[1] + 20)
    mounted.commit()
    with (mounted.path / "1").open("rb"):
        for name in os.listdir(mounted.path):
            (mounted.path / name).unlink()
    assert used() == before
    mounted.commit()
    mounted.reload()
    assert used() == before


# --- the process ----------------------------------------------------------------------


def list_descriptors(pid: int) -> dict[int, str]:
    here = Path(f"/proc/{pid}/fd")
    return {int(name): os.readlink(here / name) for name in os.listdir(here)}


def test_programs_that_the_daemon_starts_inherit_nothing(mounted: Mounted) -> None:
    """JuiceFS 7162: the descriptor of /dev/fuse leaked into children."""
    (mounted.path / "f").write_bytes(b"x")
    mounted.commit()
    descriptors = list_descriptors(mounted.pid)
    assert "/dev/fuse" in descriptors.values()
    kept = {}
    for number, target in descriptors.items():
        try:
            text = Path(f"/proc/{mounted.pid}/fdinfo/{number}").read_text()
        except FileNotFoundError:
            continue  # it was open for a moment only
        flags = int(text.split("flags:")[1].split()[0], 8)
        if number > 2 and not flags & os.O_CLOEXEC:
            kept[number] = target
    assert not kept


def test_the_daemon_keeps_open_nothing_of_who_started_it(mounts: Mounts) -> None:
    """A lock or a pipe that the caller had open would be held as long as the mount lives."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    (mounts.directory / "lock").touch()
    lock = os.open(mounts.directory / "lock", os.O_RDONLY)
    os.set_inheritable(lock, True)
    mounted = mounts.mount(inherit=(writer, lock))
    os.close(writer)
    os.close(lock)
    os.set_blocking(reader, False)  # if somebody still has it: an error, and no waiting
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert str(mounts.directory / "lock") not in list_descriptors(mounted.pid).values()


def test_files_that_nobody_has_open_cost_no_descriptor(mounts: Mounts, mounted: Mounted) -> None:
    """A limit of 20,000 descriptors is soon reached by an inode each."""
    for number in range(1000):
        (mounted.path / f"{number}").write_bytes(noise(number, 2000))
    mounted.commit()
    other = mounts.mount(read_only=True)
    for number in range(1000):
        (other.path / f"{number}").read_bytes()
    for each in (mounted, other):
        assert len(list_descriptors(each.pid)) < 60


def test_a_store_and_a_mount_behind_symlinks(mounts: Mounts) -> None:
    """S3QL 5.1.1: with a symlink in the path of its state nothing was ever saved."""
    links = mounts.directory / "links"
    links.mkdir()
    (links / "store").symlink_to(mounts.store_path)
    (links / "there").symlink_to(mounts.place("real"))
    mounted = mounts.mount(links / "there", store=str(links / "store"))
    (links / "there" / "f").write_bytes(b"saved")
    assert mounted.commit().version == 1
    mounted.kill()
    again = mounts.mount(mounts.directory / "real")
    assert (again.path / "f").read_bytes() == b"saved"
    again.unmount()
    assert mounts.sessions == []


def test_reloads_and_commits_while_everybody_is_busy(mounts: Mounts) -> None:
    """hf-mount 186, 192, 195: a notification waited for a request that waited for it."""
    writer, reader = mounts.mount(), mounts.mount()
    stop = threading.Event()
    problems: list[OSError] = []

    def walk() -> None:
        try:
            while not stop.is_set():
                for path in (reader.path, reader.path / "d"):
                    for name in os.listdir(path):
                        try:
                            os.stat(path / name)
                        except FileNotFoundError:
                            pass
        except OSError as error:
            problems.append(error)

    (writer.path / "d").mkdir()
    writer.commit()
    reader.reload()
    threads = [threading.Thread(target=walk) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(25):
            (writer.path / "d" / f"{number}").write_text("x")
            (writer.path / f"{number % 3}").write_bytes(noise(number, 1000))
            writer.commit()
            reader.reload()
            (reader.path / "d" / "ours").write_text(str(number))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems
    assert len(os.listdir(reader.path / "d")) == 26
    reader.unmount(discard=True)


def test_what_a_dead_daemon_left_hanging_fails_and_does_not_wait(mounts: Mounts) -> None:
    """kubelet on a dead NFS: everything that touched it hung for ever."""
    mounted = mounts.mount()
    descriptor = os.open(mounted.path / "f", os.O_CREAT | os.O_RDWR)
    mounted.kill()
    calls = [
        lambda: os.listdir(mounted.path),
        lambda: os.pwrite(descriptor, b"y", 0),
        lambda: os.fsync(descriptor),
        lambda: os.close(descriptor),
    ]
    for call in calls:
        with fails(errno.ENOTCONN):
            call()
    again = mounts.mount(mounted.path)
    wait_until(lambda: os.statvfs(again.path).f_namemax == 255, "an answer")
