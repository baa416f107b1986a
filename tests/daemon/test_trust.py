"""Whose sockets are believed, and where: others on this machine make directories, too."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.calls import run_as
from tests.harness.mounted import Mounts
from volfs.control.mount_client import MountClient
from volfs.control.mounts import FS_TYPE, MountPoint, find_mount_point
from volfs.control.protocol import Response, encode
from volfs.control.runtime import (
    list_runtime_directories,
    make_runtime_directory,
    open_directory,
    runtime_directory,
)
from volfs.control.sockets import Bound, connect
from volfs.errors import MountError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
ME, OTHER = 54321, 54322
COMMITTED = Response(
    {"changed": True, "version": 2, "new_objects": 1, "new_bytes": 1, "overridden": []}
)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory as /tmp is: of root, sticky, for everybody."""
    path = Path(tempfile.mkdtemp(prefix="volfs-trust-"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def no_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VOLFS_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


def make(path: Path, owner: int, mode: int = 0o700) -> Path:
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


def link(path: Path, target: Path, owner: int) -> Path:
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


def try_to(action: Callable[[], object]) -> Callable[[], str]:
    def attempt() -> str:
        try:
            return f"done: {action()}"
        except (MountError, OSError) as error:
            return f"{type(error).__name__}: {error}"

    return attempt


# --- directories --------------------------------------------------------------


def by_group(base: Path) -> Path:
    return make(base / "run", ME, 0o770)


def by_everybody(base: Path) -> Path:
    return make(base / "run", ME, 0o777)


def sticky(base: Path) -> Path:
    return make(base / "run", ME, 0o1777)


def of_another(base: Path) -> Path:
    return make(base / "run", OTHER, 0o755)


def below_another(base: Path) -> Path:
    return make(make(base / "theirs", OTHER, 0o755) / "run", ME)


def below_a_directory_for_all(base: Path) -> Path:
    return make(make(base / "all", ME, 0o777) / "run", ME)


def by_a_link_of_another(base: Path) -> Path:
    return link(base / "run", make(base / "mine", ME), OTHER)


def by_an_own_link_among_others(base: Path) -> Path:
    """Which may be a hard link to one of ours."""
    return link(base / "run", make(base / "mine", ME), ME)


def on_the_way_a_link(base: Path) -> Path:
    make(make(base / "mine", ME) / "run", ME)
    return link(base / "way", base / "mine", OTHER) / "run"


def around(base: Path) -> Path:
    mine = make(base / "mine", ME)
    return link(mine / "run", mine / "run", ME)


def no_directory(base: Path) -> Path:
    path = base / "run"
    path.touch()
    os.chown(path, ME, ME)
    return path


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (by_group, "others may write to"),
        (by_everybody, "others may write to"),
        (sticky, "others may write to"),
        (of_another, f"belongs to another user ({OTHER})"),
        (below_another, f"belongs to another user ({OTHER})"),
        (below_a_directory_for_all, "others may write to"),
        (by_a_link_of_another, "a symbolic link to"),
        (by_an_own_link_among_others, "a symbolic link to"),
        (on_the_way_a_link, "a symbolic link to"),
        (around, "too many symbolic links"),
        (no_directory, "is not a directory"),
    ],
)
def test_what_others_can_change_is_refused(
    base: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path], Path], why: str
) -> None:
    """By the daemon to be, which makes it, and by the client, which looks there."""
    path = prepare(base)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(path))
    for act in (make_runtime_directory, lambda: connect(path / "s", {ME}, 1.0)):
        said = run_as(ME, base, try_to(act))
        assert said.startswith("MountError: "), said
        assert why in said
        assert "set VOLFS_RUNTIME_DIR to a directory of your own" in said


def test_what_is_safe_is_taken(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = make(base / "mine", ME, 0o755)
    link(mine / "link", make(mine / "there", ME), ME)
    relative = Path(os.path.relpath(mine / "rel", base))
    for path in (base / "new", mine / "a/b/c", mine / "link/run", base / relative):
        monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(path))
        assert run_as(ME, base, try_to(make_runtime_directory)) == f"done: {path}"
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (ME, 0o700)


def test_what_was_checked_is_what_is_used(base: Path) -> None:
    """The directory is swapped between the check and the use."""
    path = make(base / "run", 0)
    descriptor = open_directory(path, {0})
    path.rename(base / "checked")
    make(base / "theirs", OTHER, 0o777).rename(path)
    try:
        os.mkdir("here", dir_fd=descriptor)
    finally:
        os.close(descriptor)
    assert (base / "checked/here").is_dir()
    assert not (path / "here").exists()


@pytest.fixture
def run_user(request: pytest.FixtureRequest) -> Iterator[Path]:
    path = Path(f"/run/user/{ME}")
    path.parent.mkdir(exist_ok=True)
    yield path
    if path.exists():
        path.rmdir()


