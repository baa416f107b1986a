"""Limits, each at its edge."""

from __future__ import annotations

import pytest

from volfs.errors import FileTooLargeError, LimitError, UserError
from volfs.model.profile import PROFILES, get_profile


@pytest.mark.parametrize("number", [1, 2])
def test_entries_and_file_size(number: int) -> None:
    profile = get_profile(number)
    profile.check_entries(32_768, (b"d",))
    profile.check_file_size(1 << 40)
    with pytest.raises(LimitError, match=r"a/b: more than 32768"):
        profile.check_entries(32_769, (b"a", b"b"))
    with pytest.raises(FileTooLargeError):
        profile.check_file_size((1 << 40) + 1)


def test_inodes() -> None:
    PROFILES[2].check_inodes(10**12)
    PROFILES[1].check_inodes(500_000)
    with pytest.raises(LimitError, match="500000"):
        PROFILES[1].check_inodes(500_001)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_other_profiles_are_refused(number: int) -> None:
    with pytest.raises(UserError, match="1 or 2"):
        get_profile(number)
