"""Constructors of resources that older versions of Modal had. Each warns with DeprecationError."""

from __future__ import annotations

import atexit
from typing import Any, Self

from volfs.api.deprecated import warn_of


class OlderConstructors:
    """The constructors that ``from_name`` and ``ephemeral`` replaced."""

    @classmethod
    def lookup(cls, name: str, **options: Any) -> Self:
        """As ``from_name``, but looked up at once. NotFoundError."""
        warn_of(f"{cls.__name__}.lookup any more", f"{cls.__name__}.from_name(name).hydrate()")
        found: Self = cls.from_name(name, **options).hydrate()  # type: ignore[attr-defined]
        return found

    @classmethod
    def new(cls, **_: Any) -> Self:
        """A resource without a name. It is made at the first use, and kept until this process
        ends."""
        warn_of(f"{cls.__name__}.new any more", f"{cls.__name__}.ephemeral()")

        def find(handle: object) -> Any:
            block = cls.ephemeral()  # type: ignore[attr-defined]
            made = block.__enter__()
            atexit.register(block.__exit__, None, None, None)
            return made.hydrate()._found

        made: Self = cls._make(find, None, None, "new")  # type: ignore[attr-defined]
        return made
