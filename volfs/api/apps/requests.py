"""The questions that containers may ask about endpoints: the next message of a request, and the
address of an endpoint."""

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
    """For the block, let the container that answers the request ask for its messages."""
    _open[call_id] = receive
    try:
        yield
    finally:
        del _open[call_id]


def receive(call_id: str) -> bytes:
    """The next message of a request. If the request is over, the message that its client has
    gone."""
    found = _open.get(call_id)
    return _GONE if found is None else found()


def set_address(reference: TargetReference, method: str, url: str | None) -> None:
    """Set the address at which an endpoint is served from now on. None: it is not served any
    more."""
    key = reference.app, reference.tag, method
    if url is None:
        _addresses.pop(key, None)
    else:
        _addresses[key] = url


def find_address(reference: TargetReference, method: str) -> str | None:
    """The address of an endpoint, by its name, because a module that a container imported has
    other ids."""
    return _addresses.get((reference.app, reference.tag, method))
