"""ENOSPC and EIO at every call of gc, repair, rebuilding, expiry and restores: nothing is lost."""

from __future__ import annotations

import gc
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.checked_store import CheckedStore
from tests.crash.children import Say, is_long
from tests.crash.store_operations import StoreOperation
from tests.crash.test_prefixes import WORKLOADS, directory, prepare
from tests.crash.tracing import WRITING, count_calls, needs_strace, run_traced
from volfs.errors import StoreError
from volfs.store.embedded.care import rebuild

pytestmark = [pytest.mark.crash, pytest.mark.usefixtures("greedy_gc"), needs_strace]

__all__ = ["directory", "rebuild"]
"""``rebuild`` is imported late otherwise: that must not be what fails."""
CALLS = (*WRITING, "truncate", "unlink", "link", "pread64")
"""What reads packs is among them: a repair drops what it cannot read."""
SHORT = ("gc at once", "repair")


def do(checked: CheckedStore, operation: StoreOperation, say: Say) -> None:
    """An operation that may fail once: then it was done or was not, and the next time it is."""
    try:
        operation.do(checked.path)
        operation.expect(checked.model)
    except StoreError as error:
        say("refused", str(error))
        gc.collect()  # what was half made has an environment of LMDB's open
        checked.do_again(operation)


def attempt(directory: Path, name: str, *options: str) -> tuple[Path, int]:
    """One run in a fresh store; strace's output, and how often something failed."""
    place = Path(tempfile.mkdtemp(dir=directory))
    checked = prepare(name, place)

    def work(say: Say) -> None:
        for operation in WORKLOADS[name]:
            do(checked, operation, say)
        say("done")

    said = run_traced(work, place / "trace", *options)
    assert said[-1] == ("done",), said
    for operation in WORKLOADS[name]:
        operation.expect(checked.model)
    checked.check()
    return place / "trace", len(said) - 1


@pytest.mark.parametrize("name", WORKLOADS if is_long() else SHORT)
def test_at_every_call_of(name: str, directory: Path) -> None:
    trace, _ = attempt(directory, name, "-e", f"trace={','.join(CALLS)}")
    counts = count_calls(trace)
    failed: Counter[str] = Counter()
    for call in sorted(counts):
        for k in range(1, counts[call] + 1):
            for error in ("ENOSPC", "EIO") if is_long() else [("ENOSPC", "EIO")[k % 2]]:
                inject = f"inject={call}:error={error}:when={k}"
                _, times = attempt(directory, name, "-e", f"trace={call}", "-e", inject)
                failed[call] += times
    assert failed.total() > sum(counts.values()) / 2, failed
