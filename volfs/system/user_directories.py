"""The directories of a user's own that the XDG Base Directory Specification names."""

from __future__ import annotations

import os
from pathlib import Path


def find_user_directory(variable: str, usual: str) -> Path | None:
    """The directory of volfs in what ``variable`` names, else in ``usual`` below the home.

    A relative path in the variable has no meaning, as the specification says. None for a user
    without a home directory.
    """
    named = os.environ.get(variable, "")
    if os.path.isabs(named):
        return Path(os.path.normpath(named)) / "volfs"
    try:
        return Path(os.path.abspath(Path.home())) / usual / "volfs"
    except RuntimeError:
        return None
