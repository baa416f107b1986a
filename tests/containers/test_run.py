"""``volfs run`` as a user has it: exit statuses, signals, and what is left at the end."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.containers.conftest import ContainerStore
from tests.harness.mounted import is_running, wait_until
from volfs.containers.container import VolumeMount
from volfs.control.mounts import list_mount_points

pytestmark = pytest.mark.fuse
VOLUME = "--volume=data:/volfs-test/data"


class Running:
    """``volfs run`` of a shell script, which says ``ready`` first."""

    def __init__(self, volfs: Command, *options: str, script: str) -> None:
        self.process = subprocess.Popen(
            [*volfs.argv, "run", VOLUME, *options, "--", "sh", "-c", script],
            env=volfs.environment,
            cwd=volfs.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.process.communicate()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)

    def end(self) -> tuple[int, bytes, bytes]:
        out, error = self.process.communicate(timeout=60)
        return self.process.returncode, out, error


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_exit_status_is_the_commands(volfs: Command, script: str, status: int) -> None:
    volfs("run", "--", "sh", "-c", script, status=status)


def test_no_such_command(volfs: Command) -> None:
    assert "nosuch" in volfs("run", "nosuch", status=127).err


def test_streams_and_arguments_are_the_commands(volfs: Command) -> None:
    script = 'cat; echo "$@" >&2'
    result = volfs("run", "sh", "-c", script, "sh", "--env", "x=y", stdin=b"given")
    assert (result.out, result.err) == (b"given", "--env x=y\n")


def test_changes_are_committed_also_after_a_failure(
    container_store: ContainerStore, volfs: Command
) -> None:
    volfs("run", VOLUME, "sh", "-c", "echo 1 > /volfs-test/data/file; exit 3", status=3)
    assert volfs("get", "data", "file", "-").out == b"1\n"


def test_a_failure_names_the_overlay_that_it_leaves(
    container_store: ContainerStore, volfs: Command
) -> None:
    script = "echo 1 > /volfs-test/data/file; exit 3"
    result = volfs("run", VOLUME, "--commit", "success", "sh", "-c", script, status=3)
    (name,) = container_store.sessions
    assert f"volfs overlays commit {name}" in result.err
    volfs("overlays", "discard", name)
    volfs("run", VOLUME, "--commit", "success", "touch", "/volfs-test/data/file")
    assert container_store.version() == 1


def test_a_fork_is_changed_instead(container_store: ContainerStore, volfs: Command) -> None:
    result = volfs("run", VOLUME, "--fork", "touch", "/volfs-test/data/file")
    fork = result.err.split()[-1].rstrip(".")
    assert volfs("ls", fork).lines == ["file"]
    assert volfs("ls", "data").lines == []
    assert f"To bring it back:     volfs merge {fork}\n" in result.err
    merged = volfs("merge", fork, "--json").json
    assert [(it["change"], it["path"]) for it in merged["changes"]] == [("added", "file")]
    assert volfs("ls", "data").lines == ["file"]


def test_a_missing_volume(volfs: Command) -> None:
    assert "new: no such volume" in volfs("run", "--volume=new:/new", "true", status=1).err
    volfs("run", "--volume=new:/new", "--create", "touch", "/new/file")
    assert volfs("ls", "new").lines == ["file"]


@pytest.mark.parametrize(
    "options", [["--volume=data"], ["--volume=data:/d:rx"], ["--volume=data:d"], ["--env=x"]]
)
def test_what_is_asked_for_wrongly(volfs: Command, options: list[str]) -> None:
    assert volfs("run", *options, "true", status=2).err.startswith("volfs: run: ")


def test_where_it_starts(volfs: Command) -> None:
    assert volfs("run", "pwd").lines == [str(volfs.directory)]
    assert volfs("run", VOLUME, "--workdir=/volfs-test/data", "pwd").lines == ["/volfs-test/data"]


def test_secrets_and_variables_are_seen_by_the_command_alone(volfs: Command) -> None:
    volfs("secret", "create", "token", "TOKEN=-", stdin=b"canary-1")
    script = 'echo ready; read wait; echo "$TOKEN $OTHER"'
    options = [VOLUME, "--secret=token", "--env=OTHER=canary-2", "--", "sh", "-c", script]
    with subprocess.Popen(
        [*volfs.argv, "run", *options],
        env=volfs.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert b"canary" not in path.read_bytes(), path
            except (FileNotFoundError, ProcessLookupError):
                continue
        out, _ = process.communicate(b"\n", timeout=60)
    assert out == b"canary-1 canary-2\n"


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, marks=pytest.mark.slow),
    ],
)
def test_signals_are_passed_on(
    container_store: ContainerStore, volfs: Command, number: int
) -> None:
    name = signal.Signals(number).name.removeprefix("SIG")
    script = f"trap 'echo caught; exit 9' {name}; echo ready; while :; do sleep 0.02; done"
    with Running(volfs, script=script) as running:
        running.process.send_signal(number)
        assert running.end() == (9, b"caught\n", b"")
    assert not container_store.mounts


def test_a_signal_that_the_command_dies_of(container_store: ContainerStore, volfs: Command) -> None:
    script = "echo 1 > /volfs-test/data/file; echo ready; exec sleep 1000"
    with Running(volfs, script=script) as running:
        running.process.terminate()
        assert running.end() == (143, b"", b"")
    assert container_store.version() == 1


@pytest.mark.parametrize(("policy", "version"), [("always", 1), ("success", 0), ("never", 0)])
def test_killed_with_nine(
    container_store: ContainerStore, volfs: Command, policy: str, version: int
) -> None:
    """The command dies, the daemon commits by the policy, the next run sweeps up."""
    script = "echo 1 > /volfs-test/data/file; sleep 1000.5 & echo ready; wait"
    with Running(volfs, "--commit", policy, script=script):
        wait_until(lambda: find_process("sleep 1000.5"), "the command")
    wait_until(lambda: not find_process("sleep 1000.5"), "the command's end")
    wait_until(lambda: not container_store.mounts, "the mount's end")
    wait_until(
        lambda: len(container_store.sessions) == int(policy == "success"), "the session's end"
    )
    assert container_store.version() == version
    places = container_store.directory / "run/containers"
    assert os.listdir(places)
    volfs("run", "true")
    assert not os.listdir(places)


def test_killed_with_nine_without_volumes(volfs: Command) -> None:
    script = "setsid sleep 1000.25 & sleep 1000.25 & echo ready; wait"
    command = [*volfs.argv, "run", "--", "sh", "-c", script]
    process = subprocess.Popen(command, env=volfs.environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    wait_until(lambda: len(find_process("sleep 1000.25")) == 2, "the command's children")
    (guard,) = [
        pid
        for pid in find_children(process.pid)
        if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    process.kill()
    wait_until(lambda: not find_process("sleep 1000.25"), "their end")
    process.communicate(timeout=60)
    wait_until(lambda: not is_running(int(guard)), "the guard's end")


def test_another_container_survives_that(container_store: ContainerStore, volfs: Command) -> None:
    """Although it has a copy of the mount whose process was killed."""
    with Running(volfs, script="echo ready; sleep 1000.75 & wait"):
        wait_until(lambda: find_process("sleep 1000.75"), "the command")
        mount = VolumeMount("data", "/volfs-test/data")
        other = container_store.container(mount).start(["cat"], stdin=subprocess.PIPE)
        (pid,) = wait_until(
            lambda: set(find_process("cat")).intersection(find_children(other.pid)), "cat"
        )
        copied = [m.path for m in list_mount_points(pid) if m.path in container_store.mounts]
        assert len(copied) == 2
    wait_until(lambda: not find_process("sleep 1000.75"), "what outlived the command")
    wait_until(lambda: len(container_store.mounts) == 1, "the mount's end")
    other.communicate(timeout=60)
    assert other.returncode == 0


def find_children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def find_process(command: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().rstrip(b"\0").split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b" ".join(words).decode(errors="replace") == command:
            found.append(path.parent.name)
    return found


def test_a_terminal_s_interrupt_reaches_the_command_once(volfs: Command) -> None:
    """It goes to the whole foreground: to us, to bwrap, to the command."""
    program = (
        "import signal, sys\n"
        "caught = []\n"
        "signal.signal(signal.SIGINT, lambda *_: caught.append(1))\n"
        "print('ready', flush=True)\n"
        "signal.sigtimedwait([signal.SIGUSR1], 0.3)\n"
        "while not caught: signal.pause()\n"
        "print('caught', len(caught), sys.stdin.isatty(), flush=True)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        argv = [*volfs.argv, "run", "--", sys.executable, "-c", program]
        os.execve(argv[0], argv, volfs.environment)
    said = b""
    with os.fdopen(terminal, "r+b", buffering=0) as stream:
        while b"ready" not in said:
            said += stream.read(100)
        stream.write(b"\x03")
        while b"caught" not in said or not said.endswith(b"\n"):
            said += stream.read(100)
        _, status = os.waitpid(pid, 0)
    assert b"caught 1 True" in said
    assert os.waitstatus_to_exitcode(status) == 0


def test_without_bwrap(volfs: Command, tmp_path: Path) -> None:
    result = volfs("run", "true", status=1, PATH=str(tmp_path))
    assert result.err == "volfs: run: bwrap is missing: install the package bubblewrap\n"


def test_where_containers_are_not_permitted(volfs: Command, tmp_path: Path) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions' >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    result = volfs("run", "true", status=1, PATH=str(tmp_path))
    assert result.err == "volfs: run: containers cannot be made here: bwrap: No permissions\n"
