"""A folder for each walk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: its names are too long for a socket in them.
    with tempfile.TemporaryDirectory(prefix="hr-") as place:
        yield Path(place)
