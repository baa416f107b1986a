"""put and get of what is no ordinary file: pipes, devices, /proc, descriptors, the store itself."""

from __future__ import annotations

import itertools
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Result
from tests.harness.forked import COMMAND_LINE, Forked
from volfs.api.apps.image import Image
from volfs.api.apps.patterns import FilePatternMatcher
from volfs.api.client import Client
from volfs.api.dict import Dict
from volfs.api.queue import Queue
from volfs.errors import LocalFileError
from volfs.store.registry import open_store
from volfs.volume.put import put_stream

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes")


@pytest.fixture
def made(volfs: Command) -> Command:
    """A volume ``v`` with a file ``f``."""
    volfs("create", "v")
    volfs("put", "v", "-", "/f", stdin=b"content\n")
    return volfs


def in_shell(volfs: Command, script: str, status: int = 0) -> Result:
    """Run a script of bash in which ``$V`` is the command."""
    environment = volfs.environment | {"V": " ".join(volfs.argv)}
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        env=environment,
        cwd=volfs.directory,
        timeout=60,
        check=False,
    )
    result = Result(done.returncode, done.stdout, done.stderr.decode())
    assert result.status == status, result
    return result


# --- put --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/proc/self/limits", "/proc/filesystems", "/sys/kernel/mm/transparent_hugepage/enabled"],
)
def test_files_that_say_a_wrong_size_are_read_to_their_end(made: Command, path: str) -> None:
    text = Path(path).read_bytes()
    made("put", "v", path, "/there")
    found = made("get", "v", "/there", "-").out
    assert len(found.splitlines()) == len(text.splitlines())
    if "self" not in path:
        assert found == text


def test_a_tree_of_such_files_is_whole(made: Command) -> None:
    top = Path("/sys/module/fuse/parameters")
    made("put", "v", top, "/p")
    for path in top.iterdir():
        assert made("get", "v", f"/p/{path.name}", "-").out == path.read_bytes()


@pytest.mark.parametrize(
    "script",
    [
        "$V put v <(printf 'in a pipe') /there",
        "printf 'in a pipe' | $V put v - /there",
        "printf 'in a pipe' | $V put v /dev/stdin /there",
        "printf 'in a pipe' > x; $V put v - /there < x",
        "printf 'in a pipe' > x; $V put v /dev/fd/7 /there 7< x",
        "mkfifo p; (printf 'in a pipe' > p) & $V put v p /there; wait",
        "ln -s /dev/stdin l; printf 'in a pipe' | $V put v l /there",
        "printf 'the first line\nin a pipe' | (read line; $V put v - /there)",
    ],
)
def test_what_has_no_size_is_read_to_its_end(made: Command, script: str) -> None:
    in_shell(made, script)
    assert made("get", "v", "/there", "-").out == b"in a pipe"


def test_long_streams_keep_every_byte(made: Command, tmp_path: Path) -> None:
    data = os.urandom(5 << 20) + bytes(3 << 20) + b"end"
    (tmp_path / "data").write_bytes(data)
    in_shell(made, "cat data | $V put v - /there")
    assert made("get", "v", "/there", "-").out == data


class Growing:
    """A file that has an end each time that it is read to there, and then more."""

    def __init__(self) -> None:
        self.parts = [b"a" * 1000, b"", b"b" * 3000, b"", b"c"]

    def read(self, size: int) -> bytes:
        return self.parts.pop(0) if self.parts else b""


def test_a_stream_that_grows_has_one_end(made: Command) -> None:
    """A short piece in the middle would be a file that no one can read."""
    store = open_store(str(made.store))
    try:
        record = store.refs.get_volume("v")
        put_stream(store, record, Growing(), (b"there",))  # type: ignore[arg-type]
    finally:
        store.close()
    assert made("get", "v", "/there", "-").out == b"a" * 1000
    made("check", status=0)


def test_stdin_has_no_name_of_its_own(made: Command) -> None:
    assert "needs a path" in made("put", "v", "-", "/", status=2).err
    assert "closed" in in_shell(made, "$V put v - /there <&-", status=2).err


ASKING = """get v /f -
get v /f /dev/stdout
list
info v
ls v
log v --json
log v
diff v 0 1
diff v 0 1 --stat
tag v
status --json
check
gc --dry-run
gc --json
expire v --keep-last 1 --dry-run
dict list
dict items d
dict get d k
queue list
queue len q
queue peek q
secret list
completion bash
--version
put --help""".splitlines()

BY_CLICK = ("--version", "put --help")


