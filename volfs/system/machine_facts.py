"""What this machine has of what mounts and containers need."""

from __future__ import annotations

import ctypes.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

DEVICE = "/dev/fuse"
FUSE_CONF = "/etc/fuse.conf"
OLDEST_KERNEL = (5, 4)
_SECONDS = 10.0


class MachineFact(NamedTuple):
    """One thing that was looked at. ``advice`` says what to do if it is not well."""

    name: str
    found: str
    advice: str = ""
    is_needed: bool = False
    """Whether nothing can be mounted while it is not well."""


def iter_facts() -> Iterator[MachineFact]:
    yield _look_at_device()
    yield _look_at_program("fusermount3", "fuse3", is_needed=os.geteuid() != 0)
    yield _look_at_library()
    yield _look_at_allow_other()
    yield _look_at_program("bwrap", "bubblewrap", why="`volfs run` needs it")
    yield _look_at_namespaces()
    yield MachineFact("python", platform.python_version())
    yield _look_at_kernel()


def _look_at_device() -> MachineFact:
    if not os.path.exists(DEVICE):
        advice = "modprobe fuse; a container of Docker needs --device /dev/fuse"
        return MachineFact(DEVICE, "is not there", advice, is_needed=True)
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return MachineFact(DEVICE, "not open to you", f"chmod 666 {DEVICE} as root", is_needed=True)
    return MachineFact(DEVICE, "there, and open to you")


def _look_at_program(
    name: str, package: str, *, is_needed: bool = False, why: str = ""
) -> MachineFact:
    place = shutil.which(name)
    if place is None:
        advice = f"apt-get install {package}" + (f" ({why})" if why else "")
        return MachineFact(name, "not found", advice, is_needed)
    return MachineFact(name, f"{place}{_ask_version(place)}")


def _ask_version(program: str) -> str:
    """The version that a program says, after a comma; nothing if it says none."""
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return f", {found[0]}" if found else ""


def _look_at_library() -> MachineFact:
    library = ctypes.util.find_library("fuse3")
    missing = [name for name in ("pyfuse3", "trio") if find_spec(name) is None]
    if missing:
        advice = "apt-get install libfuse3-dev pkg-config gcc; pip install 'volfs[mount]'"
        return MachineFact("libfuse", f"no {' and no '.join(missing)}", advice, is_needed=True)
    if library is None:
        return MachineFact("libfuse", "not found", "apt-get install libfuse3-3", is_needed=True)
    from importlib.metadata import version

    return MachineFact("libfuse", f"{library}, pyfuse3 {version('pyfuse3')}")


def _look_at_allow_other() -> MachineFact:
    if os.geteuid() == 0:
        return MachineFact("user_allow_other", "root needs no permission")
    try:
        with open(FUSE_CONF, encoding="utf-8", errors="replace") as file:
            allowed = any(line.strip() == "user_allow_other" for line in file)
    except OSError:
        allowed = False
    if allowed:
        return MachineFact("user_allow_other", f"in {FUSE_CONF}")
    advice = f"echo user_allow_other >>{FUSE_CONF} as root, for mount --allow-other"
    return MachineFact("user_allow_other", f"not in {FUSE_CONF}", advice)


def _look_at_namespaces() -> MachineFact:
    """Whether containers can be made: root needs no user namespace, but a mount namespace."""
    program = shutil.which("unshare")
    if program is None:
        return MachineFact("namespaces", "unknown: no unshare", "apt-get install util-linux")
    words = [program, "--mount", "true"]
    if os.geteuid() != 0:
        words[1:1] = ["--user", "--map-root-user"]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_SECONDS)
    what = "mount namespaces" if os.geteuid() == 0 else "user namespaces"
    if said.returncode == 0:
        return MachineFact("namespaces", f"{what} can be made")
    advice = (
        "a container of Docker needs --security-opt seccomp=unconfined and --cap-add SYS_ADMIN"
        if os.geteuid() == 0
        else "sysctl kernel.unprivileged_userns_clone=1 and "
        "kernel.apparmor_restrict_unprivileged_userns=0, as root (`volfs run` needs it)"
    )
    return MachineFact("namespaces", f"no {what}: {said.stderr.strip()}", advice)


def _look_at_kernel() -> MachineFact:
    release = os.uname().release
    parts = re.match(r"(\d+)\.(\d+)", release)
    old = parts is None or (int(parts[1]), int(parts[2])) < OLDEST_KERNEL
    wanted = ".".join(map(str, OLDEST_KERNEL))
    return MachineFact("kernel", release, f"Linux {wanted} or newer is tested" if old else "")
