"""Inode numbers: one for each file, as long as the mount lives, whatever the kernel forgets."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.rig import Rig
from volfs.errors import FileSystemError
from volfs.model.names import Path
from volfs.vfs.inode import Directory
from volfs.vfs.numbers import DERIVED, ROOT_INO, NumberOwner, Numbers, derive

NewRig = Callable[..., Rig]
NAMES = [b"a", b"b", b"c", b"d"]


# --- the numbers themselves ---------------------------------------------------

keys: st.SearchStrategy[NumberOwner] = st.one_of(
    st.integers(1, 3), st.tuples(st.integers(1, 2), st.sampled_from(NAMES))
)


@given(st.lists(st.tuples(keys, st.integers(0, 3)), max_size=60))
def test_no_two_keys_have_one_number(steps: list[tuple[NumberOwner, int]]) -> None:
    """Whatever is loaded, moved, renewed and unloaded, and in whichever order."""
    numbers = Numbers()
    loaded: dict[NumberOwner, int] = {}
    for key, step in steps:
        if key not in loaded:
            loaded[key] = numbers.choose(key, set(loaded.values()).__contains__)
        elif step == 0:
            loaded[key] = numbers.renew(key)
        elif step == 1:
            numbers.keep(key, loaded.pop(key))
        elif step == 2:  # moved to a place that nothing has
            free = (1, b"new")
            numbers.keep(free, loaded.pop(key))
            loaded[free] = numbers.find(free)
        taken = list(loaded.values())
        assert len(set(taken)) == len(taken)
        assert all(ROOT_INO < n <= numbers.last or DERIVED <= n < 2 * DERIVED for n in taken)


def test_derived_numbers_need_no_memory() -> None:
    numbers = Numbers()
    for number in range(1000):
        key = (1, b"%d" % number)
        numbers.keep(key, numbers.choose(key, lambda _: False))
    assert numbers.unrecorded == set()
    assert numbers.last == ROOT_INO


def test_a_number_that_hashes_like_another_is_given() -> None:
    numbers = Numbers()
    one, two = (1, b"one"), (1, b"two")
    first = numbers.choose(one, lambda _: False)
    second = numbers.choose(two, {derive(two), first}.__contains__)
    assert second == 2
    assert numbers.find(two) == second


# --- in a mount ---------------------------------------------------------------


def number_of(rig: Rig, path: Path) -> int:
    return rig.get(path).ino


def list_numbers(rig: Rig) -> dict[Path, int]:
    def walk(path: Path) -> Iterator[tuple[Path, int]]:
        inode = rig.get(path)
        yield path, inode.ino
        if isinstance(inode, Directory):
            for name in rig.list(path):
                yield from walk((*path, name))

    return dict(walk(()))


def test_a_forgotten_file_has_its_number_again(rig: Rig) -> None:
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), b"1")
    rig.write((b"old",), b"2")
    rig.rename((b"old",), (b"d", b"new"))
    rig.link((b"d", b"f"), (b"g",))
    before = list_numbers(rig)
    rig.commit()
    rig.forget()
    assert list_numbers(rig) == before
    assert before[(b"g",)] == before[b"d", b"f"]


def test_names_of_a_file_that_was_never_seen_have_one_number(rig: Rig, other: Rig) -> None:
    rig.write((b"a",), b"1")
    rig.link((b"a",), (b"b",))
    rig.commit()
    other.reload()
    first = number_of(other, (b"a",))
    other.forget()
    assert number_of(other, (b"b",)) == first


def test_the_number_of_a_renamed_file_is_not_given_to_a_new_one(rig: Rig) -> None:
    for round in range(3):
        rig.write((b"tmp",), b"%d" % round)
        rig.rename((b"tmp",), (b"f%d" % round,))
        rig.commit()
        rig.forget()
    numbers = list_numbers(rig)
    assert len(set(numbers.values())) == len(numbers)


def test_a_reload_gives_another_number_to_other_content_alone(rig: Rig, other: Rig) -> None:
    for name in (b"same", b"changed", b"linked"):
        rig.write((name,), name)
    rig.link((b"linked",), (b"too",))
    rig.commit()
    other.reload()
    before = list_numbers(other)
    rig.write((b"changed",), b"new")
    rig.write((b"too",), b"new")
    rig.commit()
    other.reload()
    other.forget()
    after = list_numbers(other)
    assert after[(b"same",)] == before[(b"same",)]
    assert after[(b"linked",)] == after[(b"too",)]
    assert not {after[(b"changed",)], after[(b"too",)]} & set(before.values())
    other.forget()
    assert list_numbers(other) == after


def test_numbers_outlive_the_daemon(new_rig: NewRig, rig: Rig) -> None:
    rig.write((b"tmp",), b"1")
    rig.rename((b"tmp",), (b"f",))
    rig.write((b"one",), b"1")
    rig.link((b"one",), (b"two",))
    rig.commit()
    rig.forget()
    rig.write((b"dirty",), b"1")
    rig.flush()
    before = list_numbers(rig)
    again = new_rig(again=rig)
    assert list_numbers(again) == before


class NumberedFiles:
    """Random operations on one mount, and what number each file had first."""

    def __init__(self, new_rig: NewRig, seed: int) -> None:
        self.new_rig = new_rig
        self.rig = new_rig()
        self.rig.strict = False
        self.chance = random.Random(seed)
        self.files: dict[Path, object] = {(): object()}
        """What each path means."""
        self.numbers: dict[object, int] = {self.files[()]: ROOT_INO}

    def pick(self) -> Path:
        return tuple(self.chance.choices(NAMES, k=self.chance.randint(1, 3)))

    def step(self) -> None:
        act = self.chance.choice(
            [self.make, self.make, self.mkdir, self.link, self.remove, self.rename, self.rename,
             self.exchange, self.commit, self.rig.forget, self.die]
        )  # fmt: skip
        try:
            act()
        except (FileSystemError, AssertionError):
            return

    def make(self) -> None:
        path = self.pick()
        made = self.rig.make(path)
        self.files[path] = object()
        self.numbers[self.files[path]] = made.ino

    def mkdir(self) -> None:
        path = self.pick()
        made = self.rig.mkdir(path)
        self.files[path] = object()
        self.numbers[self.files[path]] = made.ino

    def link(self) -> None:
        path, new = self.pick(), self.pick()
        self.rig.link(path, new)
        self.files[new] = self.files[path]

    def remove(self) -> None:
        path = self.pick()
        is_directory = isinstance(self.rig.get(path), Directory)
        (self.rig.rmdir if is_directory else self.rig.unlink)(path)
        del self.files[path]

    def rename(self) -> None:
        path, new = self.pick(), self.pick()
        same = self.files.get(path) is self.files.get(new)
        self.rig.rename(path, new)
        if not same:
            self.files.pop(new, None)
            self.move({path: new})

    def exchange(self) -> None:
        path, new = self.pick(), self.pick()
        self.rig.exchange(path, new)
        self.move({path: new, new: path})

    def move(self, places: dict[Path, Path]) -> None:
        self.files = {
            next((new + p[len(old) :] for old, new in places.items() if p[: len(old)] == old), p): f
            for p, f in self.files.items()
        }

    def commit(self) -> None:
        self.rig.commit()

    def die(self) -> None:
        if self.rig.state.overlay.is_clean:
            return  # the next daemon would begin another life
        self.rig.flush()
        self.rig = self.new_rig(again=self.rig)
        self.rig.strict = False

    def check(self) -> None:
        found = list_numbers(self.rig)
        assert found == {path: self.numbers[file] for path, file in self.files.items()}


@pytest.mark.parametrize("seed", range(12))
def test_numbers_in_a_life(new_rig: NewRig, seed: int) -> None:
    life = NumberedFiles(new_rig, seed)
    for number in itertools.count(1):
        life.step()
        if number % 5 == 0:
            life.check()
        if number == 300:
            break
