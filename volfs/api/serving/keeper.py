"""Keeps a ``web_server`` running. When its container ends, another one is started."""

from __future__ import annotations

import threading

from volfs.api.serving.front import News
from volfs.api.serving.sites import Site
from volfs.containers.answers import Answer, CallFailedError
from volfs.containers.messages import HandleRequest
from volfs.containers.remote_errors import load_fault
from volfs.store.identity import make_id

_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the next start, by the number of starts that failed at once before."""


class Keeper:
    """The keeper of one endpoint, from ``start`` until ``stop``."""

    def __init__(self, site: Site, report: News) -> None:
        self._site = site
        self._report = report
        self._ending = threading.Event()
        self._answer: Answer | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        if self._answer is not None:
            self._answer.cancel()
        self._thread.join()

    def _keep(self) -> None:
        failures = 0
        while not self._ending.is_set():
            was_ready = self._run()
            failures = 0 if was_ready else failures + 1
            self._ending.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])

    def _run(self) -> bool:
        """Run the server until it ends. True if it could be reached."""
        was_ready = False
        try:
            pool = self._site.target.get_server_pool(self._site.method)
            self._answer = pool.submit(HandleRequest(self._site.method, b"", make_id("fc")))
            if self._ending.is_set():
                self._answer.cancel()
            for _ in self._answer.iter_items():
                was_ready = True
                self._report.answered(self._site.name, f"listens at {self._site.endpoint.port}", 0)
        except CallFailedError as error:
            if not self._ending.is_set():
                self._report.failed(self._site.name, load_fault(error.body))
        except Exception as error:  # noqa: BLE001 - the next start may succeed
            self._report.failed(self._site.name, error)
        return was_ready
