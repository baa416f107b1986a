"""mount.fuse.volfs and umount.fuse.volfs: what mount(8) and umount(8) call for a volume.

They call ``mount.fuse.volfs SPEC DIRECTORY [-sfnv] [-N NAMESPACE] [-o WORDS] [-t TYPE]``, and
``umount.fuse.volfs DIRECTORY [-flnrv] [-N NAMESPACE] [-t TYPE]``, mostly with almost no
environment: at the start of the machine there is no HOME and no PATH.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from typing import NoReturn

from volfs.errors import InvalidError

WRONG_USE, FAILED = 1, 32
"""The exit statuses of mount(8) for a wrong call, and for a mount that failed."""
_UMOUNT = "/bin/umount"
_WITH_ENVIRONMENT = 2
"""The parts of a name such as ``prod/model``."""


def mount_main() -> NoReturn:
    """The program ``mount.fuse.volfs``."""
    sys.exit(_mount(sys.argv[1:]))


def umount_main() -> NoReturn:
    """The program ``umount.fuse.volfs``, which waits for the commit, as umount(8) does not."""
    sys.exit(_umount(sys.argv[1:]))


def _mount(words: Sequence[str]) -> int:
    from volfs_cli.mount_words import parse_words

    try:
        options, arguments = gnu_getopt(list(words), "sfnvwro:t:N:h")
        spec, place = _take_two(arguments)
        said = dict(options)
        if "-N" in said:
            raise InvalidError("-N: run mount in that namespace instead: nsenter -m -t PID mount …")
        asked = ",".join(value for name, value in options if name == "-o")
        asked += ",ro" if "-r" in said else ""
        wanted = parse_words(asked, sloppy="-s" in said)
    except (GetoptError, InvalidError) as error:
        return _refuse("mount.fuse.volfs", str(error))
    if "-f" in said or _is_mounted_already(spec, place):
        return 0
    return _run(["mount", *wanted, "--", find_volume(spec), place])


def _umount(words: Sequence[str]) -> int:
    try:
        options, arguments = gnu_getopt(list(words), "flnrvt:N:ch")
        (place,) = arguments
    except (GetoptError, ValueError) as error:
        return _refuse("umount.fuse.volfs", f"{error}: use umount.fuse.volfs DIRECTORY")
    flags = [name for name, _ in options if name in ("-f", "-l", "-r")]
    if flags:
        # The kernel detaches the mount; its daemon commits what it can.
        os.execv(_UMOUNT, ["umount", "-i", *flags, "--", place])
    return _run(["umount", "--", place if "/" in place else f"./{place}"])


def _take_two(arguments: Sequence[str]) -> tuple[str, str]:
    if len(arguments) != 2:
        raise InvalidError("use mount -t fuse.volfs VOLUME DIRECTORY [-o OPTIONS]")
    return arguments[0], arguments[1]


def _is_mounted_already(spec: str, place: str) -> bool:
    """Whether this is another `mount -a`. mount(8) sees that by itself, unless it made a path of
    the volume's name."""
    from volfs.control.mounts import FS_TYPE, find_mount_point

    found = find_mount_point(place) if spec.startswith("/") else None
    return found is not None and (found.fs_type, found.source) == (FS_TYPE, find_volume(spec))


def find_volume(spec: str) -> str:
    """The volume's name, with its environment if it has one. mount(8) makes an absolute path of it
    if a file in the working directory has this name."""
    path = Path(spec)
    if not path.is_absolute():
        return spec
    inner = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return str(inner) if len(inner.parts) == _WITH_ENVIRONMENT else path.name


def _run(arguments: list[str]) -> int:
    """Run ``volfs`` with arguments. The exit status is one of mount(8)."""
    from volfs_cli.main import run, settle_in
    from volfs_cli.terminal import speak_utf8

    speak_utf8()
    settle_in()
    status = run(arguments)
    return {0: 0, 2: WRONG_USE}.get(status, FAILED)


def _refuse(program: str, why: str) -> int:
    print(f"{program}: {why}", file=sys.stderr)
    return WRONG_USE
