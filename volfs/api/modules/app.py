"""The names of ``modal.app``."""

from __future__ import annotations

from volfs.api.apps.app import App, LocalEntrypoint

__all__ = ["App", "LocalEntrypoint"]
