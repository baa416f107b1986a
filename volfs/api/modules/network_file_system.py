"""The names of ``modal.network_file_system``."""

from __future__ import annotations

from volfs.api.network_file_system import NetworkFileSystem

__all__ = ["NetworkFileSystem"]
