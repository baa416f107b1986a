"""What containers may ask of endpoints: a request's next message, and where one is served."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from volfs.containers.messages import TargetReference

_GONE = pickle.dumps({"type": "http.disconnect"})
_open: dict[str, Callable[[], bytes]] = {}
_addresses: dict[tuple[str | None, str, str], str] = {}


@contextmanager
def open_request(call_id: str, receive: Callable[[], bytes]) -> Iterator[None]:
    """A block in which the container that answers it can ask for its messages."""
    _open[call_id] = receive
    try:
        yield
    finally:
        del _open[call_id]


def receive(call_id: str) -> bytes:
    """The next message of a request; when it is over, that its client has gone."""
    found = _open.get(call_id)
    return _GONE if found is None else found()


def set_address(reference: TargetReference, method: str, url: str | None) -> None:
    """Where an endpoint is served from now on; None: no more."""
    key = reference.app, reference.tag, method
    if url is None:
        _addresses.pop(key, None)
    else:
        _addresses[key] = url


def find_address(reference: TargetReference, method: str) -> str | None:
    """By name: a module that a container imported has ids of its own."""
    return _addresses.get((reference.app, reference.tag, method))
