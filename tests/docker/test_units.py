"""The units of systemd, and the socket that systemd passes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.servers import die_with_parent
from volfs.docker.units import make_units


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = tmp_path / "volfs"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name, text in make_units(str(program)).items():
        (tmp_path / name).write_text(text)
    units = sorted(tmp_path.glob("volfs-docker.*"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    said = [line for line in done.stderr.splitlines() if "volfs-docker" in line]
    assert (done.returncode, said) == (0, []), done.stderr


_PASSING = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def test_the_socket_may_be_that_of_systemd(volfs: Command) -> None:
    path = volfs.directory / "passed.sock"
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(path))
        line.listen()
        given = str(line.fileno())
        serving = [*volfs.argv[1:], "docker", "serve", "--socket", str(path)]
        process = subprocess.Popen(
            [sys.executable, "-c", _PASSING, given, *serving],
            env=volfs.environment,
            pass_fds=(line.fileno(),),
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
    # The connection waits until the plugin takes it, as Docker's first one does.
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.settimeout(60)
        client.sendall(b"POST /Plugin.Activate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b"200 OK" in client.recv(4096)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert path.exists()
