"""Reloads while others commit and somebody reads: never an error, an empty moment or a mixture."""

from __future__ import annotations

import pytest

from tests.crash.children import count_rounds
from tests.harness.calls import start_python
from tests.harness.mounted import Mounts
from tests.volume.shortcuts import publish_files

pytestmark = [pytest.mark.crash, pytest.mark.fuse]

READERS = 2
NAMES = ("a", "b", "sub/c")
SIZE = 24_000

READ = """
import mmap, os, sys, select
os.chdir(sys.argv[1])  # a working directory in the mount keeps no version
names, size, seen, rounds = sys.argv[2].split(","), int(sys.argv[3]), 0, 0

def read(name):
    with open(name, "rb") as file:
        if rounds % 3:
            return file.read()
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            return bytes(mapped)

while not select.select([sys.stdin], [], [], 0.01)[0]:
    rounds += 1
    listed = set(os.listdir("."))
    assert listed == {"a", "b", "sub"}, listed
    assert os.listdir("sub") == ["c"]
    for name in names:
        data = read(name)
        version = int(data[:8])
        assert data == data[:8] * (size // 8), f"{name}: a mixture"
        assert version >= seen, f"{name}: {version} after {seen}"
        seen = version
    assert os.path.samestat(os.stat("."), os.stat(os.getcwd()))
print(rounds, seen)
"""


def make_content(number: int) -> bytes:
    return b"%08d" % number * (SIZE // 8)


def test_readers_see_one_version_after_the_other(mounts: Mounts) -> None:
    rounds = count_rounds(200, 5000)

    def publish(number: int) -> int:
        files: dict[str, bytes | None] = {f"d/{name}": make_content(number) for name in NAMES}
        return publish_files(mounts.store, mounts.volume, files).head.version

    publish(0)
    mounted = mounts.mount()
    arguments = (mounted.path / "d", ",".join(NAMES), SIZE // 8 * 8)
    readers = [start_python(READ, *arguments) for _ in range(READERS)]
    for number in range(1, rounds + 1):
        version = publish(number)
        assert mounted.reload(wait=20).version == version
        assert (mounted.path / "d" / "b").read_bytes() == make_content(number)
    for reader in readers:
        said, _ = reader.communicate("", timeout=20)
        assert reader.returncode == 0
        looked, seen = map(int, said.split())
        assert looked > 5
        assert seen > rounds / 2
