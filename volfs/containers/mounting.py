"""Mounting several volumes at once, by daemons that end when this process does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import msgspec

from volfs.containers.launching import Launcher
from volfs.control.protocol import Failure, to_exception
from volfs.daemon.options import MountOptions
from volfs.errors import MountError, VolfsError


@contextmanager
def mounting(requests: Iterable[MountOptions], launcher: Launcher | None = None) -> Iterator[None]:
    """Mount during the block; all answer at its end. Else the error of the first that fails.

    However the block ends, what could be mounted is mounted then.
    """
    requests = list(requests)
    if not requests:
        yield
        return
    with launcher or Launcher() as launcher:
        requests = [replace(options, while_fd=launcher.lifeline) for options in requests]
        try:
            yield
        finally:
            status, answer, complaints = launcher.ask(msgspec.json.encode(requests))
    if status != 0:
        why = complaints.decode(errors="replace").strip().rpartition("\n")[2]
        raise MountError(f"volumes cannot be mounted: {why}")
    failures = msgspec.json.decode(answer, type=list[Failure | None])
    raise_first([to_exception(failure) for failure in failures if failure])


def raise_first(errors: Sequence[VolfsError]) -> None:
    """Raise the only error, or one of the first one's class that says all of them."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise type(errors[0])("; ".join(map(str, errors)))
