"""run: a command in a container, or the functions of an App."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click
from click.core import ParameterSource

from volfs.model.text import show
from volfs.store.location import ENVIRONMENT_VARIABLES
from volfs_cli.hiding import hide_values
from volfs_cli.options import Seconds
from volfs_cli.secret_values import read_secrets
from volfs_cli.stores import (
    complete_volume,
    named_environment,
    opened_store,
    parse_name,
    store_option,
    store_url,
    take_environment,
)
from volfs_cli.terminal import say

if TYPE_CHECKING:
    from volfs.containers.container import (
        BucketMount,
        Container,
        ContainerSpec,
        VolumeMount,
    )

_ONLY_PROGRAMS = {"detach", "quiet", "write_result", "name", "timestamps", "interactive"}
_FOR_PROGRAMS = {"command", "is_module", "store", "variables", "given"} | _ONLY_PROGRAMS
_AFTER_DASHES = "volfs.after_dashes"
_COMMAND = {"allow_interspersed_args": False}


class RunCommand(click.Command):
    """A command whose last arguments are another command, possibly after ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        rest = super().parse_args(ctx, args)
        at = len(given) - len(ctx.params.get("command") or ()) - 1
        ctx.meta[_AFTER_DASHES] = at >= 0 and given[at] == "--"
        return rest


@click.command("run", cls=RunCommand, no_args_is_help=True, context_settings=_COMMAND)
@store_option
@click.option(
    "--volume",
    "volumes",
    metavar="[ENV/]NAME:PATH[:ro]",
    multiple=True,
    shell_complete=complete_volume,
    help="Mount this volume there; may be repeated.",
)
@click.option(
    "--bucket",
    "buckets",
    metavar="URL:PATH[:ro]",
    multiple=True,
    help="Mount this bucket there: s3://BUCKET/PREFIX:/PATH; may be repeated.",
)
@click.option(
    "--bucket-secret",
    metavar="NAME",
    help="A Secret with the buckets' credentials; default: the environment.",
)
@click.option("--create", is_flag=True, help="Create the volumes that are missing.")
@click.option("--fork", is_flag=True, help="Change a fork of each volume, not the volume.")
@click.option(
    "--secret",
    "secret_names",
    metavar="NAME",
    multiple=True,
    help="Give the Secret's values as variables.",
)
@click.option(
    "-e",
    "given",
    metavar="ENV|KEY=VALUE",
    multiple=True,
    help="The environment in which names are looked up, or, for a command, a variable.",
)
@click.option(
    "--env",
    "variables",
    metavar="KEY=VALUE",
    multiple=True,
    help="A variable; for an App, the environment in which names are looked up.",
)
@click.option(
    "--commit",
    type=click.Choice(("always", "success", "never")),
    default="always",
    show_default=True,
    help="When changes are published: in the background and at the end, only at the end of "
    "a command that succeeds, or not at all.",
)
@click.option(
    "--auto-commit",
    type=Seconds(),
    metavar="SECONDS",
    help="Time between commits in the background; 0: none. Default: the volume's, else 5.",
)
@click.option("--share-tmp", is_flag=True, help="See this machine's /tmp and /var/tmp.")
@click.option("--workdir", metavar="DIR", help="Where the command starts; default: here.")
@click.option("-m", "is_module", is_flag=True, help="COMMAND is an App's module: PACKAGE.APP.")
@click.option(
    "-w", "--write-result", metavar="FILE", help="App: write its result, str or bytes, to FILE."
)
@click.option(
    "-q", "--quiet", is_flag=True, help="App: print only the App's own output, without notes."
)
@click.option("-d", "--detach", is_flag=True, help="App: go on when the terminal is closed.")
@click.option("-n", "--name", metavar="NAME", help="App: its name, if the file gives none.")
@click.option("--timestamps", is_flag=True, hidden=True)
@click.option("-i", "--interactive", is_flag=True, hidden=True)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], is_module: bool, **options: Any) -> NoReturn:
    """Run a command in a container that has volumes, or run an App.

    An App is FILE.py[::NAME] [ARGS]. The container sees this machine's files and processes. It sees
    each volume at its PATH, as the volume's newest version with an overlay of its own. The exit
    status is that of the command.
    """
    hide_values()
    _end_on_signals()
    is_program = is_module or _is_program(command[0])
    options["variables"] = _take_environment(options.pop("given"), options["variables"], is_program)
    if is_program:
        _check_options(_FOR_PROGRAMS, "is for commands; an App's file says it")
        _run_program(command, is_module, options)
    meant = {parameter.name for parameter in click.get_current_context().command.params}
    _check_options(meant - _ONLY_PROGRAMS, "is for an App: FILE.py[::NAME]")
    for_commands = {name: value for name, value in options.items() if name not in _ONLY_PROGRAMS}
    sys.exit(_run_command(command, **for_commands))


