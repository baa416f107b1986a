"""The names of ``modal.secret``."""

from __future__ import annotations

from volfs.api.secret import Secret, SecretInfo
from volfs.api.secret import SecretObjects as SecretManager

__all__ = ["Secret", "SecretInfo", "SecretManager"]
