"""``volfs.runner``: functions that run apps."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from volfs.api.apps.app import App
from volfs.api.apps.standins import Refusal


def run_app(app: App, **options: Any) -> AbstractContextManager[App]:
    """As ``app.run()``."""
    return app.run(**options)


def deploy_app(app: App, name: str | None = None, **options: Any) -> App:
    """As ``app.deploy()``."""
    return app.deploy(name=name, **options)


interactive_shell: Any = Refusal("interactive_shell", "`volfs run -- bash` runs a shell")
