"""The mount as a state machine: the same operations here and on a model, everything compared.

Two mounts of one volume, each with commits (also failing ones, and with writes
between seal and publication), reloads, crashes and a forgetful kernel. What a
shrunk failure found is kept as a test of its own beside this file.
"""

from __future__ import annotations

from tests.vfs.machine.machine import PROFILE, MountMachine, TwoMounts

TestOneMount = MountMachine.TestCase
TestOneMount.settings = PROFILE
TestTwoMounts = TwoMounts.TestCase
TestTwoMounts.settings = PROFILE
