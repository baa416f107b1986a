"""The names of ``modal.billing``. Nothing is billed here."""

from __future__ import annotations

from typing import Any

from volfs.api.apps import observed
from volfs.api.apps.standins import workspace_billing_report

__all__ = ["workspace_billing_report"]


def __getattr__(name: str) -> Any:
    if name not in ("BillingReportItem", "WorkspaceBillingReportItem"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(observed, name)
