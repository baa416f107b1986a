"""``volfs mount`` in every environment that a starter may have: it mounts, or says why in a line.

Whatever it says is so: after exit 0 the mount is there and works, after any other it is not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import is_running, wait_until
from tests.harness.waits import drop_waits

pytestmark = pytest.mark.fuse

MOUNT = '"$@" mount v "$M"'
WITH_SIGNALS = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    %s
os.execv(sys.argv[1], sys.argv[1:])
"""
IGNORED = WITH_SIGNALS % "signal.signal(number, signal.SIG_IGN)"
BLOCKED = WITH_SIGNALS % "signal.pthread_sigmask(signal.SIG_BLOCK, [number])"

WORKS = {
    "no standard files": MOUNT + " <&- >&- 2>&-",
    "no input and output": MOUNT + " <&- >&-",
    "no input": MOUNT + " <&-",
    "no errors": MOUNT + " 2>&-",
    "full output": MOUNT + " >/dev/full 2>/dev/full",
    "many files open": 'for n in 20 21 22 23; do eval "exec $n</dev/null"; done; ' + MOUNT,
    "a long runtime directory": 'export VOLFS_RUNTIME_DIR="$D/$(printf %0150d 1)"; ' + MOUNT,
    "few open files, softly": "ulimit -Sn 40; " + MOUNT,
    "a small stack": "ulimit -s 512; " + MOUNT,
    "no core": "ulimit -c 0; " + MOUNT,
    "signals ignored": f'"{sys.executable}" -c "$IGNORED" "$@" mount v "$M"',
    "signals blocked": f'"{sys.executable}" -c "$BLOCKED" "$@" mount v "$M"',
    "no hangup": "nohup " + MOUNT,
    "a removed directory": 'mkdir "$D/x"; cd "$D/x"; rmdir "$D/x"; ' + MOUNT,
    "a umask of everything": "umask 0777; " + MOUNT,
    "no home": "unset HOME; " + MOUNT,
    "a home that is none": "HOME=/dev/null " + MOUNT,
    "no temporary directory": "TMPDIR=/nonexistent " + MOUNT,
    "empty variables": "VOLFS_ENVIRONMENT= XDG_RUNTIME_DIR= XDG_DATA_HOME= " + MOUNT,
    "the C locale": "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 " + MOUNT,
    "settings of Python": "PYTHONSTARTUP=/nonexistent PYTHONDONTWRITEBYTECODE=1 PYTHONOPTIMIZE=2 "
    + MOUNT,
    "no PATH": "PATH= " + MOUNT,
    "a low priority": "nice -n 19 " + MOUNT,
    "a session of its own": "setsid -w " + MOUNT,
    "a lock that is held": 'exec 9>"$D/lock"; flock 9; '
    + MOUNT
    + '; exec 9>&-; flock -n "$D/lock" true',
}
WITHOUT_RIGHT = "exec setpriv --bounding-set -sys_resource --inh-caps -sys_resource"
LIMITS = {
    "-n 40": "too low a limit, 40, of open files (ulimit -n): a mount needs 256",
    "-v 1500000": "of address space, which an index maps (ulimit -v): a mount needs",
    "-f 1000": "of the size of a file (ulimit -f): a mount needs",
    "-f 0": "of the size of a file (ulimit -f): a mount needs",
}


