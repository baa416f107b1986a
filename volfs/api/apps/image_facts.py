"""What an Image says of itself, and what it refuses to say."""

from __future__ import annotations

from typing import Any, NoReturn, Self

from volfs.api.apps.notes import refuse
from volfs.api.client import Client, find_client
from volfs.api.dashboard import HasDashboard
from volfs.api.twins import blocking


class ImageFacts(HasDashboard):
    """Names of Modal's dashboard, without which programs do not start."""

    @property
    def identity(self) -> str:
        """Equal where what is built is equal."""
        raise NotImplementedError

    @property
    def object_id(self) -> str:
        """Equal where the steps are equal."""
        return f"im-{self.identity}"

    @property
    def client(self) -> Client:
        return find_client()

    @blocking
    def hydrate(self, client: object = None) -> Self:
        return self

    @blocking
    def publish(self, *_: Any, **__: Any) -> NoReturn:
        """UnimplementedError."""
        refuse("Image.publish", "images are steps of a program: import the file that has them")

    @property
    def logs(self) -> NoReturn:
        """UnimplementedError."""
        refuse("Image.logs", "what a step prints goes to this program's output")
