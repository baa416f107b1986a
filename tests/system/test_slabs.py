"""Memory for large bodies is used again, and never while anybody looks at it."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

from volfs.system.slabs import Slabs, is_aligned

SIZE = 1 << 20


def test_a_slab_is_used_again_when_the_last_view_of_it_is_gone() -> None:
    slabs = Slabs(SIZE, kept=2)
    first = slabs.take(1000)
    first[:4] = b"mine"
    part = memoryview(first)[2:4]
    del first
    other = slabs.take(SIZE)
    other[:4] = b"else"
    assert bytes(part) == b"ne"
    del part
    gc.collect()
    assert bytes(slabs.take(4)) == b"mine", "the same memory, with what was in it"
    assert bytes(other[:4]) == b"else"


def test_only_so_many_idle_slabs_stay() -> None:
    slabs = Slabs(SIZE, kept=2)
    views = [slabs.take(SIZE) for _ in range(5)]
    for view in views:
        view[:1] = b"x"
    del view
    views.clear()
    again = [slabs.take(SIZE) for _ in range(5)]
    assert sorted(bytes(view[:1]) for view in again) == [b"\0"] * 3 + [b"x"] * 2
    del again[:]
    slabs.clear()
    assert bytes(slabs.take(1)) == b"\0"


def test_threads_never_share_a_slab() -> None:
    slabs = Slabs(SIZE, kept=3)

    def use(number: int) -> None:
        for _ in range(300):
            view = slabs.take(64)
            view[:] = bytes([number]) * 64
            assert bytes(view) == bytes([number]) * 64

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(use, range(6)))


def test_alignment_is_that_of_the_memory() -> None:
    view = Slabs(SIZE, kept=1).take(SIZE)
    assert is_aligned(view)
    assert is_aligned(view[8192:])
    assert not is_aligned(view[1:])
    assert not is_aligned(bytes(8192)), "read-only memory is not asked"
