"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.apps.function import Function, FunctionCall

__all__ = ["Function", "FunctionCall"]
