"""The store and the environment that a command works on, and opening them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from volfs.errors import InvalidNameError
from volfs.model.names import MAIN, check_environment, split_name
from volfs.model.text import show
from volfs.store.location import choose_environment, choose_store
from volfs_cli.targets import ask_for_volume, explain_no_volume, find_mount_here, is_path
from volfs_cli.terminal import say, take_logs

if TYPE_CHECKING:
    from volfs.control.mount_client import MountClient
    from volfs.control.protocol import MountStatus
    from volfs.store.contract.refs import VolumeRecord
    from volfs.store.contract.store import Store

F = TypeVar("F", bound=Callable[..., Any])
_KEY, _ENVIRONMENT = "volfs.store", "volfs.environment"
ENVIRONMENT_HELP = (
    "The environment. Default: VOLFS_ENVIRONMENT, MODAL_ENVIRONMENT, what `volfs config` says, "
    "else main."
)


def store_option(command: F) -> F:
    """Add ``--store``, which may stand before or after the verb. The later one counts."""
    option = click.option(
        "--store",
        metavar="PATH",
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="The store: a directory or a URL. Default: VOLFS_STORE, else "
        "/var/lib/volfs for root and $XDG_DATA_HOME/volfs for others.",
    )
    return option(command)


def _remember(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[_KEY] = value


def store_url() -> str:
    """The store of the running command. A directory becomes an absolute path."""
    named: str | None = click.get_current_context().meta.get(_KEY)
    return choose_store(named)


def env_option(command: F) -> F:
    """Add ``-e``, the environment that the names of a command belong to."""
    return _make_env_option(expose=False)(command)


def given_env_option(command: F) -> F:
    """Add ``-e`` as ``env_option`` does, to a command with an argument ``env``."""
    return _make_env_option(expose=True)(command)


def take_environment(words: Sequence[str]) -> list[str]:
    """The words that contain ``=``. Any other word is the environment in force from now on."""
    for word in words:
        if "=" not in word:
            click.get_current_context().meta[_ENVIRONMENT] = word
    return [word for word in words if "=" in word]


def _make_env_option(*, expose: bool) -> Callable[[F], F]:
    return click.option(
        "-e",
        "--env",
        metavar="ENV",
        expose_value=expose,
        is_eager=True,
        callback=_remember_environment,
        shell_complete=complete_environment,
        help=ENVIRONMENT_HELP,
    )


def _remember_environment(
    context: click.Context, option: click.Parameter, value: str | None
) -> str | None:
    if value is not None:
        context.meta[_ENVIRONMENT] = value
    return value


def named_environment() -> str | None:
    """The environment of ``-e``; None without ``-e``. InvalidNameError."""
    named: str | None = click.get_current_context().meta.get(_ENVIRONMENT)
    return None if named is None else check_environment(named)


def environment() -> str:
    """The environment in force for the running command. InvalidError."""
    return named_environment() or choose_environment()


def store_for(target: str) -> str:
    """The store in force, if the target may be a volume's name. A path needs no store, so a wrong
    address of the store does not matter then."""
    from volfs.daemon.named_mounts import may_be_name

    return store_url() if may_be_name(target) else ""


def environment_for(target: str) -> str:
    """The environment in force, if the target may be a volume's name. A path needs no environment,
    so a wrong name of it does not matter then."""
    from volfs.daemon.named_mounts import may_be_name

    return environment() if may_be_name(target) else MAIN


def parse_name(said: str) -> tuple[str, str]:
    """The environment and the name of a volume that is given as NAME or ENV/NAME.

    UsageError if ``-e`` names another environment.
    """
    inner, name = split_name(said)
    if inner is None:
        return environment(), said
    named = named_environment()
    if named not in (None, inner):
        raise click.UsageError(f"{said}: -e says another environment, '{named}'")
    return check_environment(inner), name


def parse_other(said: str, where: str) -> tuple[str, str]:
    """As ``parse_name``, for a second name. It is in the environment of the first, unless it names
    its own."""
    inner, name = split_name(said)
    return (where, said) if inner is None else (check_environment(inner), name)


def in_words(where: str) -> str:
    """The environment as words after a name in a message; nothing for ``main``."""
    return "" if where == MAIN else f" in environment '{where}'"


@contextmanager
def noting_new(where: str) -> Iterator[None]:
    """Say on stderr if the block makes an environment by making something in it."""
    is_new = where != MAIN and where not in _list_environments()
    yield
    if is_new:
        say(f"volfs: the environment '{where}' is new", err=True)


def _list_environments() -> list[str]:
    from contextlib import closing

    from volfs.api.client import Client
    from volfs.api.environments import KnownEnvironments

    with closing(Client(store_url())) as client:
        return [found.name for found in KnownEnvironments(client).list_all()]


@contextmanager
def opened_store(*, create: bool = False) -> Iterator[Store]:
    from volfs.store.registry import open_store

    take_logs()
    store = open_store(store_url(), create=create)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def opened_volume(name: str) -> Iterator[tuple[Store, VolumeRecord]]:
    """The store, and the volume with this name, which may be ENV/NAME, or with this mount point.

    A mount point means the volume in the store that it is mounted from, whatever store is in
    force.
    """
    found = _find_mounted(name) or _find_named(name)
    with opened_store() as store:
        yield store, _get_record(store, found)


def get_other_volume(store: Store, name: str) -> VolumeRecord:
    """Another volume of an open store, by its name or mount point. UsageError for the mount of a
    volume in another store."""
    named = _find_mounted(name)
    found = named or _find_named(name)
    if named and os.path.realpath(named.store) != os.path.realpath(store.url):
        raise click.UsageError(f"{name}: mounted from another store, {show(named.store)}")
    return _get_record(store, found)


def _find_mounted(name: str) -> MountStatus | None:
    """The volume at a path, and let its store be in force. NotFoundError for a path where none is
    mounted; None for a word that is no path."""
    from volfs.control.mount_client import get_mount

    return _take_mounted(get_mount(name)) if is_path(name) else None


def _take_mounted(mount: MountClient) -> MountStatus:
    said = ask_for_volume(mount)
    click.get_current_context().meta[_KEY] = said.store
    return said


def _find_named(name: str) -> MountStatus | tuple[str, str]:
    """The environment and the name that a word says; or the volume of a mount at the path that the
    word is, if the store in force has no such volume."""
    from volfs.errors import NotAStoreError, NotFoundError

    here = find_mount_here(name)
    if here is None:
        return parse_name(name)
    try:
        where, alone = parse_name(name)
        with opened_store() as store:
            store.refs.get_volume(alone, where)
    except (NotFoundError, InvalidNameError, NotAStoreError):
        return _take_mounted(here)
    return where, alone


def _get_record(store: Store, found: MountStatus | tuple[str, str]) -> VolumeRecord:
    from volfs.errors import NotFoundError

    if isinstance(found, tuple):
        where, alone = found
        try:
            return store.refs.get_volume(alone, where)
        except NotFoundError as error:
            raise explain_no_volume(store, alone, str(error)) from None
    record = store.refs.find_volume_by_id(found.volume_id)
    if record is None:
        raise NotFoundError(f"{found.mountpoint}: its volume was deleted")
    return record


def complete_version(
    context: click.Context, argument: click.Parameter, incomplete: str
) -> list[str]:
    """The tags and newest versions of the volume that was named before; none on any error."""
    from itertools import islice

    # If an option lacks its value, as the one to be completed does, click parses no argument.
    # `diff` takes all its arguments as words.
    words = (*(context.params.get("words") or ()), *context.args)
    name = context.params.get("volume") or "".join(words[:1])
    try:
        with context.scope(cleanup=False), opened_volume(name) as (store, record):
            tags = [tag.name for tag in store.refs.list_tags(record.id)]
            newest = [str(head.version) for head in islice(store.refs.iter_versions(record.id), 20)]
    except Exception:  # noqa: BLE001 - as below
        return []
    return [word for word in ("head", *tags, *newest) if word.startswith(incomplete)]


def complete_volume(
    context: click.Context, argument: click.Parameter, incomplete: str
) -> list[str]:
    """The names of volumes that begin with the word, in the environment in force or in the one
    that the word names. None if the store cannot be read."""
    try:
        with context.scope(cleanup=False), opened_store() as store:
            inner = split_name(incomplete)[0]
            where = inner or environment()
            names = [r.name for r in store.refs.list_volumes() if r.environment == where]
    except Exception:  # noqa: BLE001 - a completion must not print errors into a prompt
        return []
    said = [name if inner is None else f"{inner}/{name}" for name in names]
    return sorted(name for name in said if name.startswith(incomplete))


def complete_environment(
    context: click.Context, option: click.Parameter, incomplete: str
) -> list[str]:
    """The names of environments that begin with the word; none on any error."""
    try:
        with context.scope(cleanup=False):
            known = _list_environments()
    except Exception:  # noqa: BLE001 - as above
        return []
    return [name for name in known if name.startswith(incomplete)]
