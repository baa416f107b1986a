"""What every test may use, and what every test must keep: quiet logs and whole stores."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness.bucket_servers import seaweed
from tests.harness.forked import close_server
from tests.harness.mount_namespace import isolate_mounts
from tests.harness.redis_server import RedisServer
from tests.harness.store_places import add_store_option, bucket_of_stores
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

__all__ = ["bucket_of_stores", "seaweed"]

_SLOW = ("volfs.control.daemon_wait", "volfs.store.opening")
"""Say that something takes long, which is so on a machine that is busy."""

settings.register_profile("volfs", deadline=None)  # a busy machine decides no test
settings.load_profile("volfs")


def pytest_addoption(parser: pytest.Parser) -> None:
    add_store_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    # Tests and what they run in containers meet in directories of the machine's /tmp.
    os.environ["VOLFS_SHARE_TMP"] = "1"
    for name in ("VOLFS_TABLES", "VOLFS_TABLES_PASSWORD", "VOLFS_TABLES_PASSWORD_FILE"):
        os.environ.pop(name, None)
    isolate_mounts()
    config.addinivalue_line("markers", "damaged: leaves the store damaged on purpose")
    config.addinivalue_line("markers", "noisy(*texts): expects log records above INFO with these")


def pytest_unconfigure(config: pytest.Config) -> None:
    close_server()


@pytest.fixture(scope="session", autouse=True)
def state_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Notes about the stores of tests are not this user's."""
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOLFS_STATE_DIR", str(state))
        patch.setenv("VOLFS_CACHE_DIR", str(state / "cache"))
        yield
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(autouse=True)
def quiet_log(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing above INFO is logged, but what the test announced with ``noisy``."""
    yield
    announced = [text for mark in request.node.iter_markers("noisy") for text in mark.args]
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    loud = [r.getMessage() for r in records if r.levelno > logging.INFO and r.name not in _SLOW]
    noise = [text for text in loud if not any(part in text for part in announced)]
    assert not noise, f"logged without being announced: {noise}"


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new store in a directory; checked whole when the test is done."""
    store = open_store(str(tmp_path / "store"), create=True)
    yield store
    try:
        if not list(request.node.iter_markers("damaged")):
            report = check_store(store)
            assert report.is_clean, report
    finally:
        store.close()


@pytest.fixture
def volume(store: Store) -> VolumeRecord:
    """A new volume in the store, with chunks of 64 KiB so that little data makes many."""
    return create_volume(store, "data", chunk_bits=16)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests of this process. Who uses it empties it first."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.close()


@pytest.fixture(params=["store", "redis"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the Dicts and Queues of the test are kept: each test of this runs with both."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        server.client.flushall()
        monkeypatch.setenv("VOLFS_TABLES", server.url)
    place: str = request.param
    return place
