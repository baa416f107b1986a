"""The functions of a module that answer HTTP."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from volfs.api.apps.app import App
from volfs.api.apps.choosing import find_apps
from volfs.api.apps.cls import Cls
from volfs.api.apps.function import Function
from volfs.api.apps.origins import Origin
from volfs.api.apps.targets import Target
from volfs.containers.endpoint import Endpoint, find_endpoint
from volfs.errors import InvalidError


@dataclass(frozen=True)
class Site:
    """An endpoint of an app, to be served."""

    name: str
    app: App
    target: Target
    method: str
    endpoint: Endpoint


def find_sites(module: ModuleType, *, is_file: bool) -> list[Site]:
    """The endpoints of a module, in the order of their definition. InvalidError if there are none.

    ``is_file``: containers cannot import the module by its name.
    """
    path = os.path.abspath(module.__file__ or "") if is_file else None
    found = (site for app in find_apps(module) for site in _iter_sites(app, module, path))
    # An app that another app includes may be found twice.
    sites = list({(id(site.target), site.method): site for site in found}.values())
    if not sites:
        raise InvalidError(
            f"{module.__file__}: no function or method in it is an asgi_app, wsgi_app, "
            "fastapi_endpoint or web_server of an App; `volfs run` calls others"
        )
    return sites


def _iter_sites(app: App, served: ModuleType, path: str | None) -> Iterator[Site]:
    for tag, function in app.registered_functions.items():
        raw = function.get_raw_f()
        endpoint = find_endpoint(raw)
        if endpoint is not None:
            check_endpoint(raw, endpoint, tag)
            origin = _find_origin(function, raw.__module__, served, path)
            yield Site(tag, app, _place(function, origin), "", endpoint)
    for tag, cls in app.registered_classes.items():
        for method in cls.list_methods():
            raw = cls.get_raw(method)
            endpoint = find_endpoint(raw)
            if endpoint is not None:
                check_endpoint(raw, endpoint, f"{tag}.{method}")
                origin = _find_origin(cls, cls._target.reference.module, served, path)
                yield Site(f"{tag}.{method}", app, _make_instance(cls, origin), method, endpoint)


def _find_origin(
    handle: object, module_name: str, served: ModuleType, path: str | None
) -> Origin | None:
    """The module and the name by which a container imports an object. None if its module has no
    name for it; it is sent by value then."""
    module = sys.modules.get(module_name, served)
    names = [name for name, value in vars(module).items() if value is handle]
    if not names:
        return None
    return Origin(module.__name__, path if module is served else None, names[0])


def _place(handle: Function[..., Any] | Cls, origin: Origin | None) -> Target:
    target: Any = handle._target
    target.origin = origin
    return target  # type: ignore[no-any-return]


def _make_instance(cls: Cls, origin: Origin | None) -> Target:
    _place(cls, origin)
    try:
        return cls()._target
    except TypeError as error:
        raise InvalidError(
            f"an endpoint's instance is made without parameters: {error}; give it a default"
        ) from None


def check_endpoint(raw: Any, endpoint: Endpoint, name: str) -> None:
    """Raise InvalidError for a function that cannot be the kind of endpoint that its mark says."""
    if inspect.isgeneratorfunction(raw) or inspect.isasyncgenfunction(raw):
        raise InvalidError(
            f"{name}: an endpoint cannot be a generator; return a StreamingResponse instead"
        )
    if endpoint.kind == "fastapi_endpoint":
        return
    if inspect.iscoroutinefunction(raw) and endpoint.kind != "web_server":
        raise InvalidError(f"{name}: an {endpoint.kind} cannot be async")
    parameters = [one for one in inspect.signature(raw).parameters if one != "self"]
    if parameters:
        raise InvalidError(
            f"{name}: an {endpoint.kind} is called without arguments, and has {parameters[0]!r}"
        )
