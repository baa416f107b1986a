"""A Secret by the name of its store, for who needs its values and nothing else of the store."""

from __future__ import annotations

from collections.abc import Mapping

from volfs.model.names import MAIN, split_name
from volfs.services.opening import open_services
from volfs.services.resources import SECRET, Resources
from volfs.services.secrets import Secrets


def read_named_secret(url: str, full_name: str) -> Mapping[str, str]:
    """The values of a Secret. ``full_name`` may begin with an environment. NotAStoreError;
    NotFoundError; StoreDeniedError without the key."""
    environment, name = split_name(full_name)
    tables = open_services(url)
    try:
        found = Resources(tables, SECRET).get(name, environment or MAIN)
        return Secrets(tables).read(found.id)
    finally:
        tables.close()
