"""An image as a list of steps: one step, after those of another image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from volfs.api.apps.building import BuiltImage, LocalPath, Step, make_key
from volfs.errors import InvalidError

NAMES = str | Sequence[str]
_TOO_LATE = (
    "An image tried to run a build step after using `image.add_local_*` to include local files.\n\n"
    "Run `image.add_local_*` commands last in your image build, or use "
    "`image.add_local_*(..., copy=True)` to copy the files into the image."
)


@dataclass(frozen=True)
class ImageSteps:
    """The steps of an image. Each method returns another image with one addition, and leaves this
    one as it is."""

    before: Any = None
    step: Step | None = None

    def _with(self, step: Step) -> Self:
        if step.is_done_once and not isinstance(step, LocalPath) and self._has_files():
            raise InvalidError(_TOO_LATE)
        return type(self)(self, step)

    def _has_files(self) -> bool:
        """Whether a step shows files without copying them."""
        return any(isinstance(step, LocalPath) and not step.copy for step in self._iter_steps())

    def _iter_steps(self) -> Iterator[Step]:
        """The steps, the last one first."""
        image: Any = self
        while image is not None and image.step is not None:
            yield image.step
            image = image.before

    @property
    def identity(self) -> str:
        """The identity of the image. It is the same in the program and in its containers, which
        make the image again."""
        steps = [(type(step).__name__, step.identify()) for step in self._iter_steps()]
        return make_key(*(text for step in steps for text in step))

    def build(self, app: object = None) -> BuiltImage:
        """Do the steps that were not done before, on this machine. RemoteError; and what functions
        raise."""
        return self._build()[0]

    def _build(self) -> tuple[BuiltImage, str]:
        if self.before is None or self.step is None:
            return BuiltImage(), ""
        built, key = self.before._build()
        key = make_key(key, type(self.step).__name__, self.step.describe())
        return self.step.apply(built, key), key


def flatten(given: Sequence[NAMES]) -> list[str]:
    return [name for one in given for name in ([one] if isinstance(one, str) else one)]
