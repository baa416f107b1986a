"""The names of processors in older programs for Modal: ``gpu=modal.gpu.A100(count=2)``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GPU:
    """A kind of processor, and a number of them. ``gpu=`` is noted, and ignored."""

    count: int = 1
    size: str | None = None
    memory: int | None = None

    def __str__(self) -> str:
        kind = type(self).__name__
        return f"{kind}-{self.size}:{self.count}" if self.size else f"{kind}:{self.count}"


class T4(GPU):
    pass


class L4(GPU):
    pass


class A10G(GPU):
    pass


class A100(GPU):
    pass


class H100(GPU):
    pass


class H200(GPU):
    pass


class B200(GPU):
    pass


class L40S(GPU):
    pass


class Any(GPU):
    pass
