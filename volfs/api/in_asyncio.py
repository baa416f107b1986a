"""Running a call that blocks in a thread, for a task of asyncio."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from volfs.services.signal_wait import Cancellation, CancelledWaitError

R = TypeVar("R")
_THREADS = 1024
"""The number of calls that may wait for each other at once."""


async def run(work: Callable[[], R], cancellation: Cancellation) -> R:
    _pay_debts()
    future = asyncio.get_running_loop().run_in_executor(_executor(os.getpid()), work)
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
            cancellation.cancel()
    try:
        result = future.result()
    except CancelledWaitError:
        raise asyncio.CancelledError from None
    if cancelled:
        _owe_cancellation()
    return result


_owed: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
"""Tasks that were cancelled too late. They got what they had taken, and stop at their next
call."""


def _owe_cancellation() -> None:
    if (task := asyncio.current_task()) is not None:
        _owed[task] = task.cancelling()


def _pay_debts() -> None:
    # A timeout may have taken the cancellation back (``Task.uncancel``). Then the task goes on.
    task = asyncio.current_task()
    if task is not None and task.cancelling() >= _owed.pop(task, sys.maxsize):
        raise asyncio.CancelledError


@functools.cache
def _executor(process: int) -> ThreadPoolExecutor:
    # One executor for each process, because threads do not survive a fork. It is not asyncio's
    # own: that one has few threads, and all of them might wait for a call that finds no thread.
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="volfs")
