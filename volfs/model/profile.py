"""The limits of a volume, fixed when it is created."""

from __future__ import annotations

from typing import NamedTuple

from volfs.errors import FileTooLargeError, InvalidError, LimitError
from volfs.model.names import Path, show_path

MAX_FILE_SIZE = 1 << 40
MAX_ENTRIES = 32_768
DEFAULT_PROFILE = 2
DEFAULT_CHUNK_BITS = 20
CHUNK_BITS = range(12, 27)
"""What a volume's chunk_bits may be."""


class Profile(NamedTuple):
    number: int
    max_inodes: int | None
    max_entries: int = MAX_ENTRIES
    max_file_size: int = MAX_FILE_SIZE

    def check_entries(self, count: int, directory: Path) -> None:
        """LimitError if a directory may not hold ``count`` entries."""
        if count > self.max_entries:
            where = show_path(directory)
            raise LimitError(f"directory {where}: more than {self.max_entries} entries")

    def check_inodes(self, count: int) -> None:
        """LimitError if the volume may not hold ``count`` inodes."""
        if self.max_inodes is not None and count > self.max_inodes:
            raise LimitError(f"volume: more than {self.max_inodes} inodes (profile {self.number})")

    def check_file_size(self, size: int) -> None:
        if size > self.max_file_size:
            raise FileTooLargeError(f"file of {size} bytes: larger than {self.max_file_size}")


PROFILES = {1: Profile(1, max_inodes=500_000), 2: Profile(2, max_inodes=None)}


def get_profile(number: int) -> Profile:
    """InvalidError for a number that is neither 1 nor 2."""
    try:
        return PROFILES[number]
    except KeyError:
        raise InvalidError("VolumeFS version must be either 1 or 2") from None
