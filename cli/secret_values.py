"""The values of the secrets that the command line names."""

from __future__ import annotations

from collections.abc import Sequence

from volfs_cli.stores import environment, store_url


def read_secrets(names: Sequence[str]) -> dict[str, str]:
    """The variables of the named secrets, from the store and environment in force. NotFoundError.
    Without names no store is opened."""
    if not names:
        return {}
    from volfs.api.client import client_of
    from volfs.api.secret import Secret, read_environment

    client = client_of(store_url())
    try:
        where = environment()
        return read_environment(
            Secret.from_name(name, environment_name=where, client=client) for name in names
        )
    finally:
        client.close()
