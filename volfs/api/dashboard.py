"""``get_dashboard_url``, which programs for Modal call on every object that has a page there."""

from __future__ import annotations

from volfs.api.twins import blocking


class HasDashboard:
    """The base of objects that have a page at Modal."""

    @blocking
    def get_dashboard_url(self) -> str | None:
        """The address of the object's page. Always None, because volfs serves no such pages."""
        return None
