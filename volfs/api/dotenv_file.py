"""Reading a ``.env`` file. Either every line gives a value, or the file is refused."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from volfs.errors import InvalidError
from volfs.model.text import show
from volfs.system.small_files import read_small_text


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a file. OSError; InvalidError, which names the file and the line, and shows
    no value."""
    from dotenv import dotenv_values

    shown = show(str(path))
    try:
        text = read_small_text(path)
    except UnicodeDecodeError:
        raise InvalidError(f"{shown}: is no UTF-8 text") from None
    _check_lines(text, shown)
    return {key: value or "" for key, value in dotenv_values(stream=StringIO(text)).items()}


def _check_lines(text: str, shown: str) -> None:
    from dotenv.parser import parse_stream

    for binding in parse_stream(StringIO(text)):
        blank = len(binding.original.string) - len(binding.original.string.lstrip())
        line = binding.original.line + binding.original.string[:blank].count("\n")
        if binding.error:
            raise InvalidError(f"{shown}:{line}: is no KEY=VALUE")
        if binding.key is not None and binding.value is None:
            key = show(binding.key)
            raise InvalidError(f"{shown}:{line}: {key} has no value; `{key}=` is an empty one")
