"""A store that a former volfs made (``make_store.py``), and what is in it."""

from __future__ import annotations

import hashlib
import json
import stat
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import Command

HERE = Path(__file__).parent
EXPECTED: dict[str, dict[str, str]] = json.loads((HERE / "expected.json").read_text())


@pytest.fixture
def volfs(tmp_path: Path) -> Command:
    """The command, with the former store in force."""
    with tarfile.open(HERE / "store-1.tar.xz") as archive:
        archive.extractall(tmp_path, filter="tar")
    return Command(tmp_path)


def list_digests(top: Path) -> dict[str, str]:
    """What there is below a directory, in the words of ``expected.json``."""
    found = {}
    many = hashlib.sha256()
    for path in sorted(top.rglob("*")):
        what = path.lstat()
        name = str(path.relative_to(top))
        if path.name.startswith("file-"):
            many.update(b"%d %b" % (what.st_nlink, path.read_bytes()))
        elif stat.S_ISREG(what.st_mode):
            with open(path, "rb") as file:
                found[name] = f"{what.st_nlink} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        else:
            found[name] = f"{what.st_nlink} {stat.S_IFMT(what.st_mode):o}"
    return found | {"file-*": many.hexdigest()}
