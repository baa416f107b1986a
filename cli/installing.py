"""install-helpers: what the system's own programs need to know volfs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from volfs.docker.units import make_units
from volfs.errors import AlreadyExistsError
from volfs_cli.output import plural
from volfs_cli.terminal import say

_USUAL = "/usr/local"
_MARK = "Installed by volfs install-helpers."
_PROGRAM = """#!{python} -I
# {mark}
import sys

sys.path[:0] = {paths!r}
from volfs_cli.mount_helper import {function}

{function}()
"""
_UNIT = """# {mark}
# volfs@VOLUME.service mounts VOLUME at /srv/volfs/VOLUME. Other places and options are in
# /etc/volfs/VOLUME.env, as MOUNTPOINT=/data and OPTIONS=--auto-commit=5 --allow-other
[Unit]
Description=volfs volume %i
Documentation=man:volfs-mount(8)
Wants=network-online.target
After=network-online.target local-fs.target

[Service]
Type=notify
NotifyAccess=main
Environment=MOUNTPOINT=/srv/volfs/%i
EnvironmentFile=-/etc/volfs/%i.env
ExecStartPre=/bin/mkdir -p ${{MOUNTPOINT}}
ExecStart={command} mount --foreground $OPTIONS -- %i ${{MOUNTPOINT}}
ExecStop={command} umount -- ${{MOUNTPOINT}}
Restart=on-failure
TimeoutStopSec=90

[Install]
WantedBy=multi-user.target
"""
_COMPLETIONS = {
    "bash": "share/bash-completion/completions/volfs",
    "zsh": "share/zsh/site-functions/_volfs",
    "fish": "share/fish/vendor_completions.d/volfs.fish",
}


class HelperFile(NamedTuple):
    """A file to be installed."""

    path: Path
    text: str
    mode: int = 0o644


@click.command("install-helpers")
@click.option(
    "--prefix",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help=f"Install below DIR. Default: {_USUAL}, and /sbin for what mount(8) looks for there.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("--uninstall", is_flag=True, help="Remove what this command has installed.")
@click.option("--force", is_flag=True, help="Replace files that this command has not installed.")
def install_helpers(prefix: Path | None, dry_run: bool, uninstall: bool, force: bool) -> None:
    """Let mount(8), fstab, systemd, man and shells know volfs.

    Installs mount.fuse.volfs and umount.fuse.volfs, so that `mount -t fuse.volfs VOLUME DIR` and a
    line in fstab work; the units volfs@.service, volfs-docker.service and volfs-docker.socket; the
    pages of the manual; and completions of bash, zsh and fish.
    """
    files = list(list_files(prefix))
    if uninstall:
        _uninstall(files, dry_run)
        return
    if not force:
        _check_free(files)
    for file in files:
        say(f"{'Would install' if dry_run else 'Installed'} {file.path}")
        if not dry_run:
            _write(file)
    if not any(file.path.suffix == ".8" for file in files):
        say("volfs: install-helpers: this volfs was built without its manual", err=True)


def list_files(prefix: Path | None) -> Iterator[HelperFile]:
    """What is to be installed below a prefix; None for the places of this system."""
    below = Path(_USUAL) if prefix is None else Path(os.path.abspath(prefix))
    programs = Path("/sbin") if prefix is None else below / "sbin"
    for name in ("mount", "umount"):
        text = _PROGRAM.format(
            python=sys.executable,
            mark=_MARK,
            paths=_list_paths(),
            function=f"{name}_main",
        )
        yield HelperFile(programs / f"{name}.fuse.volfs", text, 0o755)
    unit = _UNIT.format(mark=_MARK, command=_find_command())
    yield HelperFile(below / "lib/systemd/system/volfs@.service", unit)
    for name, text in make_units(_find_command()).items():
        yield HelperFile(below / "lib/systemd/system" / name, f"# {_MARK}\n{text}")
    yield from _list_completions(below)
    yield from _list_pages(below)


def _list_paths() -> list[str]:
    """The directories that have the packages: Python's isolated mode may not look there."""
    import volfs
    import volfs_cli

    places = [Path(str(package.__file__)).parent.parent for package in (volfs, volfs_cli)]
    return list(dict.fromkeys(str(place) for place in places))


def _find_command() -> str:
    """The command ``volfs`` as a unit has it."""
    beside = Path(sys.executable).with_name("volfs")
    return str(beside) if beside.exists() else f"{sys.executable} -m volfs"


def _list_completions(below: Path) -> Iterator[HelperFile]:
    from click.shell_completion import get_completion_class

    from volfs_cli.main import COMPLETE, PROGRAM, cli

    for shell, place in _COMPLETIONS.items():
        kind = get_completion_class(shell)
        assert kind is not None, "click completes these shells"
        text = kind(cli, {}, PROGRAM, COMPLETE).source()
        # The first line of zsh's has to be its own.
        first, _, rest = text.lstrip("\n").partition("\n")
        yield HelperFile(below / place, f"{first}\n# {_MARK}\n{rest}\n")


def _list_pages(below: Path) -> Iterator[HelperFile]:
    """The pages of the manual, which were made when this volfs was built."""
    for page in sorted(Path(sys.prefix, "share/man").glob("man*/volfs*.[18]")):
        text = page.read_text(encoding="utf-8")
        place = below / "share/man" / page.parent.name / page.name
        yield HelperFile(place, f'{text}\n.\\" {_MARK}\n')


def _is_ours(path: Path) -> bool:
    try:
        return _MARK in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _check_free(files: list[HelperFile]) -> None:
    for file in files:
        if os.path.lexists(file.path) and not _is_ours(file.path):
            raise AlreadyExistsError(
                f"{file.path}: something else put that there; --force replaces it"
            )


def _write(file: HelperFile) -> None:
    from volfs.system.files import replace_file

    file.path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file.path, file.text.encode(), mode=file.mode)


def _uninstall(files: list[HelperFile], dry_run: bool) -> None:
    ours = [file.path for file in files if _is_ours(file.path)]
    for path in ours:
        say(f"{'Would remove' if dry_run else 'Removed'} {path}")
        if not dry_run:
            path.unlink()
    if not ours:
        say(f"Nothing to remove: {plural(len(files), 'file')} looked for.")
