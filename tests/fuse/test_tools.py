"""Programs that people use, on a mount, with commits in between."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.forked import run_program
from tests.harness.mounted import ROOT, Mounted, Mounts

pytestmark = pytest.mark.fuse
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a program; skip the test where there is none. It has a home of its own."""
    names = {
        f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **names, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def run(*argv: str | Path, cwd: Path | None = None) -> str:
        if shutil.which(str(argv[0])) is None:
            pytest.skip(f"{argv[0]} is not installed")
        done = subprocess.run(
            argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with all sorts of files."""
    path = tmp_path / "source"
    shutil.copytree(ROOT / "volfs", path, ignore=shutil.ignore_patterns("__pycache__"))
    os.symlink("store/registry.py", path / "link")
    os.link(path / "store" / "registry.py", path / "hard")
    os.mkfifo(path / "fifo")
    (path / "empty").mkdir()
    (path / "script").write_text("#!/bin/sh\necho it runs\n")
    (path / "script").chmod(0o755)
    with (path / "sparse").open("wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
    return path


def test_git(mounted: Mounted, run: Run, source: Path) -> None:
    repository = mounted.path / "repository"
    repository.mkdir()
    run("git", "init", "-q", ".", cwd=repository)
    shutil.copytree(source / "store", repository / "store")
    run("git", "add", ".", cwd=repository)
    run("git", "commit", "-qm", "one", cwd=repository)
    mounted.commit()
    (repository / "store" / "registry.py").write_text("changed\n")
    assert run("git", "status", "--short", cwd=repository) == " M store/registry.py\n"
    run("git", "commit", "-qam", "two", cwd=repository)
    run("git", "clone", "-q", repository, mounted.path / "clone")
    run("git", "gc", "-q", cwd=repository)
    mounted.commit()
    mounted.reload()
    for path in (repository, mounted.path / "clone"):
        run("git", "fsck", "--full", "--strict", cwd=path)
        assert run("git", "log", "--format=%s", cwd=path).split() == ["two", "one"]
        assert run("git", "status", "--short", cwd=path) == ""


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist", "memory"])
def test_sqlite(mounted: Mounted, journal: str) -> None:
    path = mounted.path / "db"
    for round_number in range(3):
        connection = sqlite3.connect(path)
        connection.execute(f"pragma journal_mode={journal}")
        connection.execute("create table if not exists t (a integer primary key, b text)")
        with connection:
            connection.executemany("insert into t (b) values (?)", [("x" * 500,)] * 500)
        connection.close()
        mounted.commit()
        mounted.reload()
        connection = sqlite3.connect(path)
        assert connection.execute("select count(*) from t").fetchone() == (
            500 * (round_number + 1),
        )
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        connection.close()


def test_cp_and_diff(mounts: Mounts, mounted: Mounted, run: Run, source: Path) -> None:
    copy = mounted.path / "copy"
    run("cp", "-a", source, copy)
    mounted.commit()
    other = mounts.mount(read_only=True)
    (source / "fifo").unlink()
    (copy / "fifo").unlink()
    assert run("diff", "-r", "--no-dereference", source, copy) == ""
    assert run(other.path / "copy" / "script") == "it runs\n"
    assert (other.path / "copy" / "hard").stat().st_nlink == 2
    for name in ("script", "link", "store/registry.py"):
        seen, wanted = (other.path / "copy" / name).lstat(), (source / name).lstat()
        assert (seen.st_mode, seen.st_mtime_ns) == (wanted.st_mode, wanted.st_mtime_ns)


def test_tar(mounted: Mounted, run: Run, source: Path) -> None:
    run("tar", "-cf", mounted.path / "a.tar", "-C", source, ".")
    (mounted.path / "out").mkdir()
    run("tar", "-xpf", mounted.path / "a.tar", "-C", mounted.path / "out")
    mounted.commit()
    mounted.reload()
    assert run("tar", "-df", mounted.path / "a.tar", "-C", mounted.path / "out") == ""


def test_rsync_transfers_nothing_twice(mounted: Mounted, run: Run, source: Path) -> None:
    run("rsync", "-aH", f"{source}/", mounted.path / "copy")
    mounted.commit()
    mounted.reload()
    assert run("rsync", "-aHi", f"{source}/", mounted.path / "copy") == ""


def test_python_imports_from_a_mount(mounted: Mounted, source: Path) -> None:
    shutil.copytree(source, mounted.path / "volfs", symlinks=True, ignore=lambda *_: ["fifo"])
    code = "import sys; sys.path[:0] = sys.argv[1:]; import volfs.errors as m; print(m.__file__)"

    def find_imported() -> str:
        done = run_program(code, mounted.path, text=True)  # one that has nothing loaded yet
        assert done.returncode == 0, done.stderr
        return str(done.stdout.strip())

    assert find_imported() == str(mounted.path / "volfs/errors/__init__.py")
    mounted.commit()
    mounted.reload()
    assert find_imported() == str(mounted.path / "volfs/errors/__init__.py")


def test_a_virtual_environment(mounted: Mounted) -> None:
    place = mounted.path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    mounted.commit()
    done = subprocess.run(
        [place / "bin" / "python", "-c", "import sys; print(sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(place)
