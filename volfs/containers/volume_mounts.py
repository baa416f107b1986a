"""Mounting several volumes at once, usually by daemons that end when this process does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from volfs.containers.launching import Launcher
from volfs.control.protocol import Failure, to_exception
from volfs.control.signs import Signs
from volfs.daemon.mount_options import MountOptions
from volfs.errors import VolfsError
from volfs.model.text_json import decode_json, encode_json


@contextmanager
def mounting(
    requests: Sequence[MountOptions],
    signs: Signs,
    launcher: Launcher | None = None,
    *,
    outliving: bool = False,
) -> Iterator[None]:
    """Mount while the block runs; all mounts answer at its end. Otherwise the first error is
    raised.

    However the block ends, every mount that succeeded is mounted then. It ends with this process,
    unless it is ``outliving``.
    """
    if not requests:
        yield
        return
    with nullcontext(launcher) if launcher else Launcher() as launcher:
        pipe = launcher.begin(encode_json(requests), signs.descriptor, outliving=outliving)
        try:
            yield
        finally:
            answer = launcher.read_answer(pipe)
    failures = decode_json(answer, list[Failure | None])
    raise_first([to_exception(failure) for failure in failures if failure])


def raise_first(errors: Sequence[VolfsError]) -> None:
    """Raise the only error. If there are several, raise one of the first error's class with the
    texts of all."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise type(errors[0])("; ".join(map(str, errors)))
