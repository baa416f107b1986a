"""Which host names lead to a server of ours. Any name can lead a browser to a server on loopback
(DNS rebinding), so requests by other names are refused. Pure."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def find_host(header: str) -> str:
    """The host that a ``Host`` header names, without the port and in lower case; empty if it names
    none."""
    try:
        parts = urlsplit(f"//{header}")
        return (parts.hostname or "") if parts.netloc == header and not parts.username else ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a server with this address can be reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_expected_host(header: str, bound: str, allowed: Collection[str]) -> bool:
    """Whether a request that names this host is meant for a server that listens at ``bound``.

    That address itself and the ``allowed`` names are meant for it, and the usual names of loopback
    if it listens there. A server that others reach takes any address, and ``localhost``.
    """
    host = find_host(header)
    if host == bound.strip("[]").lower() or host in allowed:
        return True
    if is_loopback(bound):
        return host in LOOPBACK
    return _is_address(host) or host == "localhost"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