def _take_environment(
    given: Sequence[str], variables: Sequence[str], is_program: bool
) -> Sequence[str]:
    """Put the named environment in force, here and in what is run, and return the variables.

    For a command, ``--env WORD`` is more likely a variable that lacks its value.
    """
    rest = [*take_environment(given), *(take_environment(variables) if is_program else variables)]
    if named := named_environment():
        os.environ |= dict.fromkeys(ENVIRONMENT_VARIABLES, named)
    return rest


def _is_program(word: str) -> bool:
    """Whether a word names an App's file: FILE.py or FILE.py::NAME. A word after ``--`` does
    not."""
    after_dashes = click.get_current_context().meta[_AFTER_DASHES]
    file, colon, name = word.rpartition(":")
    if colon and file.endswith(".py") and not after_dashes:
        raise click.UsageError(f"{word}: write {file}::{name}")
    return not after_dashes and (word.endswith(".py") or ".py::" in word)


def _check_options(allowed: Collection[str | None], why: str) -> None:
    context = click.get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is ParameterSource.COMMANDLINE and option.name not in allowed:
            raise click.UsageError(f"{option.opts[-1]} {why}")


def _run_program(command: Sequence[str], is_module: bool, options: dict[str, Any]) -> NoReturn:
    from volfs_cli.programs import ProgramOptions, run_program

    os.environ["VOLFS_STORE"] = store_url()
    chosen = {name: options[name] for name in _ONLY_PROGRAMS}
    run_program(command, is_module, ProgramOptions(variables=options["variables"], **chosen))
    sys.exit()


def _run_command(
    command: Sequence[str], volumes: Sequence[str], buckets: Sequence[str], **options: Any
) -> int:
    from volfs.containers.launching import Launcher

    forks: list[str] = []
    message = f"run: {_describe_command(command)}"
    with Launcher() if volumes or buckets else nullcontext() as launcher:
        from volfs.containers.attending import attend, signals_held
        from volfs.containers.container import Container

        container = Container(
            _make_spec(volumes, buckets, forks, message, **options), store_url(), launcher
        )
    status = 1
    try:
        with signals_held():
            status = attend(container.start(command))
    finally:
        _close(container, status)
        _say_what_next(forks)
    return status


def _describe_command(command: Sequence[str]) -> str:
    """The command for the log of its volumes. Values after ``=`` may be secret, and a log is for
    ever."""
    words = (f"{name}{equals and '=…'}" for name, equals, _ in (w.partition("=") for w in command))
    return show(" ".join(words))


def _say_what_next(forks: Sequence[str]) -> None:
    """Say what can be done with the forks that the command has changed."""
    for fork in forks:
        say(f"To see what changed:  volfs diff {fork} 1", err=True)
        say(f"To bring it back:     volfs merge {fork}", err=True)
        say(f"To drop it:           volfs delete -y {fork}", err=True)


def _close(container: Container, status: int) -> None:
    """Close the container. If the command failed, its status counts, and an error of closing is
    only reported."""
    from volfs.errors import VolfsError

    try:
        container.close(success=status == 0)
    except VolfsError as error:
        if status == 0:
            raise
        say(f"volfs: run: {error}", err=True)
    for name in container.left:
        say(
            f"volfs: run: not committed, as the command failed; `volfs overlays commit {name}` "
            f"publishes the changes, `volfs overlays discard {name}` drops them",
            err=True,
        )


def _end_on_signals() -> None:
    """Let a signal end this process by an exception, so that its mounts are removed."""

    def leave(number: int, frame: Any) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


