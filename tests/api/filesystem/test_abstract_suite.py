"""fsspec's own tests of a file system."""

from __future__ import annotations

import pytest
from fsspec.tests import abstract

from volfs.api.filesystem import VolumeFileSystem


class VolumeFixtures(abstract.AbstractFixtures):
    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls, tmp_path_factory: pytest.TempPathFactory) -> VolumeFileSystem:
        fs = VolumeFileSystem(str(tmp_path_factory.mktemp("fsspec") / "store"))
        fs.mkdir("data")
        return fs

    @pytest.fixture
    def fs_path(self) -> str:
        return "data/tests"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return True


class TestCopy(abstract.AbstractCopyTests, VolumeFixtures):
    pass


class TestGet(abstract.AbstractGetTests, VolumeFixtures):
    pass


class TestPut(abstract.AbstractPutTests, VolumeFixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, VolumeFixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, VolumeFixtures):
    pass
