"""``volfs run`` by somebody who is not root: bwrap makes a user namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.waits import drop_waits

pytestmark = pytest.mark.fuse
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
PREPARE = r"""
set -e
umask 022
# Python may be installed where only root may look.
if [ -n "$HIDDEN" ]; then
    mkdir "$PLACE/seen"
    mount --bind "$PREFIX" "$PLACE/seen"
    mount -t tmpfs -o mode=755 none "$HIDDEN"
    mkdir -p "$PREFIX"
    mount --move "$PLACE/seen" "$PREFIX"
fi
mkdir "$PLACE/dev"
mount -t tmpfs none "$PLACE/dev"
mknod -m 666 "$PLACE/dev/fuse" c 10 229
mount --bind "$PLACE/dev/fuse" /dev/fuse
cd "$HOME"
exec "$@"
"""
"""In a mount namespace of its own: what others may not use here, they may there."""


def find_hidden(path: Path) -> Path | None:
    """The first directory above it that others may not enter."""
    return next((p for p in reversed(path.parents) if not p.stat().st_mode & 0o001), None)


@pytest.fixture
def volfs() -> Iterator[Command]:
    """The command in a directory that others may enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="volfs-test-") as directory:
        os.chmod(directory, 0o755)
        yield Command(Path(directory))


@pytest.fixture
def as_nobody(volfs: Command) -> list[str]:
    """The beginning of a command that another user runs, in a home of its own."""
    if os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"):
        pytest.skip("only root can be somebody else")
    prefix = Path(sys.base_prefix).resolve()
    home = volfs.directory / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    volfs.environment |= {
        "HOME": str(home),
        "VOLFS_STORE": str(home / "store"),
        "VOLFS_RUNTIME_DIR": str(home / "run"),
        "PLACE": str(volfs.directory),
        "PREFIX": str(prefix),
        "HIDDEN": str(find_hidden(prefix) or ""),
    }
    shell = ["unshare", "--mount", "--propagation=private", "sh", "-c", PREPARE, "sh"]
    return [*shell, *AS_NOBODY]


def test_a_user_has_containers(volfs: Command, as_nobody: list[str]) -> None:
    script = (
        '"$@" create data || exit 77\n'
        '"$@" run --volume data:/volfs-test/data -- '
        "sh -c 'sleep 1000.25 & id -u; id -u > /volfs-test/data/file; ls /volfs-test; exit 4'\n"
        "echo $?\n"
        '"$@" get data file -\n'
        "pgrep -fx 'sleep 1000.25'\n"
        'ls "$VOLFS_RUNTIME_DIR/containers"; ls "$VOLFS_STORE/mounts"\n'
    )
    done = subprocess.run(
        [*as_nobody, "sh", "-c", script, "sh", *volfs.argv],
        env=volfs.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    if done.returncode == 77 or "containers cannot be made here" in done.stderr:
        pytest.skip(f"another user cannot run volfs here: {done.stderr}")
    said = ["Created Volume 'data'.", str(NOBODY), "data", "4", str(NOBODY)]
    assert (done.stdout.splitlines(), drop_waits(done.stderr)) == (said, "")


def test_commands_of_images_are_run_as_the_user(volfs: Command, as_nobody: list[str]) -> None:
    program = "import volfs; volfs.Image.debian_slim().run_commands('id -u > ~/by').build()"
    environment = {**volfs.environment, "VOLFS_RUN_COMMANDS": ""}
    done = subprocess.run(
        [*as_nobody, sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    if "containers cannot be made here" in done.stderr:
        pytest.skip(f"another user cannot run volfs here: {done.stderr}")
    assert (done.returncode, done.stdout, drop_waits(done.stderr)) == (0, "", "")
    assert (volfs.directory / "home" / "by").read_text() == f"{NOBODY}\n"
