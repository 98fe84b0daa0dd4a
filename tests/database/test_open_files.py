"""The descriptors of databases and their wal-indexes, which stay open."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from litestream._database import open_files


def test_threads_that_meet_a_replaced_file_close_no_descriptor_of_others(tmp_path: Path) -> None:
    path = tmp_path / "app.db-shm"
    path.write_bytes(b"x")
    over = threading.Event()
    troubles: list[OSError] = []

    def read() -> None:
        try:
            while not over.is_set():
                file = open_files.kept_open(str(path))
                assert file is None or os.pread(file, 1, 0) == b"x"
        except OSError as error:
            troubles.append(error)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        path.with_suffix(".new").write_bytes(b"x")
        os.replace(path.with_suffix(".new"), path)
    over.set()
    for thread in threads:
        thread.join(10)
    assert not troubles


def test_a_deleted_file_is_closed_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.db-shm"
    monkeypatch.setattr(open_files, "_IN_USE", 0.0)
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        path.unlink(missing_ok=True)
        path.write_bytes(b"x")
        assert open_files.kept_open(str(path)) is not None
    assert len(os.listdir("/dev/fd")) <= before + 2


def test_more_files_are_kept_open_than_the_limit_allows_at_first(tmp_path: Path) -> None:
    """Of a thousand databases; the usual limit is 1,024, and 256 on macOS."""
    for number in range(200):
        (tmp_path / f"{number}").touch()
    code = (
        "import resource, sys\n"
        "from litestream._database.open_files import kept_open\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))\n"
        "assert all(kept_open(f'{sys.argv[1]}/{number}') for number in range(200))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