def test_which_directory_it_is(base: Path, run_user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find() -> str:
        return run_as(ME, base, lambda: runtime_directory())

    assert find() == f"/tmp/volfs-{ME}"
    make(run_user, OTHER)
    assert find() == f"/tmp/volfs-{ME}", "it is not ours"
    os.chown(run_user, ME, ME)
    assert find() == f"{run_user}/volfs"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    assert find() == f"{base}/volfs"
    places = [base / "volfs", run_user / "volfs", Path(f"/tmp/volfs-{ME}")]
    assert run_as(ME, base, lambda: list_runtime_directories(ME)) == str(places)
    assert run_as(ME, base, lambda: list_runtime_directories(OTHER)) == "[]"
    assert list_runtime_directories(ME)[1:] == places[1:], "root looks there, too"
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", "here")
    assert find() == str(base / "here"), "absolute: a daemon works in another directory"


# --- who answers ---------------------------------------------------------------


@pytest.fixture
def somebody(base: Path) -> Iterator[Callable[[Path, int, bool], None]]:
    """Starts a process of a user that listens at a path, and answers that all is committed."""
    children: list[int] = []

    def listen(path: Path, user: int, answers: bool) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(path))
                listener.listen()
                os.write(writer, b".")
                connection, _ = listener.accept()
                if connection.recv(1000) and answers:
                    (path.parent / "heard").touch()
                    connection.sendall(encode(COMMITTED))
                signal.pause()
            finally:
                os._exit(0)
        children.append(child)
        os.close(writer)
        assert os.read(reader, 1) == b"."
        os.close(reader)

    yield listen
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def client_of(user: int) -> MountClient:
    """Of a mount with a number that no device has."""
    return MountClient(MountPoint("/m", (0, 999_999), FS_TYPE, "v", 1, "/", f"user_id={user}"))


def test_whoever_made_the_directory_first_is_not_asked(
    base: Path, somebody: Callable[[Path, int, bool], None]
) -> None:
    place = Path(f"/tmp/volfs-{ME}")
    make(place, OTHER, 0o755)
    try:
        path = place / "0-999999.sock"
        somebody(path, OTHER, True)
        path.chmod(0o777)
        said = run_as(ME, base, try_to(lambda: client_of(ME).commit("secret")))
        assert said.startswith("MountError: "), said
        assert f"{place} belongs to another user ({OTHER})" in said
        assert not (place / "heard").exists()
        made = run_as(ME, base, try_to(make_runtime_directory))
        assert f"{place} belongs to another user ({OTHER})" in made, "no other place is taken"
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("answers", [True, False])
def test_a_process_of_another_user_is_not_asked(
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    somebody: Callable[[Path, int, bool], None],
    answers: bool,
) -> None:
    """However its socket came into our directory: the kernel knows who listens."""
    theirs, mine = make(base / "theirs", OTHER), make(base / "mine", ME)
    somebody(theirs / "s", OTHER, answers)
    path = (theirs / "s").rename(mine / "0-999999.sock")
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(mine))
    for owner, why in ((OTHER, "belongs to another user"), (ME, "of another user (54322) listens")):
        os.chown(path, owner, owner)
        said = run_as(ME, base, try_to(lambda: client_of(ME).commit("secret")))
        assert said.startswith("MountError: "), said
        assert why in said
        assert run_as(ME, base, try_to(lambda: client_of(ME).is_alive())) == "done: False"


def test_root_is_not_fooled_in_a_users_directory(
    base: Path, monkeypatch: pytest.MonkeyPatch, somebody: Callable[[Path, int, bool], None]
) -> None:
    """Root asks that user, in that user's directory, about that user's mounts only."""
    mine = make(base / "mine", ME, 0o755)
    somebody(mine / "0-999999.sock", ME, True)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(mine))
    with pytest.raises(MountError, match="belongs to another user"):
        client_of(0).commit()
    with pytest.raises(MountError, match="belongs to another user"):
        client_of(OTHER).commit()
    assert not (mine / "heard").exists()
    assert client_of(ME).commit().version == 2


def test_an_answer_to_something_else_is_an_error_of_that_mount(
    base: Path, monkeypatch: pytest.MonkeyPatch, somebody: Callable[[Path, int, bool], None]
) -> None:
    """A user, or a daemon of another release, may answer what it likes: ``status`` goes on."""
    mine = make(base / "mine", ME, 0o755)
    somebody(mine / "0-999999.sock", ME, True)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(mine))
    with pytest.raises(MountError, match="control answer: Object missing"):
        client_of(ME).status()


@pytest.mark.parametrize("kind", ["link", "file", "fifo"])
def test_what_is_no_socket(base: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A link to another mount's socket, say: its daemon would do what is meant for ours."""
    mine = make(base / "mine", 0)
    bound = Bound(mine / "another.sock")
    path = mine / "0-999999.sock"
    if kind == "link":
        path.symlink_to(mine / "another.sock")
    elif kind == "file":
        path.touch()
    else:
        os.mkfifo(path)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(mine))
    with pytest.raises(MountError, match="not a socket"):
        client_of(0).status()
    bound.remove()
    bound.socket.close()


def test_a_daemon_removes_its_own_socket_only(base: Path) -> None:
    path = make(base / "mine", 0) / "0-1.sock"
    first = Bound(path)
    second = Bound(path)
    first.remove()
    assert path.is_socket()
    second.remove()
    assert not path.exists()
    for bound in (first, second):
        bound.remove()
        bound.socket.close()


# --- with a mount ----------------------------------------------------------------


@pytest.mark.fuse
def test_nothing_is_mounted_where_others_can_answer(mounts: Mounts, base: Path) -> None:
    mounts.environment["VOLFS_RUNTIME_DIR"] = str(below_another(base))
    place = mounts.place()
    with pytest.raises(MountError, match=f"belongs to another user \\({OTHER}\\)"):
        mounts.mount(place)
    assert find_mount_point(str(place)) is None
    assert mounts.sessions == []


@pytest.mark.fuse
def test_a_runtime_directory_may_have_a_long_path(
    mounts: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the 107 bytes that a socket's address has."""
    long = mounts.directory / "/".join("d" * 100 for _ in range(8))
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(long))
    mounts.environment["VOLFS_RUNTIME_DIR"] = str(long)
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    assert mounted.commit().version == 1
    mounted.unmount()
    assert list(long.iterdir()) == []


@pytest.mark.fuse
def test_a_relative_one_is_where_it_was_named(
    mounts: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts.environment["VOLFS_RUNTIME_DIR"] = "relative"
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(mounts.directory / "relative"))
    assert mounts.mount().status().version == 0