def test_what_a_closed_or_full_output_would_lose_is_a_failure(made: Command) -> None:
    """As for ``cat``: nothing was told to anybody. Each in one line, which names the output."""
    client = Client(str(made.store))
    Dict.from_name("d", create_if_missing=True, client=client)["k"] = 1
    Queue.from_name("q", create_if_missing=True, client=client).put(1)
    client.close()
    made("tag", "v", "t")
    made("secret", "create", "s", "A=b")
    outputs = (("/dev/null", os.O_RDONLY), ("/dev/full", os.O_WRONLY))
    for (path, mode), what in itertools.product(outputs, ASKING):
        output = os.open(path, mode)  # one that is only read answers as one that is closed
        command = [COMMAND_LINE, *what.split()]
        with Forked(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True,
            env=made.environment, cwd=made.directory,
        ) as process:  # fmt: skip
            said = process.communicate(timeout=60)[1].splitlines()
        os.close(output)
        why = "Bad file descriptor" if path == "/dev/null" else "No space left on device"
        assert (process.returncode, len(said)) == (1, 1), (what, path, said)
        assert said[0].endswith(why), (what, said)
        assert what in BY_CLICK or "output: " in said[0], (what, said)


def test_no_file_or_pipe_is_read_without_end(made: Command) -> None:
    """They are lists of values; a device that never ends is none."""
    for option in ("--from-json", "--from-dotenv"):
        refused = made("secret", "create", "s", option, "/dev/zero", status=1)
        assert "/dev/zero: longer than 16 MiB" in refused.err
    assert "longer than 16 MiB" in in_shell(made, "$V secret create s A=- </dev/zero", 2).err
    refused = made("secret", "create", "s", "A=b", status=1, VOLFS_SECRET_KEY_FILE="/dev/zero")
    assert "regular file" in refused.err
    with pytest.raises(LocalFileError, match="longer than"):
        Image.debian_slim().pip_install_from_requirements("/dev/zero")
    with pytest.raises(LocalFileError, match="longer than"):
        FilePatternMatcher.from_file("/dev/zero")(Path("x"))


def test_a_closed_input_is_not_an_empty_file(made: Command) -> None:
    assert "Bad file descriptor" in in_shell(made, "$V put v /dev/stdin /n <&-", status=1).err
    assert made("ls", "v").out == b"f\n"


def test_who_closes_the_output_of_a_change_wants_no_words(made: Command) -> None:
    in_shell(made, "$V cp v /f /g >&- && $V put v - /h </dev/null >&- 2>&- && $V rm v /f >&-")
    assert made("ls", "v").out == b"g\nh\n"


def test_devices_are_refused_but_for_those_that_end(made: Command, tmp_path: Path) -> None:
    for path in ("/dev/zero", "/dev/random", "/dev/full"):
        assert "a device" in made("put", "v", path, "/there", status=1).err
    made("put", "v", "/dev/null", "/there")
    assert made("get", "v", "/there", "-").out == b""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert "a socket" in made("put", "v", tmp_path / "socket", "/x", status=1).err


def test_devices_in_a_tree_are_skipped_without_being_opened(made: Command, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    os.mkfifo(top / "fifo")
    os.mknod(top / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (top / "file").write_text("x")
    noted = made("put", "v", top, "/top").err
    assert noted.count("skipped") == 2
    assert made("ls", "v", "/top").lines == ["top/file"]


# --- get --------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--force",)])
def test_a_device_is_written_into(made: Command, tmp_path: Path, options: tuple[str]) -> None:
    for name, number, status in (("null", 3, 0), ("full", 7, 1)):
        node = tmp_path / name
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, number))
        result = made("get", "v", "/f", node, *options, status=status)
        assert stat.S_ISCHR(node.stat().st_mode)
        assert ("No space left" in result.err) == (name == "full")
        (tmp_path / f"to-{name}").symlink_to(node)
        made("get", "v", "/f", tmp_path / f"to-{name}", *options, status=status)
        assert (tmp_path / f"to-{name}").is_symlink()


@pytest.mark.parametrize("place", ["fifo", "d/f", "link"])
def test_a_fifo_is_written_into_and_stays(made: Command, tmp_path: Path, place: str) -> None:
    """Also one that has the file's name in the directory that is named."""
    (tmp_path / "d").mkdir()
    fifo = tmp_path / ("d/f" if place == "d/f" else "fifo")
    os.mkfifo(fifo)
    (tmp_path / "link").symlink_to("fifo")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
    reader.start()
    made("get", "v", "/f", tmp_path / ("d" if place == "d/f" else place), "--force")
    reader.join(20)
    assert read == [b"content\n"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_only_files_are_written_into_them(made: Command, tmp_path: Path) -> None:
    made("put", "v", "-", "/d/f")
    assert "not a directory" in made("get", "v", "/d", "/dev/null", status=1).err
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert "a socket" in made("get", "v", "/f", tmp_path / "socket", "--force", status=1).err
        assert stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)


