"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.network_file_system import NetworkFileSystem

__all__ = ["NetworkFileSystem"]
