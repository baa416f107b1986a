"""The names of ``modal.cluster``."""

from __future__ import annotations

from volfs.api.apps.standins import Cluster

__all__ = ["Cluster"]
