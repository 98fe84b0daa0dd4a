"""``litestream.testing`` in a run of pytest of its own: the files of docs/testing.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Page

PAGE = Page("testing")
UNPROVED = """
import pytest
from litestream.testing import assert_proved

def test_it_is_not(litestream_config, litestream_database):
    import contextlib, sqlite3
    with contextlib.closing(sqlite3.connect(litestream_database)) as connection:
        connection.execute("CREATE TABLE items (value)")
    assert_proved(litestream_database, timeout=1)
"""


def run(directory: Path, **files: str) -> str:
    for name, content in files.items():
        (directory / f"{name}.py").write_text(content)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, env=os.environ)
    return done.stdout


def test_the_fixtures(installed: Path, tmp_path: Path) -> None:
    names = ("conftest", "test_shop", "test_elsewhere")
    output = run(tmp_path, **{name: PAGE.files(f"{name}.py")[0] for name in names})
    assert "2 passed" in output, output


@pytest.mark.only_series("0.5")
def test_what_is_not_proved_fails(installed: Path, tmp_path: Path) -> None:
    output = run(tmp_path, conftest=PAGE.files("conftest.py")[0], test_unproved=UNPROVED)
    assert "AssertionError: The backup of" in output, output
    assert "1 failed" in output


def test_pytest_knows_nothing_of_it_unless_it_is_told(tmp_path: Path) -> None:
    test = "import sys\ndef test(): assert 'litestream' not in sys.modules\n"
    assert "1 passed" in run(tmp_path, test_nothing=test)