# --- reading the options ----------------------------------------------------


def _make_spec(
    volumes: Sequence[str],
    buckets: Sequence[str],
    forks: list[str],
    message: str,
    *,
    bucket_secret: str | None,
    create: bool,
    fork: bool,
    secret_names: Sequence[str],
    variables: Sequence[str],
    commit: Literal["always", "success", "never"],
    auto_commit: float | None,
    workdir: str | None,
    share_tmp: bool,
) -> ContainerSpec:
    """The spec of the container, from the options. It is checked before anything is created or
    forked. The names of forks are added to ``forks``."""
    from volfs.containers.container import ContainerSpec, check_spec

    mounts = tuple(map(_parse_volume, volumes))
    of_buckets = tuple(_parse_bucket(text, bucket_secret) for text in buckets)
    places = [mount.path for mount in mounts] + [mount.path for mount in of_buckets]
    workdir = _find_workdir(workdir, places) if workdir else None
    environment = read_secrets(secret_names) | dict(map(_parse_variable, variables))
    spec = ContainerSpec(
        (*mounts, *of_buckets),
        (),
        environment,
        workdir,
        commit,
        auto_commit,
        share_tmp,
        message=message,
    )
    check_spec(spec)
    if create or fork:
        return replace(spec, mounts=(*_prepare(mounts, create, fork, forks), *of_buckets))
    return spec


def _find_workdir(workdir: str, volumes: Sequence[str]) -> str:
    """The working directory, relative to the current one. It must be in a volume, or be a
    directory of the host."""
    place = Path.cwd() / workdir
    if not place.is_dir() and not any(place.is_relative_to(path) for path in volumes):
        raise click.UsageError(f"--workdir {workdir}: no such directory")
    return str(place)


def _parse_volume(text: str) -> VolumeMount:
    from volfs.containers.container import VolumeMount

    name, _, place = text.partition(":")
    path, colon, mode = place.rpartition(":")
    if not colon:
        path, mode = place, "rw"
    if not (name and path) or mode not in ("ro", "rw"):
        raise click.UsageError(f"--volume {text}: use NAME:PATH or NAME:PATH:ro")
    where, name = parse_name(name)
    return VolumeMount(name, path, read_only=mode == "ro", environment=where)


def _parse_bucket(text: str, secret: str | None) -> BucketMount:
    """The bucket and the path of an option. The path follows the last ``:/``, because an address
    may contain others."""
    from volfs.buckets.address import hide_keys
    from volfs.containers.container import BucketMount
    from volfs_cli.buckets import make_plan

    said, mode = (text[:-3], text[-2:]) if text.endswith((":ro", ":rw")) else (text, "rw")
    url, colon, path = said.rpartition(":/")
    if not colon or "://" not in url:
        raise click.UsageError(
            f"--bucket {hide_keys(text)}: use s3://BUCKET/PREFIX:/PATH, or …:/PATH:ro"
        )
    return BucketMount(make_plan(url, secret=secret), f"/{path}", read_only=mode == "ro")


def _parse_variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError("--env: use KEY=VALUE; -e ENV names an environment")
    return name, value


def _prepare(
    mounts: Sequence[VolumeMount], create: bool, fork: bool, forks: list[str]
) -> tuple[VolumeMount, ...]:
    """The mounts, once missing volumes are created and forks are made. Forks are named on
    stderr."""
    from volfs.volume.volumes import create_volume, fork_volume

    prepared = []
    with opened_store(create=create) as store:
        for mount in mounts:
            known = {record.full_name for record in store.refs.list_volumes()} if create else ()
            if create and mount.full_name not in known:
                create_volume(store, mount.name, environment=mount.environment)
            if fork and not mount.read_only:
                source = store.refs.get_volume(mount.name, mount.environment)
                name = f"{mount.name[:55]}-{secrets.token_hex(4)}"
                fork_volume(store, source, name, store.refs.get_head(source.id))
                say(f"Changes of {mount.full_name} go to its fork {name}.", err=True)
                mount = replace(mount, name=name)
                forks.append(mount.full_name)
            prepared.append(mount)
    return tuple(prepared)
