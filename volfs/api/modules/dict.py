"""The names of ``modal.dict``."""

from __future__ import annotations

from volfs.api.dict import Dict, DictInfo
from volfs.api.resource import NamedResources as DictManager

__all__ = ["Dict", "DictInfo", "DictManager"]
