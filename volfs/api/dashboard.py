"""``get_dashboard_url``, which programs for Modal ask of whatever has a page there."""

from __future__ import annotations

from volfs.api.twins import blocking


class HasDashboard:
    """What Modal has a page for."""

    @blocking
    def get_dashboard_url(self) -> str | None:
        """Where a browser shows it: None, for nothing serves such pages here."""
        return None
