"""``volfs.config``: settings, which here are variables of the process."""

from __future__ import annotations

import os
from typing import Any

from volfs.api.client import default_environment


class Config:
    """The settings. ``config["environment"]`` is the variable MODAL_ENVIRONMENT, and so on; None
    if it is unset."""

    def get(self, key: str, profile: str | None = None, use_env: bool = True) -> Any:
        if key == "environment":
            return default_environment()
        return os.environ.get(f"MODAL_{key.upper()}") if use_env else None

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def override_locally(self, key: str, value: str) -> None:
        """Set a setting for this process, and for those that it starts."""
        os.environ[f"MODAL_{key.upper()}"] = value

    def to_dict(self) -> dict[str, Any]:
        """The settings that are set."""
        prefix = "MODAL_"
        found = (name for name in os.environ if name.startswith(prefix))
        return {name.removeprefix(prefix).lower(): os.environ[name] for name in found}

    def __repr__(self) -> str:
        return f"Config({sorted(self.to_dict())})"


config = Config()
_profile = ""
"""The name of a workspace. Programs read this, although the name is private."""


def config_profiles() -> list[str]:
    """An empty list, because there are no profiles."""
    return []
