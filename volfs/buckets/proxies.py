"""HTTP proxies: which one a request goes by, as the user's environment says. Pure.

The names are those that curl and most other programs know. Nobody needs a proxy to reach this
machine or its link, so those addresses never go by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from volfs.errors import InvalidError


class HttpProxy(NamedTuple):
    """A proxy. ``url`` has no user and no password in it."""

    url: str
    user: str = ""
    """``USER:PASSWORD``, or empty."""

    def __repr__(self) -> str:
        return f"HttpProxy({self.url!r})"

    @property
    def whole_url(self) -> str:
        """The URL with user and password. It must not be shown."""
        if not self.user:
            return self.url
        scheme, _, host = self.url.partition("://")
        user = ":".join(quote(word, safe="") for word in self.user.split(":", 1))
        return f"{scheme}://{user}@{host}"


def find_proxy(url: str, environ: Mapping[str, str]) -> HttpProxy | None:
    """The proxy for requests to a URL; None if they go straight. InvalidError for a proxy that is
    none of HTTP."""
    parts = urlsplit(url)
    said = _find_variable(environ, f"{parts.scheme}_proxy", "all_proxy")
    if not said or _is_exempt(parts.hostname or "", parts.port, environ):
        return None
    return _parse(said, f"{parts.scheme}_proxy")


def _find_variable(environ: Mapping[str, str], *names: str) -> str:
    either = (form for name in names for form in (name, name.upper()))
    return next((environ[name].strip() for name in either if environ.get(name)), "")


def _parse(said: str, name: str) -> HttpProxy:
    """The message has nothing of the value, which may have a password in it."""
    try:
        parts = urlsplit(said if "://" in said else f"http://{said}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise InvalidError(f"{name}: not a URL; use http://HOST:PORT") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidError(f"{name}: only proxies of HTTP are known; use http://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    words = [unquote(word) for word in (parts.username, parts.password) if word is not None]
    return HttpProxy(f"{parts.scheme}://{host}:{port}", ":".join(words))


def _is_exempt(host: str, port: int | None, environ: Mapping[str, str]) -> bool:
    """Whether a host is this machine, or one that NO_PROXY names."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost") or _is_near(host):
        return True
    return any(_fits(host, port, entry) for entry in _list_exempt(environ))


def _list_exempt(environ: Mapping[str, str]) -> Iterator[str]:
    for entry in _find_variable(environ, "no_proxy").split(","):
        if entry.strip():
            yield entry.strip().lower()


def _is_near(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local


def _fits(host: str, port: int | None, entry: str) -> bool:
    """Whether an entry of NO_PROXY means a host: ``*``, a name with all below it, an address, a
    network; each with a port or without."""
    if entry == "*":
        return True
    name, colon, said = entry.rpartition(":")
    if colon and said.isdecimal() and (name.endswith("]") or ":" not in name):
        if port is not None and int(said) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").lstrip(".")
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return host == entry or host.endswith(f".{entry}")
