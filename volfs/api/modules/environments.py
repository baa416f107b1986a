"""The names of ``modal.environments``."""

from __future__ import annotations

from volfs.api.environments import (
    Environment,
    create_environment,
    delete_environment,
    list_environments,
    update_environment,
)

__all__ = [
    "Environment",
    "create_environment",
    "delete_environment",
    "list_environments",
    "update_environment",
]
