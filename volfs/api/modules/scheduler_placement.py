"""The names of ``modal.scheduler_placement``."""

from __future__ import annotations

from volfs.api.apps.standins import SchedulerPlacement

__all__ = ["SchedulerPlacement"]
