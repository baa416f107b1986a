"""The names of ``modal.runner``."""

from __future__ import annotations

from volfs.api.apps.runner import (
    deploy_app,
    interactive_shell,
    run_app,
)

__all__ = [
    "deploy_app",
    "interactive_shell",
    "run_app",
]