def test_below_a_directory_they_are_refused(made: Command, tmp_path: Path) -> None:
    """They may be somebody else's, who waits for what root writes into them."""
    made("put", "v", "-", "/d/f", stdin=b"secret")
    (tmp_path / "out/d").mkdir(parents=True)
    os.mkfifo(tmp_path / "out/d/f")
    assert "a fifo" in made("get", "v", "/d", tmp_path / "out", "--force", status=1).err
    assert stat.S_ISFIFO((tmp_path / "out/d/f").stat().st_mode)


@pytest.mark.parametrize(
    "script",
    [
        "$V get v /f -",
        "$V get v /f /dev/stdout",
        "$V get v /f /proc/self/fd/1",
        "$V get v /f /dev/fd/9 9>&1",
        "$V get v /f /dev/stdout > x; cat x",
        "$V get v /f /dev/stdout | cat",
        "$V get v /f /dev/stderr 2> x; cat x",
        "exec 3> x; $V get v /f /dev/fd/3; cat x",
        "$V get v /f >(cat > x); wait $!; cat x",
    ],
)
def test_descriptors_are_written_to(made: Command, script: str) -> None:
    assert in_shell(made, script).out == b"content\n"


def test_what_is_appended_to_is_not_written_over(made: Command) -> None:
    script = "echo first > x; $V get v /f /dev/stdout >> x; $V get v /f - >> x; cat x"
    assert in_shell(made, script).lines == ["first", "content", "content"]


@pytest.mark.parametrize("place", ["-", "/dev/stdout"])
def test_a_full_output_is_told(made: Command, place: str) -> None:
    result = in_shell(made, f"$V get v /f {place} > /dev/full", status=1)
    assert result.err.startswith("volfs: get: ")
    assert "No space left on device" in result.err
    assert "unexpected" not in result.err


# --- the store itself -------------------------------------------------------


def test_nothing_is_put_from_the_store(made: Command, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("store")
    for path in ("store", "store/packs", "store/index/data.mdb", ".", "link", "/"):
        assert "the store itself" in made("put", "v", path, "/x", status=1).err


@pytest.mark.parametrize("place", ["store/x", "store", "store/new/below", "link/x", "store/packs/"])
def test_nothing_is_got_into_the_store(made: Command, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to("store/index")
    before = sorted(tmp_path.joinpath("store").rglob("*"))
    for what in ("/f", "/"):
        result = made("get", "v", what, place, "--force", status=1)
        assert "the store itself" in result.err
    assert sorted(tmp_path.joinpath("store").rglob("*")) == before


def test_a_tree_leads_nothing_into_the_store(made: Command, tmp_path: Path) -> None:
    made("put", "v", "-", "/store/packs/evil")
    assert "the store itself" in made("get", "v", "/", tmp_path, "--force", status=1).err
    assert not list((tmp_path / "store/packs").glob("evil"))


def test_a_bind_mount_of_the_store_is_the_store(made: Command, tmp_path: Path) -> None:
    (tmp_path / "bound").mkdir()
    script = "mount --bind store/packs bound && $V get v /f bound/x"
    result = subprocess.run(
        ["unshare", "-m", "bash", "-c", script],
        capture_output=True,
        env=made.environment | {"V": " ".join(made.argv)},
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 1, result
    assert b"the store itself" in result.stderr


# --- names ------------------------------------------------------------------


@pytest.mark.parametrize("name", [".", ".."])
def test_names_that_are_places_are_refused(made: Command, name: str) -> None:
    for arguments in (
        ("create", name),
        ("rename", "--yes", "v", name),
        ("fork", "v", name),
        ("nfs", "create", name),
        ("dict", "create", name),
        ("queue", "create", name),
        ("secret", "create", name, "A=b"),
        ("tag", "v", name),
        ("run", "--volume", f"{name}:/x", "true"),
    ):
        result = made(*arguments, status=2)
        assert "nvalid" in result.err, arguments


def test_names_that_look_like_options_work_behind_two_dashes(made: Command) -> None:
    made("create", "--", "-x")
    made("put", "--", "-x", "/dev/null", "/f")
    assert made("ls", "--", "-x").lines == ["f"]
    made("rename", "--yes", "--", "-x", "-y")
    made("delete", "--yes", "--", "-y")
