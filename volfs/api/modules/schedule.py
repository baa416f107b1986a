"""The names of ``modal.schedule``."""

from __future__ import annotations

from volfs.api.apps.accepted import Cron, Period

Schedule = Cron | Period

__all__ = ["Cron", "Period", "Schedule"]
