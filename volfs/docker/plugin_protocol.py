"""Docker's volume plugin protocol, version 1, as a WSGI application: JSON in, JSON out.

An error is an answer with ``Err``, which Docker shows to its user.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from volfs.docker.driver import Driver
from volfs.errors import InvalidError, VolfsError
from volfs.model.text import describe_error

log = logging.getLogger(__name__)
_TYPE = "application/vnd.docker.plugins.v1.2+json"
_BODY_MAX = 1 << 20
_OK, _FAILED, _UNKNOWN = "200 OK", "500 Internal Server Error", "404 Not Found"
PluginAnswer = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class PluginRequest(msgspec.Struct, rename="pascal"):
    """The fields that requests have. Fields of later versions of the protocol are ignored."""

    name: str = ""
    id: str = msgspec.field(default="", name="ID")
    opts: dict[str, str] | None = None


class PluginApp:
    """The application. It answers from threads."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._verbs: dict[str, Callable[[PluginRequest], PluginAnswer]] = {
            "/Plugin.Activate": lambda _: {"Implements": ["VolumeDriver"]},
            "/VolumeDriver.Capabilities": lambda _: {"Capabilities": {"Scope": "local"}},
            "/VolumeDriver.Create": self._create,
            "/VolumeDriver.Remove": self._remove,
            "/VolumeDriver.Get": lambda asked: {"Volume": driver.describe(asked.name)},
            "/VolumeDriver.List": lambda _: {"Volumes": driver.list_all()},
            "/VolumeDriver.Path": lambda asked: {"Mountpoint": driver.find_path(asked.name)},
            "/VolumeDriver.Mount": self._mount,
            "/VolumeDriver.Unmount": self._unmount,
        }

    def __call__(self, environ: Mapping[str, Any], start: StartResponse) -> Iterable[bytes]:
        status, answer = self._answer(environ)
        body = json.dumps(answer).encode()
        start(status, [("Content-Type", _TYPE), ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: Mapping[str, Any]) -> tuple[str, PluginAnswer]:
        path = environ["PATH_INFO"]
        verb = self._verbs.get(path)
        if verb is None or environ["REQUEST_METHOD"] != "POST":
            return _UNKNOWN, {"Err": f"volfs: no such request: {environ['REQUEST_METHOD']} {path}"}
        try:
            return _OK, {"Err": "", **verb(_read_request(environ))}
        except VolfsError as error:
            said = describe_error(error)
        except Exception as error:  # Docker's user must get an answer.
            log.exception("%s failed", path)
            said = f"unexpected: {type(error).__name__}: {describe_error(error)}"
        log.log(_choose_level(path), "%s: %s", path.removeprefix("/VolumeDriver."), said)
        return _FAILED, {"Err": f"volfs: {said}"}

    def _create(self, asked: PluginRequest) -> PluginAnswer:
        self._driver.create(asked.name, asked.opts or {})
        log.info("created %s", asked.name)
        return {}

    def _remove(self, asked: PluginRequest) -> PluginAnswer:
        self._driver.remove(asked.name)
        log.info("removed %s", asked.name)
        return {}

    def _mount(self, asked: PluginRequest) -> PluginAnswer:
        place = self._driver.mount(asked.name, asked.id)
        log.info("mounted %s at %s", asked.name, place)
        return {"Mountpoint": place}

    def _unmount(self, asked: PluginRequest) -> PluginAnswer:
        self._driver.unmount(asked.name, asked.id)
        log.info("unmounted %s, mount %s", asked.name, asked.id)
        return {}


def _choose_level(path: str) -> int:
    """Docker asks every plugin for volumes that it does not have: that is no news."""
    return logging.DEBUG if path == "/VolumeDriver.Get" else logging.ERROR


def _read_request(environ: Mapping[str, Any]) -> PluginRequest:
    """The request in a body. InvalidError if the body is too long, or is no request."""
    body = environ["wsgi.input"].read(_BODY_MAX + 1)
    if len(body) > _BODY_MAX:
        raise InvalidError("a request of more than 1 MiB")
    try:
        return msgspec.json.decode(body or b"{}", type=PluginRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"not a request of Docker: {error}") from error
