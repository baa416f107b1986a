"""A moment for a fast disk; a slow one is soon left to threads, and looked at again."""

from __future__ import annotations

from volfs.store.embedded.data.patience import GIVE_UP, RETRY, Patience


class Disk:
    """Gives what is wanted when it has been asked for it so many times."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.asked = 0

    def is_there(self) -> bool:
        self.asked += 1
        return self.asked >= self.after


def test_a_fast_disk_is_waited_for() -> None:
    patience = Patience(moment=600)
    for after in range(1, 3 * GIVE_UP):
        disk = Disk(after)
        assert patience.wait_for(disk.is_there)
        assert disk.asked == after


def test_more_bytes_are_waited_for_longer() -> None:
    patience = Patience(moment=0)
    assert not patience.wait_for(Disk(after=9).is_there)
    large = Disk(after=9)
    assert patience.wait_for(large.is_there, length=1 << 40)
    assert large.asked == 9


def test_a_slow_disk_is_asked_now_and_then_and_believed_when_it_is_fast() -> None:
    patience = Patience(moment=0)
    for _ in range(GIVE_UP):
        disk = Disk(after=1 << 60)
        assert not patience.wait_for(disk.is_there)
        assert disk.asked == 1
    slow = Disk(after=1 << 60)
    assert not any(patience.wait_for(slow.is_there) for _ in range(3 * RETRY))
    assert slow.asked == 3
    fast = Disk(after=0)
    assert [patience.wait_for(fast.is_there) for _ in range(RETRY)].count(True) == 1
    assert all(patience.wait_for(fast.is_there) for _ in range(RETRY)), "it has become fast"
