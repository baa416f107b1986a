"""How google-auth sends its requests: with time limits, and without attempts that we do not
count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import urllib3
from google.auth.exceptions import TransportError
from google.auth.transport.urllib3 import Request

from volfs.buckets.proxies import HttpProxy, find_proxy
from volfs.errors import StoreUnavailableError

QUICK = 1.0
"""Seconds for the machine's own service. Where it is missing, opening a bucket must not wait."""
PATIENT = 10.0
METADATA_HOST = "metadata.google.internal"
_METADATA_PATH = "/computeMetadata/"
_AGAIN = (408, 429, 500, 502, 503, 504)


class LimitedRequest(Request):
    """Sends a request once.

    google-auth repeats what fails with an error of its own, with pauses of seconds. An error of
    volfs ends that at once.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(_open_manager(None))  # type: ignore[no-untyped-call]
        self._environ = environ
        self._machine = environ.get("GCE_METADATA_HOST") or METADATA_HOST

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Any = None,
        timeout: Any = None,
        **given: Any,
    ) -> Any:
        is_machine = urlsplit(url).path.startswith(_METADATA_PATH)
        url = self._place(url) if is_machine else url
        limit = QUICK if is_machine else PATIENT
        self.http = _open_manager(None if is_machine else find_proxy(url, self._environ))
        host = urlsplit(url).netloc
        try:
            reply = super().__call__(url, method, body, headers, limit, **given)  # type: ignore[no-untyped-call]
        except TransportError:
            raise StoreUnavailableError(f"credentials: no answer ({host})") from None
        if reply.status in _AGAIN:
            raise StoreUnavailableError(f"credentials: {host} answers HTTP {reply.status}")
        return reply

    def _place(self, url: str) -> str:
        """The URL at the machine that the options name. google-auth takes it from this process's
        environment."""
        return urlunsplit(urlsplit(url)._replace(netloc=self._machine))


def _open_manager(proxy: HttpProxy | None) -> urllib3.PoolManager:
    if proxy is None:
        return urllib3.PoolManager(retries=False)
    shown = urllib3.make_headers(proxy_basic_auth=proxy.user) if proxy.user else None
    return urllib3.ProxyManager(proxy.url, proxy_headers=shown, retries=False)
