"""serve: let the endpoints of an App answer HTTP on this machine."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from volfs.store.location import ENVIRONMENT_VARIABLES
from volfs_cli.options import Seconds
from volfs_cli.stores import env_option, named_environment, store_option, store_url
from volfs_cli.terminal import UTF8, say, take_logs

if TYPE_CHECKING:
    from volfs.api.serving.serving import Events, Why

_LIFELINE, _AGAIN = "VOLFS_SERVE_LIFELINE", "VOLFS_SERVE_AGAIN"
"""Variables that the starting process sets for the serving one: the descriptor of a pipe, and
whether this is a start after a change."""
_CHANGED = 75
"""The exit status with which the serving process asks to be started again."""


@click.command("serve", no_args_is_help=True)
@store_option
@click.argument("app")
@click.option("-m", "is_module", is_flag=True, help="APP is an App's module: PACKAGE.APP.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port of the first endpoint; the others get the next ones. 0: any free ports.",
)
@click.option("--reload/--no-reload", default=True, help="Start again when a file changes.")
@click.option("--timeout", type=Seconds(), metavar="SECONDS", help="End after so long.")
@env_option
def serve(app: str, reload: bool, **options: Any) -> NoReturn:
    """Serve the web endpoints of an App: FILE.py[::NAME].

    The asgi_app, wsgi_app, fastapi_endpoint and web_server functions of the file answer HTTP, each
    at a port of its own, which is printed. They run in containers, as calls do. Ctrl-C ends it.
    """
    os.environ["VOLFS_STORE"] = store_url()
    if named := named_environment():
        os.environ |= dict.fromkeys(ENVIRONMENT_VARIABLES, named)
    lifeline = os.environ.pop(_LIFELINE, None)
    if reload and lifeline is None:
        sys.exit(_start_again_and_again())
    sys.exit(_serve(app, lifeline, is_watching=reload, **options))


def _serve(app: str, lifeline: str | None, **options: Any) -> int:
    from volfs.api.serving.serving import Settings, end_with, serve

    take_logs()
    where, _, name = app.partition("::")
    is_again = os.environ.pop(_AGAIN, None) is not None
    events: Events = queue.SimpleQueue()
    if lifeline is not None:
        end_with(int(lifeline), events)
    why: Why = serve(Settings(where, name=name or None, is_again=is_again, **options), events, say)
    return _CHANGED if why == "changed" else 0


# --- the process that starts the serving one --------------------------------


def _start_again_and_again() -> int:
    """Start a process for each state of the program, so that nothing is left of the former one.
    Return the last exit status."""
    status, again = _CHANGED, False
    while status == _CHANGED:
        status = _start(again)
        again = True
    return status


def _start(again: bool) -> int:
    """Run one serving process, and return its exit status. Signals are passed on to it. If this
    process dies, the serving one ends."""
    reader, writer = os.pipe()
    environment = {**os.environ, _LIFELINE: str(reader), **({_AGAIN: "1"} if again else {})}
    command = [sys.executable, *UTF8, "-m", "volfs_cli.main", *sys.argv[1:]]
    started: list[subprocess.Popen[bytes]] = []
    _pass_on(started)
    started.append(subprocess.Popen(command, env=environment, pass_fds=(reader,)))
    os.close(reader)
    try:
        return _to_status(started[0].wait())
    finally:
        os.close(writer)


def _pass_on(started: list[subprocess.Popen[bytes]]) -> None:
    """Pass signals on. A terminal sends Ctrl-C to both processes, but SIGTERM may come only to
    this one."""

    def tell(number: int, _: object) -> None:
        for process in started:
            process.send_signal(number if number != signal.SIGINT else signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, tell)


def _to_status(code: int) -> int:
    return 128 - code if code < 0 else code
