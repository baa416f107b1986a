"""The names of ``modal.functions``."""

from __future__ import annotations

from volfs.api.apps.function import Function
from volfs.api.apps.function_call import FunctionCall

__all__ = ["Function", "FunctionCall"]
