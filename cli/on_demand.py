"""The commands of a group, whose modules are loaded when one of their commands is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click


class OnDemand(MutableMapping[str, click.Command]):
    """Commands by name, in the order in which they were added.

    A command that is not loaded yet is known by its place: ``module:attribute`` in ``volfs_cli``.
    Loading all modules would take longer than most commands run.
    """

    def __init__(self, places: Mapping[str, str] = {}) -> None:
        self._found: dict[str, str | click.Command] = {**places}

    def add(self, places: Mapping[str, str]) -> None:
        """Add commands after the others, by their names and places."""
        self._found |= places

    def __getitem__(self, name: str) -> click.Command:
        found = self._found[name]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            command = getattr(import_module(f"volfs_cli.{module}"), attribute)
            assert isinstance(command, click.Command)
            found = self._found[name] = command
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._found[name] = command

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
