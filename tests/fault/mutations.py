"""Bytes that are nearly right: valid encodings, changed in a few places from a seed."""

from __future__ import annotations

from random import Random

HEADERS = tuple(
    bytes.fromhex(text)
    for text in (
        "c4ff", "c5ffff", "c6ffffffff", "d9ff", "daffff", "dbffffffff",  # bin and str
        "9f", "dcffff", "ddffffffff", "8f", "deffff", "dfffffffff",  # arrays and maps
        "cfffffffffffffffff", "d38000000000000000", "cb7ff0000000000000", "c0", "c3", "00",
        "5b5b5b5b", "7b7d", "22ff", "28b52ffd", "76726563",  # JSON, zstd, a record
    )
)  # fmt: skip


def mutate(random: Random, valid: list[bytes]) -> bytes:
    """One of the encodings after up to eight changes."""
    data = bytearray(random.choice(valid))
    for _ in range(random.randint(1, 8)):
        at = random.randint(0, len(data))
        length = random.choice((1, 1, 1, 2, 4, 8, 64))
        match random.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at : at + length] = random.randbytes(length)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = random.choice(HEADERS)
            case 4:
                header = random.choice(HEADERS)
                data[at : at + len(header)] = header
            case 5:
                other = random.choice(valid)
                start = random.randint(0, len(other))
                data[at : at + length] = other[start : start + 4 * length]
            case 6:
                data[at:at] = data[at : at + length] * random.randint(1, 20)
    return bytes(data)


def inflate(random: Random, valid: list[bytes], size: int) -> bytes:
    """As much as ``size`` bytes: what looks valid at its start, and one piece again and again."""
    start = random.choice(valid)[: random.randint(0, 64)] + random.choice(HEADERS)
    other = random.choice(valid)
    at = random.randint(0, len(other))
    piece = random.choice((random.choice(HEADERS), other[at : at + random.randint(1, 64)], b"\x91"))
    return (start + (piece or b"[") * size)[:size]
