"""``volfs.FilePatternMatcher``: the paths that patterns of a .dockerignore match."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from volfs.system.small_files import read_small_text


class PathPredicate(ABC):
    """A condition on paths, called with a path. ``~`` inverts it."""

    @abstractmethod
    def __call__(self, path: Path) -> bool: ...

    @abstractmethod
    def can_prune_directories(self) -> bool:
        """Whether everything below a directory that matches must match, too."""

    def __invert__(self) -> PathPredicate:
        return _Inverted(self)


class _Inverted(PathPredicate):
    def __init__(self, predicate: PathPredicate) -> None:
        self._predicate = predicate

    def __call__(self, path: Path) -> bool:
        return not self._predicate(path)

    def can_prune_directories(self) -> bool:
        return False

    def __invert__(self) -> PathPredicate:
        return self._predicate

    def __repr__(self) -> str:
        return f"~{self._predicate!r}"


@dataclass(frozen=True)
class Pattern:
    """One line of patterns. It matches a whole path, or the path of a directory above it."""

    expression: re.Pattern[str]
    takes_back: bool
    """Whether the line began with ``!``: a path that it matches is taken out again."""


class FilePatternMatcher(PathPredicate):
    """A matcher for a list of patterns. The last pattern that matches a path, or a directory above
    it, decides."""

    def __init__(self, *pattern: str) -> None:
        """ValueError for a pattern that is only ``!``."""
        self._given: Sequence[str] | None = pattern
        self._file: str | Path | None = None
        self.patterns  # noqa: B018 - wrong patterns are reported at once

    @classmethod
    def from_file(cls, file_path: str | Path) -> FilePatternMatcher:
        """A matcher for the patterns in a file, one in each line. The file is read at the first
        use. FileNotFoundError."""
        made = cls()
        made._file = file_path
        del made.patterns
        return made

    @cached_property
    def patterns(self) -> list[Pattern]:
        if self._file is None:
            lines: Sequence[str] = self._given or ()
        else:
            lines = read_small_text(self._file).splitlines()
        return parse_patterns(lines)

    def can_prune_directories(self) -> bool:
        return not any(pattern.takes_back for pattern in self.patterns)

    def __call__(self, path: Path) -> bool:
        return fits(self.patterns, path)

    def __repr__(self) -> str:
        if self._file is not None:
            return f"FilePatternMatcher.from_file({str(self._file)!r})"
        return f"FilePatternMatcher({', '.join(map(repr, self._given or ()))})"


def parse_patterns(lines: Sequence[str]) -> list[Pattern]:
    """The patterns of the lines, without empty ones. ValueError."""
    return [_parse(line) for line in map(str.strip, lines) if line.strip("/")]


def fits(patterns: Sequence[Pattern], path: Path) -> bool:
    """Whether a path matches: the last pattern that matches the path, or a directory above it, is
    no ``!``."""
    place = os.path.normpath(path)
    if place == ".":
        return False
    parts = place.split("/")
    places = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    for pattern in reversed(patterns):
        if any(pattern.expression.fullmatch(one) for one in places):
            return not pattern.takes_back
    return False


def _parse(line: str) -> Pattern:
    takes_back = line.startswith("!")
    text = line.removeprefix("!").strip()
    if not text:
        raise ValueError('Illegal exclusion pattern: "!"')
    text = os.path.normpath(text.strip("/") or ".")
    return Pattern(_to_expression(text), takes_back)


def _to_expression(pattern: str) -> re.Pattern[str]:
    """Of the shell's signs: ``**`` for any number of directories, ``*``, ``?``, ``[…]``, ``\\``."""
    found = re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|\\.|.", pattern, re.DOTALL)
    end = ".*" if found[-1] == "**" else _translate(found[-1])
    return re.compile("".join(map(_translate, found[:-1])) + end, re.DOTALL)


def _translate(part: str) -> str:
    meanings = {"**/": "(?:.*/)?", "**": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    if part in meanings:
        return meanings[part]
    if len(part) > 1 and part.startswith("["):
        body = part[1:-1].replace("\\", "\\\\")
        return f"[{'^' + body[1:] if body[0] in '^!' else body}]"
    return re.escape(part[1:] if len(part) > 1 and part.startswith("\\") else part)


NON_PYTHON_FILES = ~FilePatternMatcher("**/*.py")
