"""``volfs serve FILE.py``: serve the endpoints of a file at addresses, until it is ended."""

from __future__ import annotations

import importlib.util
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol

from volfs.api.apps.entrypoint import import_file, import_module, print_error, printing_errors
from volfs.api.apps.notes import take_as_noted
from volfs.api.apps.requests import set_address
from volfs.api.serving.front import Front
from volfs.api.serving.keeper import Keeper
from volfs.api.serving.servers import (
    Servers,
    get_port,
    is_loopback,
    listen,
    listen_next,
    make_url,
)
from volfs.api.serving.sites import Site, find_sites
from volfs.api.serving.watching import watch
from volfs.containers.endpoint import KINDS
from volfs.errors import InvalidError

Why = Literal["end", "changed"]
Events = queue.SimpleQueue[Why]


class Say(Protocol):
    def __call__(self, line: str, *, err: bool = False) -> None: ...


@dataclass(frozen=True)
class Settings:
    """The settings of one run. ``timeout`` is the number of seconds after which it ends by
    itself."""

    where: str
    is_module: bool = False
    name: str | None = None
    """The name of the only endpoint to serve. None: all."""
    host: str = "127.0.0.1"
    port: int = 8000
    timeout: float | None = None
    is_watching: bool = False
    """Whether a change of a file of the program ends the run."""
    is_again: bool = False
    """Whether this is a start after a change. An error then waits for the next change."""


class _Report:
    def __init__(self, say: Say) -> None:
        self._say = say

    def answered(self, name: str, what: str, seconds: float) -> None:
        self._say(f"{name}: {what}" + (f" ({seconds:.3f} s)" if seconds else ""), err=True)

    def failed(self, name: str, error: Exception) -> None:
        self._say(f"{name} failed:", err=True)
        print_error(error)


def serve(settings: Settings, events: Events, say: Say) -> Why:
    """Serve until the end, and return the reason for it. Everything that it began has ended then.

    Wrong arguments are a UsageError or InvalidError. If the program raises an error, its traceback
    is printed, and SystemExit is raised.
    """
    check_installed("uvicorn")
    with _watching(settings, events) as look_for_files:
        try:
            with printing_errors():
                module = _load(settings)
            end_on_signals(events)  # not earlier, so that a program that hangs can be interrupted
            look_for_files()
            sites = _choose(find_sites(module, is_file=not settings.is_module), settings.name)
        except (Exception, SystemExit) as error:
            if not settings.is_again:
                raise
            end_on_signals(events)
            return _wait_after(error, events, say)
        return _serve_sites(sites, settings, events, say)


def check_installed(package: str) -> None:
    """Raise InvalidError, which says what to install, if a package is missing."""
    if importlib.util.find_spec(package) is None:
        raise InvalidError(f"{package} is not installed: pip install 'volfs[serve]'")


def _load(settings: Settings) -> ModuleType:
    for kind in KINDS:
        take_as_noted(f"@{kind}")
    if settings.is_module:
        return import_module(settings.where)
    return import_file(Path(settings.where))


def _choose(sites: list[Site], name: str | None) -> list[Site]:
    chosen = [site for site in sites if name in (None, site.name)]
    if not chosen:
        raise InvalidError(f"no endpoint {name}, but {', '.join(site.name for site in sites)}")
    return chosen


def _wait_after(error: BaseException, events: Events, say: Say) -> Why:
    if isinstance(error, Exception):
        say(f"volfs: serve: {error}", err=True)
    say("Waiting for a change of the program.", err=True)
    return events.get()


@contextmanager
def _watching(settings: Settings, events: Events) -> Iterator[Callable[[], None]]:
    """For the block, turn each change of the program's files into an event.

    The block gets a function, which it calls when there are more files than before.
    """
    if not settings.is_watching:
        yield lambda: None
        return
    check_installed("watchfiles")
    places = [] if settings.is_module else [Path(settings.where).resolve().parent]
    with watch(places, lambda: events.put("changed")) as look_for_files:
        yield look_for_files


# --- serving ----------------------------------------------------------------


def _serve_sites(sites: list[Site], settings: Settings, events: Events, say: Say) -> Why:
    with ExitStack() as stack:
        lines = {site.name: stack.enter_context(line) for site, line in _listen(sites, settings)}
        for app in {id(site.app): site.app for site in sites}.values():
            stack.enter_context(app.run())
        report = _Report(say)
        stack.callback(_forget, sites)
        _announce(sites, lines, settings.host, say)
        keepers = [Keeper(site, report) for site in sites if site.name not in lines]
        fronts = [(Front(site, report), lines[site.name]) for site in sites if site.name in lines]
        servers = Servers([(front, line.dup()) for front, line in fronts])
        parts: list[Servers | Keeper] = [servers, *keepers]
        for part in parts:
            part.start()
            stack.callback(part.stop)
        why = _wait(events, settings.timeout)
        say("Ending." if why == "end" else "The program has changed: starting it again.", err=True)
    return why


def _listen(sites: Sequence[Site], settings: Settings) -> Iterator[tuple[Site, socket.socket]]:
    """Open a socket for each endpoint. The first port must be free. The others take the next free
    ports."""
    avoided = {site.endpoint.port for site in sites if site.endpoint.kind == "web_server"}
    port = settings.port
    is_first = True
    for site in sites:
        if site.endpoint.kind != "web_server":
            choose = listen if is_first or not port else listen_next
            line = choose(settings.host, port, avoided)
            port = get_port(line) + 1 if port else 0
            is_first = False
            yield site, line


def _announce(sites: Sequence[Site], lines: dict[str, socket.socket], host: str, say: Say) -> None:
    for site in sites:
        line = lines.get(site.name)
        at = site.endpoint.port if line is None else get_port(line)
        url = make_url("127.0.0.1" if line is None else host, at)
        set_address(site.target.reference, site.method, url)
        say(f"{site.name} {url}")
    if any(not is_loopback(line) for line in lines.values()):
        say(
            f"volfs: serve: warning: who reaches {host} reaches the app; nothing asks for a "
            "password",
            err=True,
        )
    sys.stdout.flush()


def _forget(sites: Sequence[Site]) -> None:
    for site in sites:
        set_address(site.target.reference, site.method, None)


def _wait(events: Events, timeout: float | None) -> Why:
    try:
        return events.get(timeout=timeout)
    except queue.Empty:
        return "end"


def end_on_signals(events: Events) -> None:
    """Turn each signal to end into an event, also one that comes while the run ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: events.put("end"))


def end_with(descriptor: int, events: Events) -> None:
    """Turn the end of a pipe into an event. It means that the process at the other end has
    died."""

    def read() -> None:
        with open(descriptor, "rb") as pipe:
            pipe.read()
        events.put("end")

    threading.Thread(target=read, daemon=True).start()
