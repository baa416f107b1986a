"""What Modal's module of this name has."""

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
