"""Properties run the same examples each time, and few enough to be run often."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.harness.memory import MemoryObjects

settings.register_profile(
    "model",
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("model")


@pytest.fixture
def store() -> MemoryObjects:
    return MemoryObjects()
