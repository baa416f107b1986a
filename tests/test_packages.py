"""The wheel and the sdist, and an environment that has only the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
FOR_MOUNTS = ("pyfuse3", "trio")
PROGRAM = """
import sys
sys.modules |= dict.fromkeys(%r)  # as on a machine without a compiler or libfuse
import volfs
from volfs_cli.main import run
assert ".venv" not in volfs.__file__ and volfs.__file__.startswith(sys.prefix), volfs.__file__
assert run(["create", "data"]) == 0
assert run(["put", "data", sys.argv[1], "file"]) == 0
assert run(["fork", "data", "other"]) == 0
assert run(["log", "other"]) == 0
volume = volfs.Volume.from_name("data")
assert [entry.path for entry in volume.listdir("/")] == ["file"]
sys.exit(run(["mount", "data", sys.argv[2]]))
"""


def test_a_wheel_in_a_fresh_environment(tmp_path: Path) -> None:
    """Offline: the other packages are those of this environment."""
    source, place = tmp_path / "source", tmp_path / "fresh"
    for name in ("volfs", "cli"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    # By the setuptools of this environment, because nothing can be fetched: first the sdist, and
    # the wheel from that.
    build = "from setuptools import build_meta as b; import sys; print(b.build_%s(sys.argv[1]))"
    _run(source, build % "sdist", tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    _run(unpacked, build % "wheel", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(place, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(place), "install", "--no-index"]
    subprocess.run([*pip, "--no-deps", "-q", wheel], check=True, cwd=tmp_path)
    done = _try_fresh(place, tmp_path)
    assert done.returncode == 1, done
    assert "mounting needs pyfuse3" in done.stderr
    assert len(done.stderr.splitlines()) <= 3, done.stderr
    assert (place / "bin" / "volfs").exists()


def _run(folder: Path, program: str, *arguments: Path) -> None:
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, cwd=folder)


def _try_fresh(place: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Use what was installed. The packages that it depends on follow those of the environment."""
    file, mount = folder / "file", folder / "mnt"
    file.write_text("content")
    mount.mkdir()
    (packages,) = (place / "lib").glob("python*/site-packages")
    # As a path behind the fresh one, without the links that an editable install has there.
    others = folder / "others"
    others.mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if "volfs" not in found.name.lower() and found.suffix != ".pth":
            (others / found.name).symlink_to(found)
    (packages / "others.pth").write_text(f"{others}\n")
    folders = {f"VOLFS_{it}": str(folder / it) for it in ("STORE", "RUNTIME_DIR", "STATE_DIR")}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [place / "bin" / "python", "-c", PROGRAM % (FOR_MOUNTS,), file, mount],
        env=environment | folders,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
