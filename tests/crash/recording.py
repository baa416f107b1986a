"""What a process did to a directory, call by call, and what a power cut may leave of that.

Recorded with strace: writes, syncs, cuts, renames, deletions, each with its bytes.
A *prefix* of the calls is replayed onto a copy of the directory. What was not synced
by then may be there, or not, or in part; a name may be missing whose directory was
not synced. Writes through O_DSYNC are synced by themselves.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
CALLS = (
    "openat,close,lseek,write,pwrite64,pwritev,pwritev2,writev,"
    "fdatasync,fsync,ftruncate,truncate,fallocate,unlink,rename,link,mkdir,dup,dup2"
)
OPTIONS = ("-xx", "-s", "1000000", "-e", f"trace={CALLS}")
MAKING = ("create", "mkdir")
NAMING = (*MAKING, "unlink", "rename", "link")
_LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\w+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """What happened to a path: ``write``, ``punch``, ``sync``, ``cut``; ``create``, ``mkdir``,
    ``unlink``; ``rename`` and ``link``, to ``target``. Or ``say``."""

    what: str
    path: str = ""
    offset: int = 0
    data: bytes = b""
    durable: bool = False
    target: str = ""


@dataclass
class _Open:
    path: str
    durable: bool
    offset: int = 0


class Recording:
    """The calls of strace's output that concern files below a directory, in order."""

    def __init__(self, output: Path, directory: Path) -> None:
        self._directory = str(directory)
        self._open: dict[int, _Open] = {}
        text = output.read_text()
        self.calls = [call for line in text.splitlines() for call in self._parse(line)]

    def _parse(self, line: str) -> Iterator[Call]:
        found = _LINE.match(line)
        if found is None or found[3].startswith("-"):
            return
        name, arguments, result = found[1], found[2], int(found[3], 0)
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
        rest = _TEXT.sub('""', arguments)
        if name == "openat":
            path = self._resolve(os.fsdecode(texts[0]), rest.partition(",")[0])
            yield from self._parse_open(path, rest, result)
        elif name in ("unlink", "rename", "link", "mkdir", "truncate"):
            paths = [self._resolve(os.fsdecode(text)) for text in texts]
            yield from self._parse_names(name, paths, rest)
        else:
            yield from self._parse_use(name, texts, rest, result)

    def _resolve(self, path: str, directory: str = "") -> str:
        """The path of what was named from an open directory, in either way."""
        found = re.match(r"/proc/self/fd/(\d+)/?", path)
        if found is None and not path.startswith("/") and directory.isdecimal():
            found, path = re.match(r"(\d+)", directory), f"{directory}{path}"
        if found is None or (above := self._open.get(int(found[1]))) is None:
            return path
        return os.path.normpath(os.path.join(above.path, path[found.end() :]))

    def _parse_open(self, path: str, flags: str, descriptor: int) -> Iterator[Call]:
        self._open.pop(descriptor, None)
        if path.startswith(self._directory):
            self._open[descriptor] = _Open(path, "O_DSYNC" in flags)
            if "O_CREAT" in flags:
                yield Call("create", path)

    def _parse_names(self, name: str, paths: list[str], rest: str) -> Iterator[Call]:
        if not paths[0].startswith(self._directory):
            return
        if name == "truncate":
            yield Call("cut", paths[0], int(rest.rpartition(",")[2]))
        else:
            yield Call(name, paths[0], target=paths[-1])

    def _parse_use(self, name: str, texts: list[bytes], rest: str, result: int) -> Iterator[Call]:
        numbers = [int(text, 0) for text in re.findall(r"(?<![\w=])-?\d+\b", rest)]
        file = self._open.get(numbers[0])
        if file is None:
            if name == "write":
                yield Call("say")
        elif name == "close":
            del self._open[numbers[0]]
        elif name == "lseek":
            file.offset = result
        elif name in ("fdatasync", "fsync"):
            yield Call("sync", file.path)
        elif name == "ftruncate":
            yield Call("cut", file.path, numbers[1])
        elif name == "fallocate":
            if "PUNCH_HOLE" in rest:
                yield Call("punch", file.path, numbers[-2], bytes(numbers[-1]))
        elif result:  # else it only waited for the disk
            offset = file.offset
            if name == "pwrite64" or name == "pwritev":
                offset = numbers[-1]
            elif name == "pwritev2":
                offset = numbers[-1] if "RWF" in rest else numbers[-2]
            else:
                file.offset += result
            yield Call("write", file.path, offset, b"".join(texts)[:result], file.durable)


class Disk:
    """Replays calls into a directory. ``choose``: what is left of a write that was not synced."""

    def __init__(self, calls: list[Call], move: Callable[[str], Path]) -> None:
        self.calls = calls
        self.move = move

    def cut_power(self, choose: Callable[[bytes], bytes | None], *, keep_names: bool) -> None:
        """Leave what is durable of the calls, and of the rest what is chosen."""
        lost = set() if keep_names else self._find_lost_names()
        for number, call in enumerate(self.calls):
            if call.path in lost:
                continue
            if call.what not in NAMING:
                self._apply(call, call.durable or self._is_synced(number, call.path), choose)
            elif keep_names or call.what in MAKING or self._is_moved(number):
                self._apply_name(call)

    def _is_synced(self, number: int, path: str) -> bool:
        return any(call.what == "sync" and call.path == path for call in self.calls[number + 1 :])

    def _find_lost_names(self) -> set[str]:
        """Files that were made, and whose directory was not synced since."""
        return {
            call.path
            for number, call in enumerate(self.calls)
            if call.what == "create"
            and not self.move(call.path).exists()
            and not self._is_named(number, call.path)
            and not any(
                later.path == call.path and later.what == "rename" and self._is_moved(at)
                for at, later in enumerate(self.calls)
            )
        }

    def _is_named(self, number: int, path: str) -> bool:
        """Whether what happened to a name is durable."""
        return self._is_synced(number, str(Path(path).parent))

    def _is_moved(self, number: int) -> bool:
        return self._is_named(number, self.calls[number].target)

    def _apply(
        self,
        call: Call,
        is_durable: bool,
        choose: Callable[[bytes], bytes | None],
    ) -> None:
        path = self.move(call.path) if call.path else Path()
        if call.what == "cut" and (is_durable or choose(b"") is not None):
            os.truncate(path, call.offset)
        elif call.what in ("write", "punch"):
            data = call.data if is_durable else choose(call.data)
            if data is not None:
                if call.what == "punch":  # makes no file longer
                    data = data[: max(0, path.stat().st_size - call.offset)]
                with path.open("r+b") as file:
                    file.seek(call.offset)
                    file.write(data)

    def _apply_name(self, call: Call) -> None:
        path = self.move(call.path)
        match call.what:
            case "create":
                path.touch()
            case "mkdir":
                path.mkdir(exist_ok=True)
            case "unlink":
                path.unlink(missing_ok=True)
            case "rename":
                path.rename(self.move(call.target))
            case "link":
                self.move(call.target).hardlink_to(path)


def keep_all(data: bytes) -> bytes | None:
    return data


def drop_all(data: bytes) -> bytes | None:
    return None


def tear(seed: int) -> Callable[[bytes], bytes | None]:
    """Each write is there, or is not, or up to some sector."""
    rng = random.Random(seed)

    def choose(data: bytes) -> bytes | None:
        match rng.randrange(3):
            case 0:
                return None
            case 1:
                return data
        return data[: rng.randrange(len(data) // SECTOR + 1) * SECTOR]

    return choose
