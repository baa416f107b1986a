"""Containers share the machine's process ids; their processes end with them all the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.containers.conftest import ContainerStore
from tests.containers.test_container import DATA, said
from tests.harness.mounted import ROOT, is_running
from volfs.containers.members import Members

pytestmark = pytest.mark.fuse


def test_what_a_command_leaves_behind_ends_with_the_container(
    container_store: ContainerStore,
) -> None:
    with container_store.container(DATA) as container:
        left = int(said(container, "setsid sleep 1000 >/dev/null 2>&1 & echo $!"))
        assert is_running(left)
    assert not is_running(left)


def test_kill_ends_childrens_children(container_store: ContainerStore) -> None:
    with container_store.container(DATA) as container:
        script = "sh -c 'sleep 1000 & echo $!; wait'"
        process = container.start(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        assert not is_running(child)
        process.communicate()


def test_members_are_no_others(container_store: ContainerStore) -> None:
    with container_store.container() as one, container_store.container() as other:
        first, second = (box.start(["sleep", "1000"]) for box in (one, other))
        first.kill()
        assert first.wait() == -9
        assert second.poll() is None


def test_an_ended_process_has_no_members() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(FileNotFoundError):
        Members(process.pid)


def test_two_containers_share_a_dict(container_store: ContainerStore) -> None:
    """LMDB's readers are told apart by process id: each must have one of its own."""
    code = """if True:
        import sys, volfs
        shared = volfs.Dict.from_name("shared", create_if_missing=True)
        print(shared.get("count", 0), flush=True)
        sys.stdin.readline()
        print(shared.change("count", lambda n: n + 1, 0), flush=True)
    """
    with container_store.container() as one, container_store.container() as other:
        processes = [
            box.start(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for box in (one, other)
        ]
        for process in processes:
            assert process.stdout.readline() == "0\n"
        said_last = {process.communicate("\n")[0] for process in processes}
    assert said_last == {"1\n", "2\n"}
