"""A class's methods as its instances see them."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

from volfs.api.apps.function import Function
from volfs.api.apps.targets import DistantTarget, restore_target
from volfs.containers.messages import TargetReference
from volfs.containers.pool import Pool
from volfs.containers.services import SELF


class _OwnService:
    """A service that runs a method on the instance on which it was found."""

    def __init__(self, instance: Any, raw: Callable[..., Any]) -> None:
        self._instance = instance
        self._raw = raw

    def get_bound(self, method: str) -> Callable[..., Any]:
        return MethodType(self._raw, self._instance)

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._raw(self._instance, *args, **kwargs)


class _OwnTarget(DistantTarget):
    def __init__(self, reference: TargetReference, service: Any) -> None:
        super().__init__(reference)
        self._service = service

    def get_pool(self) -> Pool:
        return restore_target(self.reference).get_pool()


class OwnMethod(Function[..., Any]):
    """A method as the instance itself sees it. Calling it runs it in this process."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.local(*args, **kwargs)


def bind_own_method(instance: Any, raw: Callable[..., Any], is_generator: bool) -> Any:
    """A method of an instance: an ``OwnMethod`` in a container, else the plain bound method."""
    reference = getattr(instance, SELF, None)
    if reference is None:
        return raw.__get__(instance)
    target = _OwnTarget(reference, _OwnService(instance, raw))
    return OwnMethod(target, raw.__name__, method=raw.__name__, is_generator=is_generator)
