"""The facts that an App gives about itself, and those that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from volfs.api.apps.notes import note, refuse
from volfs.api.apps.standins import Server
from volfs.api.dashboard import HasDashboard
from volfs.api.twins import blocking
from volfs.containers.endpoint import find_endpoint


class AppFacts(HasDashboard):
    """Facts, and names of Modal's dashboard that must exist for programs to start."""

    name: str | None
    registered_functions: dict[str, Any]
    registered_classes: dict[str, Any]
    _id: str
    _tags: dict[str, str]

    @property
    def app_id(self) -> str:
        """The id of the app. It is valid in this program only."""
        return self._id

    @property
    def description(self) -> str | None:
        """The name of the app."""
        return self.name

    @property
    def is_interactive(self) -> bool:
        return False

    @property
    def registered_web_endpoints(self) -> list[str]:
        """Names of functions that answer HTTP, and of classes that have such methods."""
        functions = self.registered_functions.items()
        found = [tag for tag, one in functions if find_endpoint(one.get_raw_f())]
        for tag, cls in self.registered_classes.items():
            methods = cls.list_methods()
            found += [f"{tag}.{name}" for name in methods if find_endpoint(cls.get_raw(name))]
        return found

    @blocking
    def get_tags(self, *, client: object = None) -> dict[str, str]:
        return dict(self._tags)

    @blocking
    def set_tags(self, tags: Mapping[str, str], *, client: object = None) -> None:
        """Set the tags. They are kept in this program only."""
        self._tags = dict(tags)

    # --- accepted --------------------------------------------------------

    def server(self, **_: Any) -> Callable[[type], Server]:
        """Noted: what it decorates becomes a Server, which cannot be used."""
        note("@app.server", "accepted, and fails when used: `volfs serve` is for web endpoints")

        def decorate(user_class: type) -> Server:
            made: Server = Server.from_name(self.name, user_class.__name__)
            return made

        return decorate

    # --- refused ---------------------------------------------------------

    @blocking
    def info(self, *, refresh: bool = False) -> NoReturn:
        """Raise UnimplementedError."""
        refuse("App.info", "nothing is deployed; registered_functions has what there is")

    @blocking
    def stats(self, *_: Any, **__: Any) -> NoReturn:
        """Raise UnimplementedError."""
        refuse("App.stats", "volfs does not count calls; Function.get_current_stats has today's")

    @property
    def logs(self) -> NoReturn:
        """Raise UnimplementedError."""
        refuse("App.logs", "what functions print goes to this program's output")

    @property
    def sandboxes(self) -> NoReturn:
        """Raise UnimplementedError."""
        refuse("App.sandboxes", "volfs has no sandboxes")
