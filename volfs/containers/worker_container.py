"""One container with a worker in it, as the process that started it sees it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from volfs.containers.answers import Answer
from volfs.containers.connection import Connection, Incoming
from volfs.containers.container import Container, ContainerSpec
from volfs.containers.launching import Launcher
from volfs.containers.messages import GRACE, IN_CONTAINER, Message, Start, encode
from volfs.containers.remote_errors import dump_fault
from volfs.errors import RemoteError, VolfsError

log = logging.getLogger(__name__)

WORKER = "volfs.containers.worker"


class Running:
    """A container whose service is ready for calls. Its constructor returns when that is so."""

    def __init__(
        self,
        name: str,
        spec: ContainerSpec,
        store: str,
        start: Start,
        serve: Callable[[Incoming], None],
        launcher: Launcher | None = None,
    ) -> None:
        """Start the container, and the service in it. Raises what mounting raises, and
        CallFailedError with what the service's start raised."""
        self.name = name
        self.calls = 0
        """The number of calls that run at this moment."""
        self.used = 0
        """The number of calls that the container has taken so far."""
        self._killed = False
        self._is_ready = False
        self._container = Container(spec, store, launcher)
        try:
            self._launch(serve)
            self.call(start).wait()
            self._is_ready = True
        except BaseException:
            self.end(now=True)
            raise

    def _launch(self, serve: Callable[[Incoming], None]) -> None:
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours, serve, self._explain)
        with theirs:
            argv = [sys.executable, "-P", "-m", WORKER, str(theirs.fileno())]
            self._process = self._container.start(
                argv,
                env=_environment(),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us: we end the container
            )
        self._reader = threading.Thread(target=self._connection.read, daemon=True)
        self._reader.start()

    def call(self, message: Message, answer: Answer | None = None) -> Answer:
        return self._connection.call(encode(message), answer)

    @property
    def is_dead(self) -> bool:
        return self._killed or self._connection.is_lost

    def _explain(self) -> bytes:
        """The fault of the calls that were running when the connection ended, as ``dump_fault``
        writes it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        return dump_fault(RemoteError(f"the container of {self.name} {self._say_end()}"))

    def _say_end(self) -> str:
        status = self._process.poll()
        if status is None:
            return "does not answer any more"
        number = -status if status < 0 else status - 128
        if number > 0:
            with suppress(ValueError):
                return f"was killed by {signal.Signals(number).name}"
        when = "in the middle of the call" if self._is_ready else "before it was ready"
        return f"ended {when}, with status {status}"

    def commit_changes(self) -> None:
        """Commit what the container's calls wrote, at the end of a call. VolfsError; what was not
        committed stays for the next commit."""
        try:
            self._container.commit_changes()
        except VolfsError as error:
            said = f"what {self.name} wrote is not committed, but kept: {error}"
            raise type(error)(said) from error

    def kill_if_broken(self) -> None:
        """Kill the container if it has lost a volume, because no call in it can do its work
        then."""
        if not self.is_dead and self._container.has_lost_a_volume():
            self.kill()

    def terminate(self) -> None:
        """End the call that is running. The program may clean up."""
        self._process.terminate()

    def kill(self) -> None:
        self._killed = True
        self._process.kill()

    def end(self, *, now: bool = False) -> None:
        """End the program after its exit handlers, commit its volumes, and unmount them. ``now``:
        kill the program without waiting for it."""
        try:
            if hasattr(self, "_reader"):
                self._end_program(0.0 if now else GRACE)
        finally:
            self._close_container()

    def _end_program(self, grace: float) -> None:
        self._connection.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._connection.release()

    def _close_container(self) -> None:
        try:
            self._container.close()
        except VolfsError as error:
            log.error("%s: the last commit failed: %s", self.name, error)


def _environment() -> dict[str, str]:
    """The environment of the worker, without what the container's own environment adds."""
    return {**os.environ, IN_CONTAINER: "1"}
