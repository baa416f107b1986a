"""The body of a line: an array of changes, each an array that begins with the change's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from volfs.errors import DamagedObjectError, InvalidError, UnsupportedFormatError
from volfs.model.objects import Buffer

Change = TypeVar("Change")
Content = TypeVar("Content")
_encoder = msgspec.msgpack.Encoder()
_loose = msgspec.msgpack.Decoder(list[list[Any]])


class LogChange(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A change of any kind of log. Its tag is its name."""


class ChangeCodec(Generic[Change]):
    """Encodes and decodes the changes of one kind of log."""

    def __init__(self, log: str, changes: Any) -> None:
        self._log = log
        self._decoder: msgspec.msgpack.Decoder[tuple[Change, ...]] = msgspec.msgpack.Decoder(
            tuple[changes, ...]
        )
        structs = getattr(changes, "__args__", (changes,))
        self._names = {each.__struct_config__.tag for each in structs}

    def encode(self, changes: Sequence[Change]) -> bytes:
        """The body of a line. InvalidError for changes that no reader would accept."""
        try:
            body = _encoder.encode(list(changes))
            self._decoder.decode(body)
        except ValueError as error:
            raise InvalidError(f"{self._log}: {error}") from error
        return body

    def decode(self, body: Buffer) -> tuple[Change, ...]:
        """The changes of a body.

        UnsupportedFormatError if a later volfs made one of them; DamagedObjectError for everything
        else that no volfs writes.
        """
        try:
            return self._decoder.decode(body)
        except (ValueError, RecursionError) as error:
            self._check_names(body)
            raise DamagedObjectError(f"{self._log}: {error}") from error

    def _check_names(self, body: Buffer) -> None:
        """UnsupportedFormatError for the name of a change that this volfs does not know."""
        try:
            names = [change[0] for change in _loose.decode(body) if change]
        except (ValueError, RecursionError):
            return
        for name in names:
            if isinstance(name, str) and name not in self._names:
                raise UnsupportedFormatError(
                    f"{self._log}: a change named {name!r}, which this volfs does not know; "
                    "use a newer volfs"
                )


def decode_content(what: str, decoder: msgspec.msgpack.Decoder[Content], data: Buffer) -> Content:
    """Decode what is kept beside a log. DamagedObjectError for everything that no volfs writes."""
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise DamagedObjectError(f"{what}: {error}") from error
