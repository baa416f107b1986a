"""The state machines of tests/vfs, for longer: 100 lives of 50 steps, or 10,000."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.crash.children import is_long
from tests.vfs.conftest import small_pages
from tests.vfs.machine.machine import PROFILE, MountMachine, TwoMounts

pytestmark = pytest.mark.crash

__all__ = ["small_pages"]

LIVES = 5000 if is_long() else 50
LONGER = settings(PROFILE, max_examples=LIVES, stateful_step_count=50)


class OneForLonger(MountMachine):
    pass


class TwoForLonger(TwoMounts):
    pass


TestOneForLonger = OneForLonger.TestCase
TestOneForLonger.settings = LONGER
TestTwoForLonger = TwoForLonger.TestCase
TestTwoForLonger.settings = LONGER
