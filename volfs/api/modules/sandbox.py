"""The names of ``modal.sandbox``."""

from __future__ import annotations

from volfs.api.apps.standins import (
    Probe,
    Sandbox,
    SandboxSnapshot,
    SidecarContainer,
    SidecarManager,
)

__all__ = ["Probe", "Sandbox", "SandboxSnapshot", "SidecarContainer", "SidecarManager"]
