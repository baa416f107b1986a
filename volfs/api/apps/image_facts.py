"""The facts that an Image gives about itself, and those that it refuses."""

from __future__ import annotations

from typing import Any, NoReturn, Self

from volfs.api.apps.notes import refuse
from volfs.api.client import Client, find_client
from volfs.api.dashboard import HasDashboard
from volfs.api.twins import blocking


class ImageFacts(HasDashboard):
    """Facts, and names of Modal's dashboard that must exist for programs to start."""

    @property
    def identity(self) -> str:
        """The identity of the image. It is equal if the steps are equal."""
        raise NotImplementedError

    @property
    def object_id(self) -> str:
        """An id made of the identity. It is equal if the steps are equal."""
        return f"im-{self.identity}"

    @property
    def client(self) -> Client:
        return find_client()

    @blocking
    def hydrate(self, client: object = None) -> Self:
        return self

    @blocking
    def publish(self, *_: Any, **__: Any) -> NoReturn:
        """Raise UnimplementedError."""
        refuse("Image.publish", "images are steps of a program: import the file that has them")

    @property
    def logs(self) -> NoReturn:
        """Raise UnimplementedError."""
        refuse("Image.logs", "what a step prints goes to this program's output")
