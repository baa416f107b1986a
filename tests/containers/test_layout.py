"""What a container sees, by a small model of bwrap over random hosts and mounts."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volfs.containers.bwrap_layout import ARGUMENTS_MAX, HostFileType, Shown, layout
from volfs.errors import MountError

NAMES = st.sampled_from("abc")
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))
DIRECTORIES = st.sets(PATHS, max_size=6)
BASE = {"/", "/proc", "/dev"}


class FakeHost:
    """Directories, with their parents, and links to the root beside them."""

    def __init__(self, directories: set[str], links: Sequence[str] = ()) -> None:
        self.types: dict[str, HostFileType] = dict.fromkeys(BASE, "directory")
        for path in directories:
            while path != "/":
                self.types[path] = "directory"
                path = posixpath.dirname(path)
        for path in links:
            self.types[path] = "link"

    def resolve(self, path: str) -> str:
        for link in [path for path, kind in self.types.items() if kind == "link"]:
            if path == link or path.startswith(f"{link}/"):
                return path[len(link) :] or "/"
        return path

    def find_type(self, path: str) -> HostFileType | None:
        return self.types.get(path)

    def list_names(self, path: str) -> list[str]:
        found = [p for p in self.types if p != "/" and posixpath.dirname(p) == path]
        return [posixpath.basename(p) for p in found]

    def read_link(self, path: str) -> str:
        return "."

    def read_mode(self, path: str) -> int:
        return 0o755


class Model:
    """bwrap, as far as we use it: where each path of the container leads to."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.mounts: dict[str, str] = {}
        """Path to what is shown there: a path of the host or a source; later ones lie on top."""
        self.made: set[str] = set()
        """Directories and links in memory."""

    def run(self, arguments: list[str]) -> None:
        words = iter(arguments)
        for word in words:
            match word:
                case "--perms":
                    assert next(words) == "0755"
                case "--tmpfs":
                    self.tmpfs(next(words))
                case "--dir":
                    self.make(next(words))
                case "--symlink":
                    assert next(words) == "."
                    self.make(next(words))
                case "--dev-bind" | "--dev-bind-try" | "--bind" | "--ro-bind":
                    self.bind(next(words), next(words))
                case _:
                    raise AssertionError(word)

    def cover(self, path: str) -> None:
        inner = [p for p in {*self.mounts, *self.made} if posixpath.commonpath((p, path)) == path]
        for gone in inner:
            self.mounts.pop(gone, None)
            self.made.discard(gone)

    def tmpfs(self, path: str) -> None:
        assert self.is_there(path)
        self.cover(path)
        self.mounts[path] = "memory"

    def make(self, path: str) -> None:
        if not self.is_there(path):
            assert self.owner(path) != "host", f"{path} would be made on the host"
            self.made.add(path)

    def bind(self, source: str, path: str) -> None:
        if not self.is_there(path):
            assert self.owner(path) != "host", f"{path} would be made on the host"
        self.cover(path)
        self.mounts[path] = "host" if source == path else source

    def owner(self, path: str) -> str:
        """What a path belongs to: the host, memory, or a source."""
        while path not in self.mounts:
            assert path != "/"
            path = posixpath.dirname(path)
        return self.mounts[path]

    def is_there(self, path: str) -> bool:
        if path == "/" or path in self.mounts or path in self.made:
            return True
        return self.owner(path) == "host" and path in self.host.types


@settings(deadline=None)
@given(DIRECTORIES, st.sets(PATHS, max_size=4), st.booleans())
def test_every_mount_is_seen_and_the_host_is_left_alone(
    directories: set[str], places: set[str], read_only: bool
) -> None:
    host = FakeHost(directories)
    shown = [
        Shown(f"/sources{place}", place, read_only and not any(_below(p, place) for p in places))
        for place in sorted(places, reverse=True)
    ]
    model = Model(host)
    model.run(layout(host, shown))
    for place in places:
        assert model.mounts[place] == f"/sources{place}"
    for path in host.types:
        if not any(posixpath.commonpath((path, place)) == place for place in places):
            assert model.owner(path) == "host" or model.mounts[path] == "memory", path
            assert model.is_there(path)


def _below(path: str, place: str) -> bool:
    return path.startswith(f"{place}/")


@settings(deadline=None)
@given(PATHS)
def test_only_the_nearest_directory_becomes_a_skeleton(place: str) -> None:
    host = FakeHost({posixpath.dirname(place)} - {"/"})
    arguments = layout(host, [Shown("/source", place)])
    skeletons = [b for a, b in pairwise(arguments) if a == "--tmpfs"]
    assert skeletons == [posixpath.dirname(place)]


def test_links_of_the_host_are_followed_and_those_in_a_skeleton_are_kept() -> None:
    host = FakeHost({"/a/b"}, links=["/l"])
    arguments = layout(host, [Shown("/source", "/l/a/new"), Shown("/other", "/new")])
    model = Model(host)
    model.run(arguments)
    assert model.mounts["/a/new"] == "/source"
    assert "/l" in model.made


def test_below_a_volume_links_of_the_host_do_not_count() -> None:
    host = FakeHost({"/a"}, links=["/a/l"])
    model = Model(host)
    model.run(layout(host, [Shown("/inner", "/a/l/x"), Shown("/outer", "/a")]))
    assert model.mounts["/a/l/x"] == "/inner"


def test_what_cannot_be() -> None:
    host = FakeHost({"/a"}, links=["/l", "/m"])
    host.types["/file"] = "other"
    for places in (["/file"], ["/file/x"], ["/l"], ["/proc/x"], ["/l/a", "/m/a"]):
        with pytest.raises(MountError):
            layout(host, [Shown(f"/source/{place}", place) for place in places])


def test_within_what_is_mounted_there_must_be_a_place() -> None:
    host = FakeHost({"/volume/there"})
    host.types["/volume/file"] = "other"

    def show(path: str, *, read_only: bool) -> list[str]:
        return layout(host, [Shown("/volume", "/a", read_only), Shown("/inner", path)])

    assert show("/a/there", read_only=True)
    assert show("/a/new", read_only=False)
    with pytest.raises(MountError, match=r"/a/new: not there, and .* /a is read-only"):
        show("/a/new", read_only=True)
    with pytest.raises(MountError, match="/a/file: not a directory"):
        show("/a/file", read_only=False)


def test_a_directory_too_large_for_a_skeleton() -> None:
    host = FakeHost({f"/{number}" for number in range(ARGUMENTS_MAX // 3)})
    with pytest.raises(MountError, match="make it first"):
        layout(host, [Shown("/source", "/new")])
