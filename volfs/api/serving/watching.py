"""Watching the files of a program for changes."""

from __future__ import annotations

import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import volfs

_LIBRARIES: list[str] = [
    sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")
]
_TICK = 200
"""Milliseconds."""
_NOT_THE_PROGRAMS = {
    Path(place).resolve() for place in (*_LIBRARIES, str(Path(volfs.__file__).parent))
}


@contextmanager
def watch(places: Sequence[Path], changed: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call ``changed`` when a Python file in the directories changes, while the block runs.

    The block gets a function, which adds the directories of all modules that are imported by then.
    """
    watchers: list[_Watcher] = []

    def add(more: set[Path]) -> None:
        known = {place for watcher in watchers for place in watcher.places}
        if more - known:
            watchers.append(_Watcher(more - known, changed))

    add(set(places))
    try:
        yield lambda: add(find_program_directories())
    finally:
        for watcher in watchers:
            watcher.stop()


def find_program_directories() -> set[Path]:
    """The directories of the imported modules that belong to no library and not to volfs."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    found = {Path(file).resolve().parent for file in files if file and file.endswith(".py")}
    return {place for place in found if not _is_library(place)}


def _is_library(place: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(place.parts):
        return True
    return any(place.is_relative_to(root) for root in _NOT_THE_PROGRAMS)


class _Watcher:
    """A thread that watches directories, without their subdirectories, from the moment at which it
    is made."""

    def __init__(self, places: set[Path], changed: Callable[[], None]) -> None:
        self.places = places
        self._changed = changed
        self._end = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _watch(self) -> None:
        import watchfiles

        changes = watchfiles.watch(
            *self.places,
            watch_filter=watchfiles.PythonFilter(),
            stop_event=self._end,
            recursive=False,
            debounce=200,
            rust_timeout=_TICK,
            yield_on_timeout=True,
        )
        try:
            for changed in changes:
                if changed:
                    self._changed()
                self._ready.set()  # the first item comes only when watching has begun
        finally:
            self._ready.set()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
