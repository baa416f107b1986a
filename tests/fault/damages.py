"""Damage to one stored file: what it is, chosen at random from a seed."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import NamedTuple

SPAN_MAX = 4096
WAYS = ("flip", "zero", "noise", "cut", "swap")


class Damage(NamedTuple):
    file: str
    way: str
    offset: int
    length: int
    bytes: bytes
    """The whole file, as it is to be."""

    def __str__(self) -> str:
        return f"{self.way} {self.length} bytes of {self.file} at {self.offset}"


def choose_damage(random: Random, files: dict[str, bytes]) -> Damage:
    """Each sort of file as often as another; what would change nothing is chosen anew."""
    sorts: dict[str, list[str]] = {}
    for name in sorted(files):
        sorts.setdefault(sort_of(name), []).append(name)
    while True:
        name = random.choice(sorts[random.choice(sorted(sorts))])
        before = files[name]
        offset = random.randrange(len(before))
        length = random.randint(1, min(SPAN_MAX, len(before) - offset))
        way = random.choice(WAYS)
        after = _damage(random, way, before, offset, length)
        if after != before:
            return Damage(name, way, offset, length, after)


def sort_of(name: str) -> str:
    path = Path(name)
    return path.parent.name if path.suffix in (".pack", ".mdb", ".arena") else path.name


def _damage(random: Random, way: str, data: bytes, offset: int, length: int) -> bytes:
    end = offset + length
    if way == "cut":
        return data[:offset]
    if way == "flip":
        return data[:offset] + bytes([data[offset] ^ 1 << random.randrange(8)]) + data[offset + 1 :]
    if way == "swap":
        other = random.randrange(len(data) - length + 1)
        changed = bytearray(data)
        changed[offset:end], changed[other : other + length] = (
            data[other : other + length],
            data[offset:end],
        )
        return bytes(changed)
    new = bytes(length) if way == "zero" else random.randbytes(length)
    return data[:offset] + new + data[end:]
