"""The facts that a Function gives about itself, and those that it refuses."""

from __future__ import annotations

from typing import Any, NoReturn, Self

from volfs.api.apps.notes import note, refuse
from volfs.api.apps.observed import FunctionCurrentStats
from volfs.api.apps.targets import Target
from volfs.api.client import Client, find_client
from volfs.api.dashboard import HasDashboard
from volfs.api.twins import blocking


class HasTarget(HasDashboard):
    """A handle with a target, which is looked up at its first use."""

    _target: Target

    @property
    def object_id(self) -> str:
        return self._target.reference.id

    @property
    def client(self) -> Client:
        return find_client()

    @blocking
    def hydrate(self, client: object = None) -> Self:
        """Look the target up now. NotFoundError."""
        self.object_id  # noqa: B018 - the property looks the target up
        return self


class FunctionFacts(HasTarget):
    """Facts, and names of Modal's dashboard that must exist for programs to start."""

    name: str

    @property
    def app(self) -> Any:
        """The App that the function belongs to, in the program that defines it."""
        return self._target.home

    @blocking
    def get_current_stats(self) -> FunctionCurrentStats:
        """The numbers of waiting calls, of containers, and of running calls. ExecutionError in a
        container."""
        return FunctionCurrentStats(*self._target.get_pool().count())

    # --- accepted --------------------------------------------------------

    @blocking
    def update_autoscaler(
        self,
        *,
        min_containers: int | None = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaledown_window: int | None = None,
    ) -> None:
        """Noted: ``with_options`` gives a function with other limits."""
        note("update_autoscaler", "accepted and ignored: options are those of @app.function")

    @blocking
    def keep_warm(self, warm_pool_size: int) -> None:
        """Noted."""
        note("keep_warm", "accepted and ignored: containers stay warm for scaledown_window=")

    # --- refused ---------------------------------------------------------

    @blocking
    def info(self, *, refresh: bool = False) -> NoReturn:
        """Raise UnimplementedError."""
        refuse(f"{self.name}.info", "volfs does not report options; look at @app.function")

    @blocking
    def stats(self, *_: Any, **__: Any) -> NoReturn:
        """Raise UnimplementedError."""
        refuse(f"{self.name}.stats", "volfs does not count calls; get_current_stats has today's")

    @property
    def logs(self) -> NoReturn:
        """Raise UnimplementedError."""
        refuse(f"{self.name}.logs", "what functions print goes to this program's output")

    @property
    def metrics(self) -> NoReturn:
        """Raise UnimplementedError."""
        refuse(f"{self.name}.metrics", "volfs does not measure functions")

    @property
    def autoscaler(self) -> NoReturn:
        """Raise UnimplementedError."""
        refuse(f"{self.name}.autoscaler", "options are those of @app.function")
