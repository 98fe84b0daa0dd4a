"""The commands that the README gives to a developer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="'make demo' would make a .venv, which needs PyPI"
)
def test_make_demo_a_second_time_needs_no_network(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    assert "all 300 rows are equal" in done.stdout


@pytest.mark.parametrize("target", ["demo", "test", "check", "dist", "format", "clean", "upstream"])
def test_make_knows_the_targets(target):
    subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
