"""``volfs.Image``: what a container has beside its volumes."""

from __future__ import annotations

from dataclasses import dataclass

from volfs.containers.container import Bind


@dataclass(frozen=True)
class Built:
    """What was made of an image on this machine."""

    environment: dict[str, str]
    import_paths: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    """Directories for PATH."""
    binds: tuple[Bind, ...] = ()
    workdir: str | None = None


class Image:
    def build(self) -> Built:
        return Built({})
