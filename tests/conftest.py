"""What every test stands on: how Hypothesis runs on a busy machine, and which files come first."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A machine that does something else for a moment makes an example slow, and says nothing of what it shows.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Folders of few tests that take long, so that no process is left with them when the others are done.
FIRST = ("tests/walks/", "tests/workers/", "tests/docs/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the long files come first, and leave the order within them; several processes are given file by file."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
