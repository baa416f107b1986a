"""A program that is forked has what one has that is started by itself."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.forked import COMMAND_LINE, Forked, can_fork, run_forked, run_program

PROGRAMS = {
    "arguments": "import sys; print(sys.argv)",
    "environment": "import os; print(sorted(os.environb.items()))",
    "directory": "import os; print(os.getcwd())",
    "umask": "import os; print(os.umask(0))",
    "input": "import sys; print(repr(sys.stdin.read()))",
    "streams": "import sys; print([(s.encoding, s.errors, s.fileno(), s.isatty()) for s in "
    "(sys.stdin, sys.stdout, sys.stderr)])",
    "descriptors": "import os; print(sorted(os.listdir('/proc/self/fd'))[:-1])",
    "threads": "import threading; print(threading.active_count())",
    "group": "import os; print(os.getpgid(0), os.getsid(0))",
    "signals": "import signal; print([(n, signal.getsignal(n)) for n in (1, 2, 13, 15, 17)])",
    "fault": "import volfs.errors.fault_points as f; print(vars(f._armed))",
    "names": "print(__name__, 'main' in globals())",
    "status": "import sys; sys.exit(7)",
    "words": "import sys; sys.exit('words')",
    "error": "raise ValueError('of the program')",
    "broken": "this is no program",
    "unflushed": "import sys; sys.stdout.write('kept')",
    "at the end": "import atexit; atexit.register(print, 'last')",
    "thread": "import threading; threading.Thread(target=print, args=('thread',)).start()",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "interrupted": "import os; os.kill(os.getpid(), 2)",
    "local time": "import time; print(time.strftime('%H:%M', time.localtime(0)))",
    "chance": "import random; print(random.Random(1).random())",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_as_started_by_itself(name: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONUTF8": "1",
        "A": "caf\udce9",
        "TZ": "UTC-3",
        "VOLFS_FAULT": "a.b:3:kill",
    }
    found = [
        run(
            PROGRAMS[name], b"\xff", "two words", "", input=b"in\xe9", env=environment, cwd=tmp_path
        )
        for run in (run_forked, run_program)
    ]
    forked, program = ((done.returncode, done.stdout, last_line(done.stderr)) for done in found)
    assert forked == program
    assert forked[1] or forked[2] or forked[0]


def last_line(said: bytes) -> bytes:
    return b"".join(said.splitlines()[-1:])


def test_two_have_not_the_same_chances() -> None:
    code = "import random, uuid; print(random.random(), uuid.uuid4())"
    assert run_forked(code).stdout != run_forked(code).stdout


def test_it_has_what_is_passed_to_it_and_can_be_waited_for() -> None:
    reader, writer = os.pipe()
    code = f"import os, sys; os.write({writer}, b'passed'); sys.stdin.read(); sys.exit(3)"
    with Forked([code], stdin=subprocess.PIPE, pass_fds=[writer]) as process:
        os.close(writer)
        assert os.read(reader, 100) == b"passed"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.communicate(b"")
    os.close(reader)
    assert process.returncode == 3


def test_it_can_be_killed() -> None:
    with Forked(["input()"], stdin=subprocess.PIPE) as process:
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
        assert process.poll() == -signal.SIGTERM


def test_what_an_interpreter_takes_notice_of_is_not_forked() -> None:
    assert can_fork(["HOME", "VOLFS_STORE", "TZ"])
    assert not any(can_fork(["HOME", name]) for name in ("PYTHONIOENCODING", "LC_ALL", "LANG"))


def test_the_command_is_the_installed_one() -> None:
    installed = subprocess.run(["volfs", "--version"], capture_output=True, check=True)
    assert run_forked(COMMAND_LINE, "--version").stdout == installed.stdout
