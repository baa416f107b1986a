"""The instructions of a Dockerfile, as far as they matter on one machine. This module is pure: it
reads no file."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_HEREDOC = re.compile(r"<<-?([\"']?)(\w+)\1")
_PUNCTUATION = set("();<>|&")
_PIP = re.compile(r"(?:(?:python[\d.]*|uv) (?:-m )?)?pip[\d.]* install ")
_UNWANTED = {"--no-cache-dir", "--no-cache", "--system", "--upgrade", "-U", "-q", "--quiet"}
"""Options of pip that hold anyway, or that have no meaning for a directory of its own."""


@dataclass(frozen=True)
class Instruction:
    """An instruction: its name in capitals, and the rest as one line. A heredoc follows in lines
    of its own."""

    name: str
    text: str


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile's text. ValueError for a heredoc without an end."""
    lines = iter(text.splitlines())
    found = []
    for line in lines:
        joined = _join(line, lines)
        if joined:
            name, _, rest = joined.partition(" ")
            rest = "\n".join((rest.strip(), *_read_heredocs(rest, lines)))
            found.append(Instruction(name.upper(), rest))
    return found


def _join(line: str, lines: Iterator[str]) -> str:
    """A line together with the lines that continue it after a backslash. Comment lines are left
    out."""
    parts: list[str] = []
    while True:
        text = line.strip()
        if not text.startswith("#"):
            parts.append(text.removesuffix("\\").strip())
            if not text.endswith("\\"):
                break
        elif not parts:
            break
        following = next(lines, None)
        if following is None:
            break
        line = following
    return " ".join(part for part in parts if part)


def _read_heredocs(text: str, lines: Iterator[str]) -> Iterator[str]:
    for _, word in _HEREDOC.findall(text):
        for line in lines:
            if line.strip() == word:
                break
            yield line
        else:
            raise ValueError(f"<<{word} has no end")


def take_last_stage(instructions: Sequence[Instruction]) -> list[Instruction]:
    """The instructions from the last FROM on, and the ARGs before the first FROM."""
    starts = [at for at, one in enumerate(instructions) if one.name == "FROM"]
    if not starts:
        return list(instructions)
    given = [one for one in instructions[: starts[0]] if one.name == "ARG"]
    return [*given, *instructions[starts[-1] :]]


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$NAME``, ``${NAME}``, ``${NAME:-else}`` and ``${NAME:+then}``. Unknown variables
    are empty."""

    def replace(match: re.Match[str]) -> str:
        if match.group() == r"\$":
            return "$"
        value = variables.get(match.group(1) or match.group(2), "")
        match match.group(3):
            case "-" | ":-":
                return value or match.group(4)
            case "+" | ":+":
                return match.group(4) if value else ""
        return value

    return _VARIABLE.sub(replace, text)


def parse_pairs(text: str) -> dict[str, str]:
    """The variables of an ENV: ``A=1 B="2 3"``, or the older form ``A 1``. ValueError."""
    first, _, rest = text.partition(" ")
    if "=" not in first:
        return {first: rest.strip()}
    pairs = [word.partition("=") for word in shlex.split(text)]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(f"ENV {text}: use NAME=VALUE")
    return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class CopyInstruction:
    """A COPY or ADD. ``is_local``: no source is in another image or on the network."""

    sources: tuple[str, ...]
    place: str
    is_local: bool


def parse_copy(text: str) -> CopyInstruction:
    """The sources and the destination of a COPY or ADD. ValueError."""
    words = parse_list(text)
    options = [word for word in words if word.startswith("--")]
    paths = [word for word in words if not word.startswith("--")]
    if len(paths) < 2:
        raise ValueError(f"{text}: what is to be copied, and where to?")
    is_local = not any(option.startswith("--from") for option in options)
    is_local = is_local and not any("://" in path or "<<" in path for path in paths[:-1])
    return CopyInstruction(tuple(paths[:-1]), paths[-1], is_local)


def parse_list(text: str) -> list[str]:
    """The words of ``["a", "b"]``, or the words that a shell would read. ValueError."""
    if text.startswith("["):
        given = json.loads(text)
        return [str(word) for word in given]
    return shlex.split(text)


def find_packages(text: str) -> list[str] | None:
    """The arguments of a RUN that is a ``pip install``. None for any other command, and for
    arguments that are files."""
    lexer = shlex.shlex(_PIP.sub("", text, count=1), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    if set(text) & {"$", "`", "\n"} or not _PIP.match(text):
        return None
    words = [word for word in lexer if word not in _UNWANTED]
    if any(_PUNCTUATION.issuperset(word) for word in words):
        return None
    if any(word in ("-r", "-e", "-c") or word.startswith((".", "/")) for word in words):
        return None
    return words


def split_commands(text: str) -> list[str]:
    """The commands of a RUN, which ``&&`` joins."""
    return [part.strip() for part in text.split("&&")]