@pytest.fixture
def place(volfs: Command, tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "m"
    place.mkdir()
    volfs("create", "v")
    yield place
    while os.path.ismount(place):
        subprocess.run(["umount", "-l", place], check=True)


def start(volfs: Command, place: Path, script: str) -> subprocess.CompletedProcess[bytes]:
    environment = volfs.environment | {
        "M": str(place),
        "D": str(place.parent),
        "IGNORED": IGNORED,
        "BLOCKED": BLOCKED,
    }
    return subprocess.run(
        ["bash", "-c", script, "bash", *volfs.argv],
        env=environment,
        cwd=volfs.directory,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("script", WORKS.values(), ids=WORKS)
def test_it_mounts(volfs: Command, place: Path, script: str) -> None:
    done = start(volfs, place, script)
    assert done.returncode == 0, done
    assert b"Traceback" not in done.stderr + done.stdout
    assert os.path.ismount(place)
    (place / "f").write_bytes(bytes(1 << 20))
    if "VOLFS_RUNTIME_DIR" in script:
        volfs.environment["VOLFS_RUNTIME_DIR"] = f"{place.parent}/{1:0150d}"
    pid = volfs("status", place, "--json").json[0]["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_running(pid), "the end")
    assert not os.path.ismount(place)
    assert volfs("log", "v", "--json").json[0]["version"] == 1


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_that_is_too_low(volfs: Command, place: Path, limit: str) -> None:
    """Who may not lift it is told, and nothing is left behind."""
    check_refused(volfs, place, f"ulimit {limit}; {WITHOUT_RIGHT} {MOUNT}", LIMITS[limit])


def test_a_relative_path_in_a_removed_directory(volfs: Command, place: Path) -> None:
    script = 'mkdir "$D/x"; cd "$D/x"; rmdir "$D/x"; "$@" mount v m'
    check_refused(volfs, place, script, "the working directory was removed")


def check_refused(volfs: Command, place: Path, script: str, why: str) -> None:
    done = start(volfs, place, f"{{ {script}; }} 2>&1 | cat; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == 1
    assert done.stdout.decode().startswith("volfs: mount: ")
    assert done.stdout.count(b"\n") == 1
    assert why in done.stdout.decode()
    assert not os.path.ismount(place)
    assert not list((volfs.store / "mounts").glob("*"))


NO_ORDERS = [
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGXFSZ,
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGWINCH,
    signal.SIGURG,
    signal.SIGRTMIN,
    signal.SIGRTMAX,
]
ORDERS = [signal.SIGHUP, signal.SIGQUIT, signal.SIGPWR, signal.SIGXCPU]


def test_signals_that_are_no_orders(volfs: Command, place: Path) -> None:
    volfs("mount", "v", place)
    pid = volfs("status", place, "--json").json[0]["pid"]
    for number in NO_ORDERS:
        os.kill(pid, number)
    (place / "f").write_bytes(b"1")
    assert volfs("commit", place).lines[0].startswith("Committed version 1")
    volfs("umount", place)


@pytest.mark.parametrize("number", ORDERS)
def test_signals_that_are_orders_end_in_a_commit(
    volfs: Command, place: Path, number: signal.Signals
) -> None:
    volfs("mount", "v", place)
    (place / "f").write_bytes(b"1")
    pid = volfs("status", place, "--json").json[0]["pid"]
    os.kill(pid, number)
    wait_until(lambda: not is_running(pid), "the end")
    assert not os.path.ismount(place)
    assert volfs("log", "v", "--json").json[0]["version"] == 1


def test_a_full_standard_output_is_told(volfs: Command, place: Path) -> None:
    done = start(volfs, place, '"$@" list >/dev/full')
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_exit_status_of_a_command_whose_starter_ignores_children(
    volfs: Command, place: Path
) -> None:
    script = f'"{sys.executable}" -c "$IGNORED" "$@" run --volume v:/v -- sh -c "exit 7"'
    assert start(volfs, place, script).returncode == 7


@pytest.fixture
def cgroup() -> Iterator[Path]:
    path = Path(f"/sys/fs/cgroup/pids/volfs-test-{os.getpid()}")
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no cgroup that limits processes")
    yield path
    wait_until(lambda: not (path / "cgroup.procs").read_text(), "the last process")
    path.rmdir()


@pytest.mark.parametrize("most", [2, 3, 4, 5, 6, 7, 8])
def test_few_processes(volfs: Command, place: Path, cgroup: Path, most: int) -> None:
    """What is said is so, however many threads there may be."""
    (cgroup / "pids.max").write_text(str(most))
    script = f'echo $$ >{cgroup}/cgroup.procs; exec "$@" mount v "$M"'
    done = start(volfs, place, script)
    assert (done.returncode == 0) == os.path.ismount(place)
    if done.returncode:
        said = drop_waits(done.stderr.decode())
        assert said.startswith("volfs: mount: ")
        assert said.count("\n") == 1
        volfs("mount", "v", place)
    (cgroup / "pids.max").write_text("max")
    volfs("umount", place)
    assert not list((volfs.store / "mounts").glob("*"))
