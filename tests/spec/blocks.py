"""The code blocks of the five documents, as they stand there.

``S0`` is the first document, and ``S0:16-30`` the block from its line 16 to 30,
fences included.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

DOCUMENTS = Path(__file__).parent / "documents"
_FENCE = "```"


class Block(NamedTuple):
    number: int
    where: str
    language: str
    """What follows the opening fence."""
    text: str

    @property
    def is_shell(self) -> bool:
        return self.language == "bash"


def _find_all() -> list[Block]:
    found: list[tuple[str, str, str]] = []
    for number, path in enumerate(sorted(DOCUMENTS.glob("*.txt"))):
        lines = path.read_text().split("\n")
        fences = [line for line, text in enumerate(lines) if text.startswith(_FENCE)]
        for first, last in zip(fences[::2], fences[1::2], strict=True):
            where = f"S{number}:{first + 1}-{last + 1}"
            language = lines[first].removeprefix(_FENCE)
            found.append((where, language, "\n".join(lines[first + 1 : last]) + "\n"))
    return [Block(number, *block) for number, block in enumerate(found, 1)]


BLOCKS = {block.number: block for block in _find_all()}
