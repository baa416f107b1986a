"""Make `store-1.tar.xz`: run with the last volfs that wrote stores of format 1, as root.

It is kept to tell what is in the archive; a later volfs would write another format.
``expected.json`` has the digest of each file of each version, and of what the mount that
died had not committed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import tarfile
from pathlib import Path

import volfs

PLACE = Path("/tmp/volfs-former")
"""The session's name in the store is made from its mount point, so the test mounts there."""
MOUNT = PLACE / "at"
HERE = Path(__file__).parent


def run(*words: str) -> str:
    return subprocess.run(["volfs", *words], check=True, capture_output=True, text=True).stdout


def fill() -> None:
    make = random.Random(7)
    (MOUNT / "sub/deep").mkdir(parents=True)
    (MOUNT / "inline.txt").write_bytes(b"small\n")
    (MOUNT / "raw.bin").write_bytes(make.randbytes(180_000))
    lines = b"".join(b"line %d of a text that compresses\n" % (n * n) for n in range(9000))
    (MOUNT / "text.txt").write_bytes(lines)
    big = make.randbytes(50_000) + bytes(1 << 20) + b"abcdefgh" * 400_000 + make.randbytes(80_000)
    (MOUNT / "big.bin").write_bytes(big)
    (MOUNT / "sub/deep/one").write_bytes(b"1" * 5000)
    (MOUNT / "sub/link").symlink_to("../inline.txt")
    write_at("sparse.bin", {100 << 20: make.randbytes(3000)}, size=130 << 20)
    write_at("hole.bin", {}, size=20 << 20)
    write_at("wide.bin", {n << 20: b"%d" % n * 900 for n in range(0, 70, 9)}, size=70 << 20)
    os.setxattr(MOUNT / "inline.txt", "user.colour", b"green")


def write_at(name: str, parts: dict[int, bytes], size: int | None = None) -> None:
    with open(MOUNT / name, "r+b" if (MOUNT / name).exists() else "w+b") as file:
        if size is not None:
            file.truncate(size)
        for offset, data in parts.items():
            file.seek(offset)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


def change() -> None:
    (MOUNT / "many").mkdir()
    for number in range(700):
        (MOUNT / f"many/file-{number}").write_text(f"{number}\n")
    os.link(MOUNT / "raw.bin", MOUNT / "sub/raw-again")
    os.link(MOUNT / "raw.bin", MOUNT / "sub/deep/raw-third")
    os.link(MOUNT / "sparse.bin", MOUNT / "sub/sparse-again")
    os.mkfifo(MOUNT / "fifo")


def scatter() -> None:
    make = random.Random(9)
    pages = {make.randrange(900) * 4096: make.randbytes(4096) for _ in range(9)}
    write_at("big.bin", pages, size=12_000_000)


def leave_uncommitted() -> None:
    (MOUNT / "text.txt").unlink()
    (MOUNT / "new.txt").write_text("uncommitted\n")
    (MOUNT / "made").mkdir()
    os.link(MOUNT / "many/file-1", MOUNT / "made/one")
    write_at("raw.bin", {100_000: b"overlay"})
    write_at("sparse.bin", {5 << 20: b"data" * 2000})
    (MOUNT / "many").rename(MOUNT / "more")
    for place in (MOUNT, MOUNT / "made", MOUNT / "more"):
        fd = os.open(place, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def list_digests() -> dict[str, str]:
    """Of each file, and its link count; the small files of one directory are told together."""
    found = {}
    many = hashlib.sha256()
    for path in sorted(MOUNT.rglob("*")):
        what = path.lstat()
        name = str(path.relative_to(MOUNT))
        if path.name.startswith("file-"):
            many.update(b"%d %b" % (what.st_nlink, path.read_bytes()))
        elif stat.S_ISREG(what.st_mode):
            with open(path, "rb") as file:
                found[name] = f"{what.st_nlink} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        else:
            found[name] = f"{what.st_nlink} {stat.S_IFMT(what.st_mode):o}"
    return found | {"file-*": many.hexdigest()}


def make_others() -> None:
    run("fork", "former", "second", "--at", "1")
    volfs.Dict.from_name("words", create_if_missing=True).put("key", "value")
    volfs.Queue.from_name("line", create_if_missing=True).put("item")
    run("secret", "create", "token", "NAME=value")


def leave_out(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    is_nothing = item.name.endswith(("/ballast", "/lock.mdb", "/logs", "/volatile"))
    return None if is_nothing else item


def main() -> None:
    PLACE.mkdir()
    os.environ["VOLFS_STORE"] = str(PLACE / "store")
    os.environ["VOLFS_RUNTIME_DIR"] = str(PLACE / "runtime")
    os.environ["VOLFS_STATE_DIR"] = str(PLACE / "state")
    MOUNT.mkdir()
    run("create", "former")
    run("mount", "former", str(MOUNT))
    expected = {}
    for version, operation in enumerate((fill, change, scatter), 1):
        operation()
        run("commit", str(MOUNT), "-m", f"version {version}")
        expected[str(version)] = list_digests()
    run("tag", "former", "good", "2")
    make_others()
    leave_uncommitted()
    expected["uncommitted"] = list_digests()
    (mount,) = json.loads(run("status", "--json"))
    os.kill(mount["pid"], signal.SIGKILL)
    run("umount", "--force", str(MOUNT))
    (HERE / "expected.json").write_text(json.dumps(expected, indent=0, sort_keys=True) + "\n")
    with tarfile.open(HERE / "store-1.tar.xz", "w:xz") as archive:
        archive.add(PLACE / "store", "store", filter=leave_out)
        archive.add(PLACE / "store.secret-key", "store.secret-key")
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    main()
