"""Children that answer, die or hang; processes of a namespace, to the last; the C library."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from volfs.system.children import ask_child, may_fork
from volfs.system.libc import (
    call,
    punch_hole,
    reserve_room,
    sync_file_system,
    system_call,
    unmount,
)
from volfs.system.namespaces import find_members, find_namespace, kill_all, list_pids

HIDING = """
import sys
from pathlib import Path
from volfs_cli.hiding import hide_values
hide_values()
sys.stdout.buffer.write(Path("/proc/self/cmdline").read_bytes())
"""


def test_a_child_may_answer_at_length() -> None:
    answer = os.urandom(1 << 20)
    assert ask_child(lambda: answer) == answer
    assert ask_child(lambda: answer, 60) == answer


def test_a_child_may_die_of_the_question() -> None:
    assert ask_child(lambda: os.kill(os.getpid(), signal.SIGKILL) or b"alive") == b""
    assert ask_child(lambda: b"%d" % (1 // 0)) == b""
    assert ask_child(lambda: os._exit(0)) == b""
    assert ask_child(lambda: sys.exit("no")) == b""


def test_a_child_that_hangs_is_killed_and_nobody_waits_for_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def hang() -> bytes:
        pid.write_text(str(os.getpid()))
        select.select([], [], [])
        return b""

    assert ask_child(hang, 0.2) is None
    if pid.exists():  # else it was killed before it began
        _, status = os.waitpid(int(pid.read_text()), 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_a_process_of_two_threads_does_not_fork() -> None:
    def look() -> bytes:
        alone = may_fork()
        end = threading.Event()
        other = threading.Thread(target=end.wait)
        other.start()
        both = may_fork()
        end.set()
        other.join()
        return repr((alone, both)).encode()

    assert ask_child(look) == b"(True, False)"


def test_the_processes_of_a_namespace_are_killed_to_the_last() -> None:
    script = "sleep 1000 & sleep 1000 & echo $$; wait"
    child = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert child.stdout is not None
        first = int(child.stdout.readline())
        namespace = find_namespace(first)
        assert namespace is not None
        assert namespace != find_namespace("self")
        members = find_members(namespace)
        assert first in members
        assert {os.getpid(), first} <= {*list_pids()}
        kill_all(lambda: [pid for pid in find_members(namespace) if pid != child.pid])
        child.kill()
        child.wait()
        assert find_members(namespace) == []
        assert find_namespace(child.pid) is None
    finally:
        child.kill()
        child.communicate()


def test_who_does_not_die_is_not_waited_for_for_ever() -> None:
    looks: list[int] = []

    def find() -> list[int]:
        looks.append(1)
        return [2**22 + 1]  # no process has this number

    kill_all(find, 0.05)
    assert looks


def test_what_the_library_refuses_is_an_error(tmp_path: Path) -> None:
    for ask in (
        lambda: call("close", -1),
        lambda: system_call(428, -1, b"/none", 0),
        lambda: sync_file_system(-1),
        lambda: punch_hole(-1, 0, 4096),
    ):
        with pytest.raises(OSError, match=r"Bad file descriptor|No such file"):
            ask()
    with pytest.raises(OSError, match=r"Invalid argument|not permitted"):
        unmount(str(tmp_path), 0)


def test_room_is_taken_and_given_back(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        reserve_room(file.fileno(), 1 << 20)
        status = os.fstat(file.fileno())
        assert (status.st_size, status.st_blocks >= (1 << 20) // 512) == (0, True)
        file.write(b"x" * (1 << 20))
        file.flush()
        punch_hole(file.fileno(), 4096, 1 << 20)
        after = os.fstat(file.fileno())
        assert after.st_size == 1 << 20
        assert after.st_blocks < status.st_blocks
        assert os.pread(file.fileno(), 8192, 0) == b"x" * 4096 + bytes(4096)


def test_values_are_taken_out_of_the_arguments() -> None:
    arguments = ["NAME=secret", "plain", "EMPTY=", "LONG=" + "x" * 999, "=odd"]
    done = subprocess.run(
        [sys.executable, "-c", HIDING, *arguments], capture_output=True, check=True
    )
    shown = done.stdout.rstrip(b"\0").split(b"\0")
    assert b"secret" not in done.stdout
    assert b"xx" not in done.stdout
    assert b"odd" not in done.stdout
    assert {b"NAME=", b"plain", b"EMPTY=", b"LONG="} <= {*shown}
