"""A Volume's calls against a dictionary of paths: what they change, and what they refuse."""

from __future__ import annotations

import io
import shutil
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import volfs as modal
from volfs.exception import InvalidError, NotFoundError

Files = dict[str, bytes | None]
"""Bytes of files; None for directories."""
paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
contents = st.sampled_from([b"", b"small", b"large" * 500])


class Refused(Exception):  # noqa: N818 - not an error of the volume's
    """The model says that the call must fail."""


def is_at(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def put(files: Files, path: str, data: bytes | None, *, overwrite: bool) -> None:
    names = path.split("/")
    for end in range(1, len(names)):
        if files.setdefault("/".join(names[:end]), None) is not None:
            raise Refused
    if path in files and (not overwrite or (files[path] is None) != (data is None)):
        raise Refused
    files[path] = data


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.client = modal.Client(f"{self.directory}/store")
        self.volume = modal.Volume.from_name("v", create_if_missing=True, client=self.client)
        self.volume.hydrate()
        self.history: list[Files] = [{}]

    def teardown(self) -> None:
        self.client.close()
        shutil.rmtree(self.directory)

    @property
    def files(self) -> Files:
        return dict(self.history[-1])

    def made(self, files: Files) -> None:
        """What the call should have come to, and whether it is one version."""
        head = self.volume.at("head").version
        assert head - len(self.history) in (-1, 0)
        if head == len(self.history):
            self.history.append(files)
        assert self.history[-1] == files

    @rule(batch=st.lists(st.tuples(paths, contents), min_size=1, max_size=3), force=st.booleans())
    def upload(self, batch: list[tuple[str, bytes]], force: bool) -> None:
        files = self.files
        try:
            for path, data in dict(batch).items() if force else batch:
                put(files, path, data, overwrite=force)
        except Refused:
            files = self.files
        try:
            with self.volume.batch_upload(force) as uploading:
                for path, data in batch:
                    uploading.put_file(io.BytesIO(data), path)
        except (FileExistsError, NotADirectoryError):
            assert files == self.files
        self.made(files)

    @rule(path=paths, recursive=st.booleans())
    def remove(self, path: str, recursive: bool) -> None:
        before = self.files
        files = {name: data for name, data in before.items() if not is_at(name, path)}
        try:
            self.volume.remove_file(path, recursive)
        except FileNotFoundError:
            assert path not in before
        except InvalidError:
            assert before[path] is None
            assert not recursive
            files = before
        self.made(files)

    @rule(source=paths, to=paths)
    def copy(self, source: str, to: str) -> None:
        files = self.files
        place = f"{to}/{source.rpartition('/')[2]}" if self.is_directory(to) else to
        try:
            if source not in files or is_at(place, source) or not self.has_parent(place):
                raise Refused
            copied = {name: data for name, data in files.items() if is_at(name, source)}
            for name, data in copied.items():
                put(files, place + name.removeprefix(source), data, overwrite=True)
        except Refused:
            files = self.files
        try:
            self.volume.copy_files([source], to, recursive=True)
        except (InvalidError, NotFoundError):
            assert files == self.files
        self.made(files)

    def is_directory(self, path: str) -> bool:
        return self.files.get(path, b"") is None

    def has_parent(self, path: str) -> bool:
        above = path.rpartition("/")[0]
        return not above or self.is_directory(above)

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        version = data.draw(st.integers(0, len(self.history) - 1))
        self.volume.restore(version)
        self.made(self.history[version])

    @invariant()
    def the_same_is_there(self) -> None:
        there: Files = {
            entry.path: None
            if entry.type.name == "DIRECTORY"
            else b"".join(self.volume.read_file(entry.path))
            for entry in self.volume.iterdir("/")
        }
        assert there == self.files
        usage = self.volume.usage()
        contents = [data for data in there.values() if data is not None]
        assert (usage.files, usage.directories) == (len(contents), len(there) - len(contents))
        assert usage.bytes == sum(map(len, contents))


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
