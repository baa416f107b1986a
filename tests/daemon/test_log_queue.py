"""A log that does not take what is written: nobody waits for it, and it says what it lost."""

from __future__ import annotations

import io
import logging
import os
import threading
from pathlib import Path

import pytest

from tests.harness.mounted import Mounts
from volfs.daemon.log_queue import RECORDS_MAX, QueuedHandler


class Stuck(io.StringIO):
    """A file whose disk hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def write(self, text: str, /) -> int:
        self.let_go.wait()
        return super().write(text)


def make_record(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("l", logging.INFO, __file__, 1, text, args, None)


def test_what_came_while_the_disk_hung_is_written_or_counted() -> None:
    file = Stuck()
    handler = QueuedHandler(logging.StreamHandler(file))
    named = ["as it was"]
    handler.handle(make_record("%s", named))
    named[0] = "as it is"
    for number in range(2 * RECORDS_MAX):
        handler.handle(make_record("%d", number))
    assert file.getvalue() == ""
    file.let_go.set()
    handler.flush()
    handler.handle(make_record("after"))
    handler.flush()
    lines = file.getvalue().splitlines()
    assert lines[0] == "['as it was']"
    lost = 2 * RECORDS_MAX + 1 - (len(lines) - 2)
    assert lines[-2].startswith(f"{lost} records were lost")
    assert lines[-1] == "after"
    assert RECORDS_MAX <= len(lines) <= RECORDS_MAX + 4


def test_the_end_does_not_wait_for_a_disk_that_hangs() -> None:
    file = Stuck()
    handler = QueuedHandler(logging.StreamHandler(file))
    handler.handle(make_record("a"))
    handler.flush()
    assert file.getvalue() == "", "it has returned all the same"
    file.let_go.set()


def test_an_error_of_the_log_is_nobody_s() -> None:
    file = io.StringIO()
    handler = QueuedHandler(logging.StreamHandler(file))
    file.close()
    handler.handle(make_record("a"))
    handler.flush()


@pytest.mark.fuse
def test_a_mount_whose_log_hangs_is_served_and_ends(mounts: Mounts, tmp_path: Path) -> None:
    """The log is a pipe that nobody empties."""
    log = tmp_path / "pipe"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        mounted = mounts.mount(log=str(log), log_level="debug")
        for number in range(700):  # more lines than the pipe has room for
            (mounted.path / f"{'name' * 50}-{number}").touch()
        assert len(os.listdir(mounted.path)) == 700
        assert mounted.commit().changed
        mounted.unmount()
    finally:
        os.close(reader)
    assert mounts.version == 1
