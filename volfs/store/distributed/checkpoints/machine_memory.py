"""What this machine remembers of logs, so that its next process reads only the difference.

For each log, a file in the machine's directory of the store has the state after one line, as a
checkpoint has it. The file alone proves nothing: that line must be in the log and have the digest
that the file says, and the end of the log is looked for in the bucket. The files may be deleted at
any time.
"""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote

import msgspec

from volfs.errors import DamagedObjectError, UnsupportedFormatError
from volfs.model.logs.change_codec import decode_content
from volfs.model.logs.framed import Framed, decode_framed, encode_framed
from volfs.model.pack import Codec
from volfs.store.distributed.place.object_keys import LogPlace
from volfs.system.files import remove_file, replace_file

MAGIC = b"VOLFSKN1"
LONGEST = 32 << 20
"""A state with more bytes is not remembered: to read the file costs more than to ask the bucket."""
log = logging.getLogger(__name__)


class Remembered(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A log after one line."""

    checkpoint: int
    """The line of the newest checkpoint in the bucket that is known; -1 if none is."""
    size: int
    """Bytes of the content of that checkpoint."""
    content: bytes
    """As the content of a checkpoint."""
    pieces: tuple[tuple[str, bytes], ...] = ()
    """The pieces that the content names, by name."""


_decoder = msgspec.msgpack.Decoder(Remembered)


class MachineMemory:
    """The files of one store, in one directory. Without them everything works, so nothing is
    raised."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, place: LogPlace) -> Remembered | None:
        """What is remembered of a log. None if there is no file, or none that can be read."""
        file = self._file(place)
        try:
            framed = decode_framed(file.read_bytes(), MAGIC, file.name)
            return decode_content("what is remembered", _decoder, framed.stored)
        except FileNotFoundError:
            return None
        except (OSError, DamagedObjectError, UnsupportedFormatError) as error:
            log.info("%s: passed over: %s", file, error)
            return None

    def note(self, place: LogPlace, remembered: Remembered) -> None:
        """Remember a log, instead of what was remembered before. Not durable."""
        content = msgspec.msgpack.encode(remembered)
        if len(content) > LONGEST:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            data = encode_framed(Framed(MAGIC, Codec.RAW, len(content), content))
            replace_file(self._file(place), data, durable=False)
        except OSError as error:
            log.info("%s: not remembered: %s", place.lines, error)

    def forget(self) -> None:
        """Remember nothing any more: what lies in the bucket was changed by hand, or repaired."""
        try:
            for file in list(self._folder.iterdir()):
                remove_file(file)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("%s: %s", self._folder, error)

    def _file(self, place: LogPlace) -> Path:
        return self._folder / quote(place.lines.rstrip("/"), safe="")
