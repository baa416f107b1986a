"""Waiting for the next request: never say that there is one when there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from volfs.fuse.polling import make_wait


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


async def test_a_request_that_another_task_took_is_waited_for_again(
    pipe: tuple[int, int],
) -> None:
    """Else the daemon blocks in read(2), and answers nobody, until the next request."""
    reader, writer = pipe
    waits = 0

    async def wait_in_loop() -> bool:
        nonlocal waits
        waits += 1
        if waits == 3:
            os.write(writer, b"x")
        return True

    assert await make_wait(reader, wait_in_loop)()
    assert waits == 3


async def test_what_is_there_already_is_seen_without_the_loop(pipe: tuple[int, int]) -> None:
    async def wait_in_loop() -> bool:
        raise AssertionError("went to the loop")

    os.write(pipe[1], b"x")
    assert await make_wait(pipe[0], wait_in_loop)()


async def test_the_end_of_the_session_is_told(pipe: tuple[int, int]) -> None:
    async def wait_in_loop() -> bool:
        return False

    assert not await make_wait(pipe[0], wait_in_loop)()


async def test_a_busy_process_looks_once(pipe: tuple[int, int]) -> None:
    looks = 0

    def is_busy() -> bool:
        nonlocal looks
        looks += 1
        return True

    async def wait_in_loop() -> bool:
        os.write(pipe[1], b"x")
        return True

    assert await make_wait(pipe[0], wait_in_loop, is_busy)()
    assert looks == 1
