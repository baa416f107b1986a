"""What a Dockerfile says, as far as it matters on one machine. Pure: no file is read."""

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
"""Options of pip that say what is so anyway, or what has no meaning in a directory of its own."""


@dataclass(frozen=True)
class Instruction:
    """Its name in capitals, and what follows, in one line but for a heredoc."""

    name: str
    text: str


def parse(text: str) -> list[Instruction]:
    """ValueError for a heredoc without an end."""
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
    """With the lines that a backslash continues; those that are comments are left out."""
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
    """From the last FROM on, and the ARGs before the first one."""
    starts = [at for at, one in enumerate(instructions) if one.name == "FROM"]
    if not starts:
        return list(instructions)
    given = [one for one in instructions[: starts[0]] if one.name == "ARG"]
    return [*given, *instructions[starts[-1] :]]


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """``$NAME``, ``${NAME}``, ``${NAME:-else}`` and ``${NAME:+then}``; unknown ones are empty."""

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
    """Of ENV: ``A=1 B="2 3"``, or the older ``A 1``. ValueError."""
    first, _, rest = text.partition(" ")
    if "=" not in first:
        return {first: rest.strip()}
    pairs = [word.partition("=") for word in shlex.split(text)]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(f"ENV {text}: use NAME=VALUE")
    return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class CopyInstruction:
    """Of COPY and ADD. ``is_local``: nothing of it is in another image or on the network."""

    sources: tuple[str, ...]
    place: str
    is_local: bool


def parse_copy(text: str) -> CopyInstruction:
    """ValueError."""
    words = parse_list(text)
    options = [word for word in words if word.startswith("--")]
    paths = [word for word in words if not word.startswith("--")]
    if len(paths) < 2:
        raise ValueError(f"{text}: what is to be copied, and where to?")
    is_local = not any(option.startswith("--from") for option in options)
    is_local = is_local and not any("://" in path or "<<" in path for path in paths[:-1])
    return CopyInstruction(tuple(paths[:-1]), paths[-1], is_local)


def parse_list(text: str) -> list[str]:
    """``["a", "b"]``, or words as a shell has them. ValueError."""
    if text.startswith("["):
        given = json.loads(text)
        return [str(word) for word in given]
    return shlex.split(text)


def find_packages(text: str) -> list[str] | None:
    """Of RUN: the arguments of ``pip install``. None for any other command, and for files."""
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
    """Of RUN: what is joined by ``&&``."""
    return [part.strip() for part in text.split("&&")]
