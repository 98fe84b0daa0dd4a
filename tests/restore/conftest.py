"""What the tests of a restore share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return an output in an empty directory of its own."""
    (tmp_path / "restored").mkdir()
    return tmp_path / "restored" / "app.db"
