"""secret list create delete rotate-key. No message of this module contains a value."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from volfs.model.names import MAIN
from volfs.model.text import show
from volfs.system.small_files import MAX, read_small
from volfs_cli.columns import Column
from volfs_cli.hiding import hide_values
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.output import json_time, plural, show_time
from volfs_cli.resources import (
    FACTS,
    add_delete,
    list_handles,
    make_group,
    open_client,
    row_of,
    verb,
)
from volfs_cli.stores import environment, noting_new
from volfs_cli.terminal import say, say_lines

if TYPE_CHECKING:
    from volfs.api.secret import SecretObjects

group = make_group("secret", "Secrets: values for the environment of containers.")


def _objects() -> SecretObjects:
    from volfs.api.secret import Secret

    return Secret.objects


_LIST = (*FACTS, Column("Last used at"))


@verb(group, "list", bare=True)
@listing_options(*_LIST)
def list_(env: str | None, as_json: bool) -> None:
    """List the Secrets of the environment, newest first. Shows no values."""
    missing, show = (None, json_time) if as_json else ("-", show_time)
    used = [(handle, handle._last_use()) for handle in list_handles(_objects(), env)]
    rows = [(*row_of(handle), show(ns) if ns else missing) for handle, ns in used]
    title = f"Secrets in environment '{environment()}'"
    print_listing(_LIST, rows, as_json=as_json, title=title)


@verb(group, "create")
@click.argument("secret_name")
@click.argument("keyvalues", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--from-dotenv", metavar="PATH", help="Read values from a .env file.")
@click.option("--from-json", metavar="PATH", help="Read values from a file with a JSON object.")
@click.option("--force", is_flag=True, help="Overwrite the secret if it already exists.")
def create(
    secret_name: str,
    keyvalues: tuple[str, ...],
    from_dotenv: str | None,
    from_json: str | None,
    force: bool,
    env: str | None,
) -> None:
    """Store values under a name. `KEY=-` reads the value from an editor, or from the standard
    input.

    Values on the command line are in the history of the shell, and in the list of processes until
    volfs has started. Values from files and from `-` are not.
    """
    hide_values()
    values = _read_positionals(keyvalues)
    values |= _read_dotenv(from_dotenv) if from_dotenv else {}
    values |= _read_json(from_json) if from_json else {}
    if not values:
        raise click.UsageError("You need to specify at least one key for your secret")
    if "" in values:
        raise click.UsageError("Invalid key: ''")
    with noting_new(environment()):
        _store(secret_name, values, force, env)
    names = ", ".join(repr(name) for name in values)
    say(f"Created a new secret '{secret_name}' with the key{'s'[: len(values) > 1]} {names}")
    where = "" if environment() == MAIN else f', environment_name="{environment()}"'
    say_lines(_EXAMPLE.format(secret=secret_name, where=where, key=next(iter(values))))


_EXAMPLE = """
Use it in your app:

@app.function(secrets=[volfs.Secret.from_name("{secret}"{where})])
def some_function():
    os.getenv("{key}")"""


def _store(name: str, values: dict[str, str], force: bool, env: str | None) -> None:
    from volfs.api.secret import Secret
    from volfs.errors import AlreadyExistsError

    client = open_client()
    try:
        Secret.objects.create(name, values, environment_name=env, client=client)
    except AlreadyExistsError:
        if not force:
            raise
        Secret.from_name(name, environment_name=env, client=client)._replace(values)


def _read_positionals(items: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for number, item in enumerate(items, 1):
        key, equals, value = item.partition("=")
        if not equals:
            # The item may be a value whose key was forgotten, so the message does not show it.
            raise click.UsageError(
                f"Each item should be of the form KEY=VALUE; item {number} is not"
            )
        values[key] = _ask(key) if value == "-" else value
    return values


def _ask(key: str) -> str:
    if not sys.stdin.isatty():
        value = sys.stdin.read(MAX + 1)
        if len(value) > MAX:
            raise click.UsageError(f"the value of '{key}' is longer than {MAX >> 20} MiB")
        return value.removesuffix("\n")
    # The prompt reads a line and not a key, so that a line that was typed too early counts.
    notice = f"Pressing enter will open an external editor for editing '{show(key)}'..."
    click.prompt(notice, default="", show_default=False, prompt_suffix="")
    value = click.edit("")
    if value is None:
        raise click.UsageError(f"no value was saved for '{key}'")
    return value.removesuffix("\n")


def _read_dotenv(path: str) -> dict[str, str]:
    from volfs.api.dotenv_file import read_dotenv
    from volfs.errors import InvalidError

    try:
        return read_dotenv(Path(path))
    except OSError:
        raise click.UsageError(f"Could not read .env file at {path}") from None
    except InvalidError as error:
        raise click.UsageError(f"Could not read .env file at {error}") from None


def _read_json(path: str) -> dict[str, str]:
    try:
        found: Any = json.loads(read_small(path))
    except OSError:
        raise click.UsageError(f"Could not read JSON file at {path}") from None
    except (ValueError, RecursionError):
        raise click.UsageError(f"Could not parse JSON file at {path}") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"Could not parse JSON file at {path}: it is no object")
    for key, value in found.items():
        if not isinstance(value, str):
            raise click.UsageError(f"Non-string value for secret {key!r}")
    return found


add_delete(group, _objects, "Secret")


@verb(group, "rotate-key", bare=True, has_names=False)
def rotate_key() -> None:
    """Encrypt all Secrets of the store with a new key, and forget the old one.

    If VOLFS_SECRET_KEY_FILE names the file, it keeps its old keys, for other stores.
    """
    from volfs.services.secrets import Secrets

    count, path = Secrets(open_client().tables()).rotate_key()
    say(f"Encrypted {plural(count, 'secret')} with a new key in {path}.")
