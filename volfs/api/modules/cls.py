"""The names of ``modal.cls``."""

from __future__ import annotations

from volfs.api.apps.cls import Cls, Obj
from volfs.api.apps.marks import parameter

__all__ = ["Cls", "Obj", "parameter"]
