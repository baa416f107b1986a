"""``Forked``: ``subprocess.Popen`` of a program in Python that has volfs loaded already.

The process is forked by a server beside this one (``tests/harness/fork_server.py``).
Whatever is to be proved of a start itself, of the interpreter's options, or of a
process that imports little, takes ``subprocess.Popen``.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.harness.fork_server import Request

ROOT = Path(__file__).resolve().parents[2]
COMMAND_LINE = "from volfs_cli.main import main; main()"
OF_PYTHON = ("PYTHON", "LC_", "LANG", "LD_")
"""Of the environment: what an interpreter takes notice of when it starts."""


def can_fork(environment: Iterable[str]) -> bool:
    """Whether a process with these variables would be the same if it were forked."""
    return not any(name.startswith(OF_PYTHON) for name in environment)


class Forked(subprocess.Popen[Any]):
    """``Forked([code, *arguments], …)`` is ``Popen([python, "-c", code, *arguments], …)``.

    The arguments of ``Popen`` that it takes: the standard files, ``text`` and its kind,
    ``env``, ``cwd`` and ``pass_fds``.
    """

    _told: int

    def _execute_child(self, args: Any, *options: Any) -> None:  # type: ignore[override]
        _, _, _, pass_fds, cwd, environment = options[:6]
        ours, theirs = options[9:15:2], options[10:15:2]
        stdin, stdout, stderr = ours[0], theirs[1], theirs[2]
        streams = [own if fd == -1 else fd for own, fd in enumerate((stdin, stdout, stderr))]
        code, *arguments = (os.fsdecode(argument) for argument in args)
        request = Request(
            code,
            ["-c", *arguments],
            _decode(os.environ if environment is None else environment),
            os.fsdecode(cwd or os.getcwd()),
            _find_umask(),
            [0, 1, 2, *pass_fds],
        )
        try:
            self._told = _ask(request, [*streams, *pass_fds])
            self.pid = int(_read_line(self._told))
        finally:
            self._close_pipe_fds(*options[9:15])  # type: ignore[attr-defined]
        self._child_created = True

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        return self._look(0)

    def _wait(self, timeout: float | None) -> int:
        status = self._look(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return status

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            self.returncode = int(_read_line(self._told))
            os.close(self._told)
        return self.returncode


Argument = str | bytes | Path


def run_forked(
    code: str,
    *arguments: Argument,
    input: Any = None,
    timeout: float = 60,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """``subprocess.run`` of a program that is forked; what it says is captured."""
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    streams = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Forked([code, *arguments], **streams, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_program(
    code: str, *arguments: Argument, timeout: float = 60, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """The same, with an interpreter of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, timeout=timeout, check=False, **options)


# --- the server of this process ----------------------------------------------

_lines: dict[int, tuple[socket.socket, subprocess.Popen[bytes]]] = {}
"""By process: what pytest forks has a server of its own."""


def _find_line() -> socket.socket:
    if os.getpid() not in _lines:
        _lines.clear()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = f"from tests.harness.fork_server import main; main({theirs.fileno()})"
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-X", "utf8", "-c", code],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
            )
        _lines[os.getpid()] = ours, process
    return _lines[os.getpid()][0]


def close_server() -> None:
    """End the server of this process. What it has forked stays."""
    for line, process in _lines.values():
        line.close()
        process.wait()
    _lines.clear()


def _ask(request: Request, fds: list[int]) -> int:
    """Hand a request to the server: a pipe on which it says the process's id, then its status."""
    body = os.memfd_create("request")
    reader, writer = os.pipe()
    try:
        with open(body, "wb", closefd=False) as file:
            pickle.dump(request, file)
        socket.send_fds(_find_line(), [b"."], [writer, body, *fds])
    finally:
        os.close(body)
        os.close(writer)
    return reader


def _read_line(pipe: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(pipe, 1)
        if not byte:
            raise RuntimeError("the fork server has ended")
        line += byte
    return line


def _decode(environment: Mapping[Any, Any]) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}


def _find_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
