"""Telling systemd, or another service manager, that a mount in the foreground answers."""

from __future__ import annotations

import logging
import os
import socket

VARIABLE = "NOTIFY_SOCKET"
"""The variable with the path of the socket; its form is that of sd_notify(3)."""

log = logging.getLogger(__name__)


def tell_manager() -> None:
    """Tell the service manager that the service is ready, if the environment names its socket. The
    mount goes on whether or not that succeeds."""
    place = os.environ.pop(VARIABLE, "")
    if not place.startswith(("/", "@")):
        return
    address = f"\0{place[1:]}" if place.startswith("@") else place
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.settimeout(5)
            line.sendto(b"READY=1", address)
    except OSError as error:
        log.warning("the service manager cannot be told that the mount answers: %s", error)
